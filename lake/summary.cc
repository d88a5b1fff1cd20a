#include "lake/summary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "base/names.h"
#include "lake/split.h"

namespace ratchet::lake {
namespace {

// Hashes are kept in files and compared between them, so they must never change. FNV-1a with the finaliser of
// SplitMix64, whose bits are even enough to choose a sample by.
constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325, kFnvPrime = 0x100000001b3;

std::uint64_t Finalised(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t HashText(std::string_view text) {
  std::uint64_t hash = kFnvStart;
  for (unsigned char c : text) hash = (hash ^ c) * kFnvPrime;
  return Finalised(hash);
}

std::uint64_t HashValue(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return Finalised(static_cast<std::uint64_t>(*integer));
  if (auto* real = std::get_if<double>(&value)) return Finalised(std::bit_cast<std::uint64_t>(*real));
  if (auto* text = std::get_if<std::string>(&value)) return HashText(*text);
  return kFnvStart;
}

// Of the row's number and values: rows with equal values differ, and so do rows with one number in two packs.
std::uint64_t HashRow(std::int64_t number, const Row& row) {
  std::uint64_t hash = static_cast<std::uint64_t>(number);
  for (const Value& value : row) hash = Finalised(hash ^ HashValue(value));
  return hash;
}

// A text for people: valid UTF-8, cut between characters.
std::string ShownText(std::string_view text) {
  if (text.size() > kCategoryTextBytes) {
    std::size_t end = kCategoryTextBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end);
  }
  return IsUtf8Text(text) ? std::string(text) : Quoted(text);
}

double MeanByte(std::string_view bytes) {
  const auto sum = std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0},
                                   [](std::uint64_t so_far, char c) { return so_far + static_cast<unsigned char>(c); });
  return static_cast<double>(sum) / static_cast<double>(bytes.size());
}

std::optional<double> NumberOf(const Value& value, ColumnType type) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (auto* real = std::get_if<double>(&value)) return *real;
  if (type != ColumnType::kBlob) return std::nullopt;
  auto* bytes = std::get_if<std::string>(&value);
  return bytes == nullptr || bytes->empty() ? std::nullopt : std::optional(MeanByte(*bytes));
}

bool HasCategories(ColumnType type) { return type == ColumnType::kText || type == ColumnType::kInteger; }

// The mean of two groups; the order of the two makes no difference, and nothing overflows on the way.
double MeanOf(double a, std::int64_t a_rows, double b, std::int64_t b_rows) {
  const double all = static_cast<double>(a_rows + b_rows);
  return a * (static_cast<double>(a_rows) / all) + b * (static_cast<double>(b_rows) / all);
}

// One column while the rows go by.
class ColumnSketch {
 public:
  ColumnSketch(const Column& column, std::size_t sample_limit, std::size_t category_limit)
      : sample_limit_(sample_limit), category_limit_(category_limit) {
    summary_.column = column;
  }

  void Add(const Value& value, std::uint64_t row_hash) {
    ++summary_.rows;
    auto* real = std::get_if<double>(&value);
    if (std::holds_alternative<std::monostate>(value) || (real && std::isnan(*real))) {
      ++summary_.missing;
      return;
    }
    if (auto number = NumberOf(value, summary_.column.type)) AddNumber(*number, row_hash);
    if (HasCategories(summary_.column.type)) AddCategory(value);
  }

  ColumnSummary Finish() {
    std::sort_heap(summary_.sample.begin(), summary_.sample.end());
    for (auto& [hash, category] : categories_) summary_.categories.push_back(std::move(category));
    return std::move(summary_);
  }

 private:
  void AddNumber(double number, std::uint64_t hash) {
    if (std::isfinite(number)) {
      const bool first = summary_.finite++ == 0;
      summary_.min = first ? number : std::min(summary_.min, number);
      summary_.max = first ? number : std::max(summary_.max, number);
      const double rows = static_cast<double>(summary_.finite);
      summary_.mean += number / rows - summary_.mean / rows;
    }
    auto& sample = summary_.sample;
    const SampledValue value{hash, number};
    if (sample.size() == sample_limit_) {
      if (!(value < sample.front())) return;
      std::pop_heap(sample.begin(), sample.end());
      sample.pop_back();
    }
    sample.push_back(value);
    std::push_heap(sample.begin(), sample.end());
  }

  void AddCategory(const Value& value) {
    text_.clear();
    std::visit([&](const auto& inner) { AppendKeyText(Cell(inner), text_); }, value);
    const std::uint64_t hash = HashText(text_);
    const bool full = categories_.size() == category_limit_;
    if (full && hash > categories_.rbegin()->first) {
      ++summary_.pooled;
      return;
    }
    auto [at, added] = categories_.try_emplace(hash);
    ++at->second.rows;
    if (!added) return;
    at->second.hash = hash;
    at->second.text = ShownText(text_);
    if (!full) return;
    summary_.pooled += categories_.rbegin()->second.rows;
    categories_.erase(std::prev(categories_.end()));
  }

