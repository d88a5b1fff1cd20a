#include "lake/drift.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/names.h"

namespace ratchet::lake {
namespace {

// Rows of the reference and of now, bin by bin; and how many rows that rests on.
struct Bins {
  std::vector<double> before, now;
  double rows_before = 0, rows_now = 0;

  void Add(double was, double is) {
    if (was == 0 && is == 0) return;
    before.push_back(was);
    now.push_back(is);
  }
};

double Present(const ColumnSummary& summary) { return static_cast<double>(summary.rows - summary.missing); }

std::vector<double> SortedValues(const ColumnSummary& summary) {
  std::vector<double> values;
  for (const SampledValue& value : summary.sample) values.push_back(value.value);
  std::sort(values.begin(), values.end());
  return values;
}

// Distinct values: all of them while none is pooled; else by how dense the smallest hashes lie.
double DistinctValues(const ColumnSummary& summary) {
  const double kept = static_cast<double>(summary.categories.size());
  if (summary.pooled == 0 || kept < 2) return kept;
  return (kept - 1) / (static_cast<double>(summary.categories.back().hash) * 0x1p-64);
}

// Values up to this hash are counted in full.
std::uint64_t CountedUpTo(const ColumnSummary& summary) {
  return summary.pooled > 0 && !summary.categories.empty() ? summary.categories.back().hash
                                                           : std::numeric_limits<std::uint64_t>::max();
}

DriftKind KindOf(const ColumnSummary& reference, const ColumnSummary& now) {
  if (reference.rows == 0 || now.rows == 0) return DriftKind::kEmpty;
  const double distinct = DistinctValues(reference);
  switch (reference.column.type) {
    case ColumnType::kText:
      return Present(reference) >= static_cast<double>(kLeastRowsOfIdentifier) && distinct > Present(reference) / 2
                 ? DriftKind::kIdentifier
                 : DriftKind::kCategorical;
    case ColumnType::kInteger:
      return reference.pooled == 0 && !reference.categories.empty() && distinct <= double{kMostValuesAsCategories}
                 ? DriftKind::kCategorical
                 : DriftKind::kNumeric;
    case ColumnType::kReal:
    case ColumnType::kBlob:
      return DriftKind::kNumeric;
  }
  return DriftKind::kEmpty;
}

// Upper ends of the bins, the last one open: deciles, each counted once.
std::vector<double> QuantileEnds(const std::vector<double>& sorted) {
  std::vector<double> ends;
  for (std::size_t i = 1; i < std::size_t{kPsiBins}; ++i) {
    const double end = sorted[(sorted.size() * i + kPsiBins - 1) / kPsiBins - 1];
    if (ends.empty() || end > ends.back()) ends.push_back(end);
  }
  return ends;
}

// Values that lie in each bin: at most its end, above the end before.
std::vector<double> CountUpTo(const std::vector<double>& sorted, const std::vector<double>& ends) {
  std::vector<double> counts;
  auto from = sorted.begin();
  for (double end : ends) {
    auto to = std::upper_bound(from, sorted.end(), end);
    counts.push_back(static_cast<double>(to - from));
    from = to;
  }
  counts.push_back(static_cast<double>(sorted.end() - from));
  return counts;
}

// One bin a value, and one for all others.
std::vector<double> CountEqual(const std::vector<double>& sorted, const std::vector<double>& values) {
  std::vector<double> counts;
  double others = static_cast<double>(sorted.size());
  for (double value : values) {
    const auto [from, to] = std::equal_range(sorted.begin(), sorted.end(), value);
    counts.push_back(static_cast<double>(to - from));
    others -= counts.back();
  }
  counts.push_back(others);
  return counts;
}

// Samples stand for all rows in the same proportion as the missing ones do.
double SampledRows(const ColumnSummary& summary) {
  if (summary.sample.empty() || Present(summary) == 0) return static_cast<double>(summary.rows);
  return static_cast<double>(summary.sample.size()) * static_cast<double>(summary.rows) / Present(summary);
}

double SampledMissing(const ColumnSummary& summary) {
  return SampledRows(summary) * static_cast<double>(summary.missing) / static_cast<double>(summary.rows);
}

Bins NumericBins(const ColumnSummary& reference, const ColumnSummary& now) {
  const std::vector<double> before = SortedValues(reference), after = SortedValues(now);
  std::vector<double> distinct = before;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const bool few = distinct.size() <= std::size_t{kPsiBins};
  const std::vector<double> ends = few ? distinct : QuantileEnds(before);
  const auto was = few ? CountEqual(before, ends) : CountUpTo(before, ends);
  const auto is = few ? CountEqual(after, ends) : CountUpTo(after, ends);
  Bins bins{.before = {}, .now = {}, .rows_before = SampledRows(reference), .rows_now = SampledRows(now)};
  for (std::size_t i = 0; i < was.size(); ++i) bins.Add(was[i], is[i]);
  bins.Add(SampledMissing(reference), SampledMissing(now));
  return bins;
}

using CategoryMap = std::map<std::uint64_t, const Category*>;

CategoryMap CountedCategories(const ColumnSummary& summary, std::uint64_t up_to) {
  CategoryMap counted;
  for (const Category& category : summary.categories) {
    if (category.hash <= up_to) counted.emplace(category.hash, &category);
  }
  return counted;
}

// The values of `from` that `other` has not at all, the most frequent first.
std::vector<const Category*> Only(const CategoryMap& from, const CategoryMap& other) {
  std::vector<const Category*> only;
  for (const auto& [hash, category] : from) {
    if (!other.contains(hash)) only.push_back(category);
  }
  std::stable_sort(only.begin(), only.end(), [](const Category* a, const Category* b) { return a->rows > b->rows; });
  return only;
}

std::vector<std::string> Texts(const std::vector<const Category*>& categories) {
  std::vector<std::string> texts;
  for (const Category* category : categories) {
    if (texts.size() < kCategoriesTold) texts.push_back(category->text);
  }
  return texts;
}

// A bin for each of the reference's most frequent values, and one for all others.
Bins CategoryBins(const ColumnSummary& reference, const ColumnSummary& now, ColumnDrift& drift) {
  const std::uint64_t up_to = std::min(CountedUpTo(reference), CountedUpTo(now));
  const CategoryMap before = CountedCategories(reference, up_to), after = CountedCategories(now, up_to);
  drift.new_categories = Texts(Only(after, before));
  drift.vanished_categories = Texts(Only(before, after));
  std::vector<const Category*> frequent = Only(before, {});
  if (frequent.size() > kMostValuesAsCategories) frequent.resize(kMostValuesAsCategories);
  Bins bins{.before = {},
            .now = {},
            .rows_before = static_cast<double>(reference.rows),
            .rows_now = static_cast<double>(now.rows)};
  double others_before = Present(reference), others_now = Present(now);
  for (const Category* category : frequent) {
    const auto found = after.find(category->hash);
    const double was = static_cast<double>(category->rows);
    const double is = found == after.end() ? 0 : static_cast<double>(found->second->rows);
    bins.Add(was, is);
    others_before -= was;
    others_now -= is;
  }
  bins.Add(others_before, others_now);
  bins.Add(static_cast<double>(reference.missing), static_cast<double>(now.missing));
  return bins;
}

void AddKs(const ColumnSummary& reference, const ColumnSummary& now, ColumnDrift& drift) {
  if (reference.sample.empty() || now.sample.empty()) return;
  const std::vector<double> before = SortedValues(reference), after = SortedValues(now);
  drift.ks = KsStatistic(before, after);
  drift.ks_p = KsPValue(*drift.ks, static_cast<std::int64_t>(before.size()), static_cast<std::int64_t>(after.size()));
}

double MissingShare(const ColumnSummary& summary) {
  return summary.rows == 0 ? 0 : static_cast<double>(summary.missing) / static_cast<double>(summary.rows);
}

ColumnDrift CompareColumns(const ColumnSummary& reference, const ColumnSummary& now) {
  ColumnDrift drift{.column = reference.column.name, .kind = KindOf(reference, now)};
  drift.missing_before = MissingShare(reference);
  drift.missing_now = MissingShare(now);
  if (drift.kind == DriftKind::kEmpty || drift.kind == DriftKind::kIdentifier) return drift;
  const Bins bins =
      drift.kind == DriftKind::kNumeric ? NumericBins(reference, now) : CategoryBins(reference, now, drift);
  drift.psi = PopulationStability(bins.before, bins.now);
  drift.psi_noise = PsiNoise(static_cast<int>(bins.before.size()), bins.rows_before, bins.rows_now);
  AddKs(reference, now, drift);
  return drift;
}

std::string TypeText(const Column& column) {
  std::string text(ColumnTypeName(column.type));
  for (std::size_t i = 0; i < column.shape.size(); ++i)
    text += (i == 0 ? " of " : "x") + std::to_string(column.shape[i]);
  return text;
}

const ColumnSummary* Find(const Summary& summary, const std::string& name) {
  const auto found = std::find_if(summary.columns.begin(), summary.columns.end(),
                                  [&](const ColumnSummary& column) { return column.column.name == name; });
  return found == summary.columns.end() ? nullptr : &*found;
}

nlohmann::ordered_json OptionalJson(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json ToJson(std::span<const ColumnDrift> drifts) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const ColumnDrift& drift : drifts) {
    json.push_back({{"column", drift.column},
                    {"kind", DriftKindName(drift.kind)},
                    {"psi", drift.psi},
                    {"psi_noise", drift.psi_noise},
                    {"ks", OptionalJson(drift.ks)},
                    {"ks_p", OptionalJson(drift.ks_p)},
                    {"missing_before", drift.missing_before},
                    {"missing_now", drift.missing_now},
                    {"new_categories", drift.new_categories},
                    {"vanished_categories", drift.vanished_categories}});
  }
  return json;
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string_view DriftKindName(DriftKind kind) {
  switch (kind) {
    case DriftKind::kNumeric:
      return "numeric";
    case DriftKind::kCategorical:
      return "categorical";
    case DriftKind::kIdentifier:
      return "identifier";
    case DriftKind::kEmpty:
      return "empty";
  }
  return "empty";
}

Drift CompareSummaries(const Summary& reference, const Summary& now, const std::vector<std::string>& columns) {
  std::vector<std::string> names = columns;
  if (names.empty()) {
    for (const ColumnSummary& column : reference.columns) names.push_back(column.column.name);
    for (const ColumnSummary& column : now.columns) {
      if (!Find(reference, column.column.name)) names.push_back(column.column.name);
    }
  }
  Drift drift;
  for (const std::string& name : names) {
    const ColumnSummary *was = Find(reference, name), *is = Find(now, name);
    if (!was && !is)
      drift.schema_differences.push_back("there is no column " + Quoted(name));
    else if (!is)
      drift.schema_differences.push_back("column " + Quoted(name) + " is gone");
    else if (!was)
      drift.schema_differences.push_back("column " + Quoted(name) + " is new");
    else if (!(was->column == is->column))
      drift.schema_differences.push_back(
          fmt::format("column {} holds {} instead of {}", Quoted(name), TypeText(is->column), TypeText(was->column)));
    else
      drift.columns.push_back(CompareColumns(*was, *is));
  }
  for (std::size_t i = 0; i < drift.columns.size(); ++i) {
    const ColumnDrift& column = drift.columns[i];
    const bool counts = column.psi > column.psi_noise;
    if (counts && (drift.worst < 0 || column.psi > drift.columns[static_cast<std::size_t>(drift.worst)].psi)) {
      drift.worst = static_cast<int>(i);
    }
  }
  return drift;
}

std::string ColumnDriftsToJson(std::span<const ColumnDrift> drifts) { return Dump(ToJson(drifts)); }

std::string DriftToJson(const Drift& drift) {
  nlohmann::ordered_json json{{"worst", nullptr}, {"schema_differences", drift.schema_differences}};
  if (drift.worst >= 0) json["worst"] = drift.columns[static_cast<std::size_t>(drift.worst)].column;
  json["columns"] = ToJson(drift.columns);
  return Dump(json);
}

}  // namespace ratchet::lake
