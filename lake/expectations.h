#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "lake/drift.h"
#include "lake/pack.h"
#include "lake/summary.h"

namespace ratchet::lake {

inline constexpr std::size_t kMaxExpectations = 1'000;
inline constexpr std::size_t kExpectationExamples = 5;
inline constexpr std::size_t kMaxMatchedBytes = 4'096;  // a longer text fails `matches`
inline constexpr std::size_t kMaxPatternBytes = 1'000;
inline constexpr std::size_t kMaxColumnsTogether = 16;           // of one `unique`
inline constexpr std::int64_t kFutureLeewayUs = 86'400'000'000;  // a `fresh` time further ahead of now is a fault

// `rows`: how many rows there must be, all packs together.
struct RowCount {
  std::optional<std::int64_t> min, max;  // inclusive
  bool operator==(const RowCount&) const = default;
};

// `fresh`: the newest time of a column is at most so old (lake/time_text.h says what is read as a time).
struct Freshness {
  std::string column;
  std::int64_t within_s = 0;
  bool operator==(const Freshness&) const = default;
};

// `like: live`: the same schema as the live version's training data, and columns distributed alike (lake/drift.h).
// A column fails where its index is over `psi_at_most` and over what chance explains (ColumnDrift::psi_noise), or where
// `ks_at_most` is given and exceeded. Columns of identifiers and free text are passed over.
struct LikeLive {
  std::vector<std::string> columns;  // empty = all
  double psi_at_most = 0.2;
  std::optional<double> ks_at_most;
  bool operator==(const LikeLive&) const = default;
};

// One entry of `data.expect`. It has one of five forms: about a column (all that is given must hold; missing values
// count for `not_null` and `missing_at_most` only), or one of `unique_together`, `rows`, `fresh` and `like`.
struct Expectation {
  std::string column;                     // empty in the other forms
  std::vector<Value> in;                  // one of these; numbers compare by value; empty = not asked
  std::optional<double> min, max;         // inclusive; columns of numbers
  std::optional<double> missing_at_most;  // fraction of all rows, 0 to 1
  bool not_null = false;
  bool unique = false;                 // a value that came before fails
  std::optional<std::string> matches;  // ECMAScript pattern that must be found in the text (anchor it by ^ and $)
  std::optional<ColumnType> type;      // of the schema; where it is another, nothing else of the entry is checked

  // No two rows with the same values in all of these; rows that miss one of them are passed over.
  std::vector<std::string> unique_together;
  std::optional<RowCount> rows;
  std::optional<Freshness> fresh;
  std::optional<LikeLive> like;

  bool operator==(const Expectation&) const = default;
};

// "column \"price\"", "unique [a, b]", "rows", "fresh \"ts\"", "like live": names the entry in a sentence.
std::string ExpectationSubject(const Expectation& expectation);

struct RowExample {
  std::int64_t row = 0;                               // counted from 1 over all packs, in the order they were given
  std::vector<std::pair<std::string, Value>> values;  // what offends, by column; long texts cut, blobs as their size
  bool operator==(const RowExample&) const = default;
};

struct CheckResult {
  Expectation expectation;
  bool passed = true;
  std::int64_t failing_rows = 0;     // 0 also where no single row is at fault: too few rows, stale, unlike live
  std::vector<RowExample> examples;  // in row order; at most kExpectationExamples. Of stale data: the newest row
  std::string message;               // one sentence where it failed, or where there was nothing to compare with
  std::vector<ColumnDrift> drift;    // of `like`: the columns that failed, worst first; at most kDriftsTold
};
inline constexpr std::size_t kDriftsTold = 20;

// What the checks need beside the packs.
struct EvaluateOptions {
  std::int64_t now_us = 0;        // for `fresh`; 0 = the machine's clock
  const Summary* live = nullptr;  // of the live version's training data, for `like`; null = no live version
  std::string scratch;            // folder for `unique` over more than kKeysInMemory values; empty = the system's
};

// [{"column":"price","min":0},{"unique":["a","b"]},{"rows":{"min":100}},{"fresh":{"column":"ts","within":"2d"}},
// {"like":"live","columns":["price"],"psi_at_most":0.2}]. kInvalid with every fault in `details`, each with its
// path ("expect[1].min") and without a line; `field` is that of the first.
Result<std::vector<Expectation>> ExpectationsFromJson(std::string_view json);
// One entry, whose path ("data.expect[1]") begins the path of each fault.
Result<Expectation> ExpectationFromJson(std::string_view json, const std::string& path);

// Against the columns: they exist, `min`, `max`, `in` and `fresh` suit their types. Done by Evaluate as well.
Status CheckExpectations(const std::vector<Expectation>& expectations, const Schema& schema);

// Reads the packs once, in bounded memory, and answers in the order of the expectations. `unique` is exact (up to 128
// bits of SHA-256): its values take memory for kKeysInMemory of them (lake/repeat_finder.h) over all entries, then 24
// bytes each on disk in `scratch`, and its examples are looked up in the packs once more. kTooLarge is the answer
// beyond 10^9 values, divided by the number of entries that ask for it.
Result<std::vector<CheckResult>> Evaluate(const std::vector<Expectation>& expectations,
                                          const std::vector<std::string>& packs, const EvaluateOptions& options = {});

// [{"expect":{…},"passed":false,"failing_rows":1,"examples":[{"row":3,"values":{"price":-2.0}}],"message":"…"}], as
// `checks` of result.json; `message` where there is one, `drift` (as in DriftToJson) for `like` alone.
std::string CheckResultsToJson(const std::vector<CheckResult>& results);

}  // namespace ratchet::lake