  const std::size_t sample_limit_, category_limit_;
  ColumnSummary summary_;                         // its sample is a heap, the largest hash in front
  std::map<std::uint64_t, Category> categories_;  // by hash
  std::string text_;
};

std::vector<SampledValue> MergeSamples(const std::vector<SampledValue>& a, const std::vector<SampledValue>& b,
                                       std::size_t limit) {
  std::vector<SampledValue> merged;
  merged.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(merged));
  if (merged.size() > limit) merged.resize(limit);
  return merged;
}

// What lies beyond the last hash of a full list was pooled there, so the list of both ends no later than that.
void MergeCategories(const ColumnSummary& a, const ColumnSummary& b, std::size_t limit, ColumnSummary& to) {
  std::map<std::uint64_t, Category> merged;
  for (const ColumnSummary* from : {&a, &b}) {
    for (const Category& category : from->categories) {
      auto [at, added] = merged.try_emplace(category.hash, category);
      if (!added) at->second.rows += category.rows;
    }
  }
  to.pooled = a.pooled + b.pooled;
  for (auto& [hash, category] : merged) {
    if (to.categories.size() < limit)
      to.categories.push_back(std::move(category));
    else
      to.pooled += category.rows;
  }
}

ColumnSummary MergeColumns(const ColumnSummary& a, const ColumnSummary& b, std::size_t columns) {
  ColumnSummary merged{.column = a.column, .rows = a.rows + b.rows, .missing = a.missing + b.missing};
  merged.finite = a.finite + b.finite;
  const ColumnSummary& some = a.finite > 0 ? a : b;
  merged.min = a.finite > 0 && b.finite > 0 ? std::min(a.min, b.min) : some.min;
  merged.max = a.finite > 0 && b.finite > 0 ? std::max(a.max, b.max) : some.max;
  if (merged.finite > 0) merged.mean = MeanOf(a.mean, a.finite, b.mean, b.finite);
  merged.sample = MergeSamples(a.sample, b.sample, SampleLimit(columns));
  MergeCategories(a, b, CategoryLimit(columns), merged);
  return merged;
}

}  // namespace

std::size_t SampleLimit(std::size_t columns) {
  return std::min(kSampleValues, kSampleValuesInAll / std::max<std::size_t>(columns, 1));
}

std::size_t CategoryLimit(std::size_t columns) {
  return std::min(kCategories, kCategoriesInAll / std::max<std::size_t>(columns, 1));
}

Schema Summary::schema() const {
  Schema schema;
  for (const ColumnSummary& column : columns) schema.columns.push_back(column.column);
  return schema;
}

struct Summariser::State {
  std::int64_t rows = 0;
  std::vector<ColumnSketch> columns;
};

Summariser::Summariser(const Schema& schema) : state_(std::make_unique<State>()) {
  const std::size_t columns = schema.columns.size();
  for (const Column& column : schema.columns) {
    state_->columns.emplace_back(column, SampleLimit(columns), CategoryLimit(columns));
  }
}

Summariser::~Summariser() = default;
Summariser::Summariser(Summariser&&) noexcept = default;
Summariser& Summariser::operator=(Summariser&&) noexcept = default;

void Summariser::Add(const Row& row) {
  RATCHET_CHECK(row.size() == state_->columns.size());
  const std::uint64_t hash = HashRow(++state_->rows, row);
  for (std::size_t i = 0; i < row.size(); ++i) state_->columns[i].Add(row[i], hash);
}

Summary Summariser::Finish() {
  Summary summary{.rows = state_->rows, .columns = {}};
  for (ColumnSketch& column : state_->columns) summary.columns.push_back(column.Finish());
  return summary;
}

Result<Summary> Summarise(const std::string& pack) {
  RATCHET_ASSIGN(auto reader, PackReader::Open({pack}));
  Summariser summariser(reader->schema());
  while (true) {
    RATCHET_ASSIGN(std::optional<Row> row, reader->NextRow());
    if (!row) return summariser.Finish();
    summariser.Add(*row);
  }
}

Result<Summary> Merge(const Summary& a, const Summary& b) {
  if (a.columns.empty()) return b;
  if (b.columns.empty()) return a;
  if (!(a.schema() == b.schema())) {
    return Fail(ErrorCode::kInvalid, "merge two summaries", "", "their schemas differ");
  }
  Summary merged{.rows = a.rows + b.rows, .columns = {}};
  for (std::size_t i = 0; i < a.columns.size(); ++i) {
    merged.columns.push_back(MergeColumns(a.columns[i], b.columns[i], a.columns.size()));
  }
  return merged;
}

}  // namespace ratchet::lake
