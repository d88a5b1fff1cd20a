#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::lake {

inline constexpr std::size_t kMaxExpectations = 1'000;
inline constexpr std::size_t kExpectationExamples = 5;
inline constexpr std::size_t kMaxMatchedBytes = 4'096;  // a longer text fails `matches`

// One entry of `data.expect`: what must hold for a column. All that is given must hold. Missing values count for
// `not_null` and `missing_at_most` only.
struct Expectation {
  std::string column;
  std::vector<Value> in;                  // one of these; numbers compare by value; empty = not asked
  std::optional<double> min, max;         // inclusive; columns of numbers
  std::optional<double> missing_at_most;  // fraction of all rows, 0 to 1
  bool not_null = false;
  bool unique = false;                 // a value that came before fails; exact, 8 bytes of memory a row
  std::optional<std::string> matches;  // ECMAScript pattern that must be found in the text (anchor it by ^ and $)

  bool operator==(const Expectation&) const = default;
};

struct CheckResult {
  Expectation expectation;
  bool passed = true;
  std::int64_t failing_rows = 0;  // rows at fault; for missing_at_most alone, the missing ones where there are too many
  std::vector<Value> examples;    // of failing rows, in row order; at most kExpectationExamples
};

// [{"column":"price","min":0,"missing_at_most":0.01,"in":[…],"unique":true,"not_null":true,"matches":"^..$"}]; kInvalid
// with `field` = "expect[1].min" for unknown keys, wrong types and impossible values.
Result<std::vector<Expectation>> ExpectationsFromJson(std::string_view json);

// Against the columns: they exist, `min`, `max` and `in` suit their types, patterns are valid. Done by Evaluate as
// well.
Status CheckExpectations(const std::vector<Expectation>& expectations, const Schema& schema);

// Reads the packs once (twice where a `unique` finds candidates) and answers in the order of the expectations.
Result<std::vector<CheckResult>> Evaluate(const std::vector<Expectation>& expectations,
                                          const std::vector<std::string>& packs);

// [{"expect":{…},"passed":true,"failing_rows":0,"examples":[…]}], as `checks` of result.json.
std::string CheckResultsToJson(const std::vector<CheckResult>& results);

}  // namespace ratchet::lake
