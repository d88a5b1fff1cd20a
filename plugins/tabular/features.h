#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::tabular {

// A number column as the model sees it. All figures are of the training rows that have a value.
struct NumberFeature {
  lake::Column column;
  double median = 0;  // stands in for a missing value
  double mean = 0, deviation = 1;
  std::vector<double> edges;  // ascending quantiles without repeats: the bins of the piecewise linear encoding
};

// A text column as the model sees it: one code a category. Codes 0 and 1 stand for unknown and missing.
struct CategoryFeature {
  lake::Column column;
  std::vector<std::string> categories;  // categories[i] has code kFirstCategory + i
};

inline constexpr std::int64_t kUnknownCategory = 0;
inline constexpr std::int64_t kMissingCategory = 1;
inline constexpr std::int64_t kFirstCategory = 2;

// Every feature, in the order of the schema within its kind.
struct Features {
  std::vector<NumberFeature> numbers;
  std::vector<CategoryFeature> categories;
};

// The columns of the schema that can be features: numbers and texts but the target and the key. kInvalid: there is
// none, or more than kMaxFeatures.
inline constexpr size_t kMaxFeatures = 1000;
Result<std::vector<lake::Column>> FeatureColumns(const lake::Schema& schema, const std::string& target,
                                                 const std::string& key);

// Gathers what the features of some columns are. Fed with the training rows alone.
class FeatureFinder {
 public:
  explicit FeatureFinder(std::vector<lake::Column> columns);
  // Takes the rows of a batch for which `usable` is 1; its columns are those of the constructor, in order.
  void Add(const lake::Batch& batch, const std::vector<std::uint8_t>& usable);
  // `max_categories`: how many of a column's most frequent texts get a code of their own; rarer ones, and those seen
  // only once, are unknown.
  Features Finish(std::int64_t max_categories, std::int64_t max_bins);

 private:
  std::vector<lake::Column> columns_;
  std::vector<std::vector<double>> values_;                  // per column; numbers only
  std::vector<std::map<std::string, std::int64_t>> counts_;  // per column; texts only
};

// The "inputs" of the signature: FP64 for numbers, BYTES for texts, each of shape [-1], in the order numbers,
// categories.
nlohmann::json InputsOf(const Features& features);

}  // namespace ratchet::tabular
