#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::lake {

// Limits of a summary. Wide tables get less of each a column, so that a summary stays within some 60 MB of memory and
// 30 MB of JSON: SampleLimit() and CategoryLimit() say how much.
inline constexpr std::size_t kSampleValues = 8'192;
inline constexpr std::size_t kSampleValuesInAll = 1'048'576;
inline constexpr std::size_t kCategories = 1'000;
inline constexpr std::size_t kCategoriesInAll = 200'000;
inline constexpr std::size_t kCategoryTextBytes = 64;  // what is kept of a value's text, for people to read
std::size_t SampleLimit(std::size_t columns);
std::size_t CategoryLimit(std::size_t columns);

// One value of a sample and the hash that chose it.
struct SampledValue {
  std::uint64_t hash = 0;
  double value = 0;
  auto operator<=>(const SampledValue&) const = default;
};

// One value of a column of categories, and how many rows have it.
struct Category {
  std::uint64_t hash = 0;
  std::string text;
  std::int64_t rows = 0;
  bool operator==(const Category&) const = default;
};

// What is known of one column. Numbers are integers, reals and, for blobs, the mean of their bytes (0–255; the
// brightness of an image). NaN is missing; infinities are sampled but not in `min`, `max` and `mean`.
struct ColumnSummary {
  Column column;
  std::int64_t rows = 0, missing = 0;
  std::int64_t finite = 0;  // rows with a finite number
  double min = 0, max = 0;  // of the finite ones; 0 where there are none
  double mean = 0;
  // Bottom-k sample: the values of the rows whose hash is smallest, in the order of the hashes. Uniform, without
  // replacement, and the same whatever the order of merging. Every number where there are at most k.
  std::vector<SampledValue> sample;
  // Text and integers. The values whose own hash is smallest, in that order, with exact counts; the rest is pooled. A
  // value below the largest hash of a full list is therefore counted in full in every summary, which makes two
  // comparable and merging exact.
  std::vector<Category> categories;
  std::int64_t pooled = 0;  // rows with none of these values

  bool operator==(const ColumnSummary&) const = default;
};

struct Summary {
  std::int64_t rows = 0;
  std::vector<ColumnSummary> columns;  // in the schema's order

  Schema schema() const;
  bool operator==(const Summary&) const = default;
};

// Builds a summary row by row, in bounded memory. One thread.
class Summariser {
 public:
  explicit Summariser(const Schema& schema);
  ~Summariser();
  Summariser(Summariser&&) noexcept;
  Summariser& operator=(Summariser&&) noexcept;

  void Add(const Row& row);  // of the schema
  Summary Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads a pack once. Its summary depends on its rows alone, so it may be kept for as long as the pack is.
Result<Summary> Summarise(const std::string& pack);

// The summary of both packs' rows: Merge(a, b) equals Merge(b, a), and merging is associative but for the last bits of
// `mean`. kInvalid where the schemas differ. A summary without columns merges to the other one.
Result<Summary> Merge(const Summary& a, const Summary& b);

// {"format":1,"rows":…,"schema":[…],"columns":[{"rows","missing","finite","min","max","mean","pooled","categories":
// [["hash as hex","text",rows],…],"sample":"base64 of 16 bytes a value: hash and IEEE 754 double, little-endian"},…]}.
// Reading gives back what was written, bit for bit; kCorrupt for anything else.
std::string SummaryToJson(const Summary& summary);
Result<Summary> SummaryFromJson(std::string_view json);

}  // namespace ratchet::lake
