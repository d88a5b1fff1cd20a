#include "plugins/tabular/features.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace ratchet::tabular {
namespace {

constexpr size_t kMaxDistinctTexts = 1'000'000;  // per column: beyond it a new text is taken for unknown

bool IsNumber(const lake::Column& column) {
  return column.type == lake::ColumnType::kInteger || column.type == lake::ColumnType::kReal;
}

std::vector<double> QuantileEdges(const std::vector<double>& sorted, std::int64_t bins) {
  std::vector<double> edges;
  for (std::int64_t i = 0; i <= bins; ++i) {
    const auto at = static_cast<size_t>(
        std::llround(static_cast<double>(i) / static_cast<double>(bins) * static_cast<double>(sorted.size() - 1)));
    if (edges.empty() || sorted[at] > edges.back()) edges.push_back(sorted[at]);
  }
  return edges;
}

NumberFeature MakeNumber(const lake::Column& column, std::vector<double> values, std::int64_t bins) {
  NumberFeature feature{.column = column};
  if (values.empty()) return feature;
  std::ranges::sort(values);
  feature.median = values[values.size() / 2];
  double sum = 0, squares = 0;
  for (const double value : values) sum += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - sum) * (value - sum) / static_cast<double>(values.size());
  feature.mean = sum;
  feature.deviation = squares > 0 && std::isfinite(squares) ? std::sqrt(squares) : 1;
  feature.edges = QuantileEdges(values, bins);
  return feature;
}

CategoryFeature MakeCategory(const lake::Column& column, const std::map<std::string, std::int64_t>& counts,
                             std::int64_t most) {
  std::vector<std::pair<std::string, std::int64_t>> frequent;
  for (const auto& [text, count] : counts)
    if (count > 1) frequent.emplace_back(text, count);
  std::ranges::stable_sort(frequent, [](const auto& a, const auto& b) { return a.second > b.second; });
  if (static_cast<std::int64_t>(frequent.size()) > most) frequent.resize(most);
  CategoryFeature feature{.column = column};
  for (auto& [text, count] : frequent) feature.categories.push_back(std::move(text));
  return feature;
}

nlohmann::json InputOf(const lake::Column& column, const char* datatype) {
  return {{"name", column.name}, {"datatype", datatype}, {"shape", {-1}}, {"column", column.name}};
}

}  // namespace

Result<std::vector<lake::Column>> FeatureColumns(const lake::Schema& schema, const std::string& target,
                                                 const std::string& key) {
  std::vector<lake::Column> columns;
  for (const lake::Column& column : schema.columns)
    if (column.name != target && column.name != key && column.type != lake::ColumnType::kBlob)
      columns.push_back(column);
  if (columns.empty())
    return Fail(ErrorCode::kInvalid, "find features beside target", Quoted(target),
                "the dataset has no other number or text column", "Push rows with columns to learn from.");
  if (columns.size() > kMaxFeatures)
    return Fail(
        ErrorCode::kTooLarge, "find features beside target", Quoted(target),
        fmt::format("the dataset has {} columns, and at most {} can be features", columns.size(), kMaxFeatures));
  return columns;
}

FeatureFinder::FeatureFinder(std::vector<lake::Column> columns)
    : columns_(std::move(columns)), values_(columns_.size()), counts_(columns_.size()) {}

void FeatureFinder::Add(const lake::Batch& batch, const std::vector<std::uint8_t>& usable) {
  for (size_t c = 0; c < columns_.size(); ++c) {
    const lake::ColumnBatch& column = batch.columns[c];
    for (std::int64_t i = 0; i < batch.rows; ++i) {
      if (!usable[i] || column.missing[i]) continue;
      if (IsNumber(columns_[c])) {
        const double value =
            columns_[c].type == lake::ColumnType::kInteger ? static_cast<double>(column.integers[i]) : column.reals[i];
        if (std::isfinite(value)) values_[c].push_back(value);
      } else if (!column.texts[i].empty()) {
        if (const auto it = counts_[c].find(column.texts[i]); it != counts_[c].end())
          ++it->second;
        else if (counts_[c].size() < kMaxDistinctTexts)
          counts_[c].emplace(column.texts[i], 1);
      }
    }
  }
}

Features FeatureFinder::Finish(std::int64_t max_categories, std::int64_t max_bins) {
  Features features;
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (IsNumber(columns_[c]))
      features.numbers.push_back(MakeNumber(columns_[c], std::move(values_[c]), max_bins));
    else
      features.categories.push_back(MakeCategory(columns_[c], counts_[c], max_categories));
  }
  return features;
}

nlohmann::json InputsOf(const Features& features) {
  nlohmann::json inputs = nlohmann::json::array();
  for (const NumberFeature& feature : features.numbers) inputs.push_back(InputOf(feature.column, "FP64"));
  for (const CategoryFeature& feature : features.categories) inputs.push_back(InputOf(feature.column, "BYTES"));
  return inputs;
}

}  // namespace ratchet::tabular
