#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

// The gate: plain values in, a decision out. No I/O, no clock, no randomness.
namespace ratchet::gate {

// What one per-row score means.
enum class PerRow {
  kCorrect,        // 1 right, 0 wrong; higher is better
  kAbsoluteError,  // lower is better
  kSquaredError,   // lower is better
  kLogLoss,        // lower is better
};

enum class Verdict { kBetter, kNotBetter, kInconclusive };

std::string_view VerdictName(Verdict verdict);  // "better", "not_better", "inconclusive"
std::string_view PerRowName(PerRow per_row);    // "correct", "absolute_error", "squared_error", "log_loss"
Result<PerRow> PerRowFromName(std::string_view name);

struct Rule {
  double better_by = 0.0;    // least gain that counts, in the metric's unit, ≥ 0
  double confidence = 0.95;  // 1 − α, one-sided, in [0.5, 1)
};

// Scores of candidate and opponent on the same rows, in the same order.
struct PairedScores {
  PerRow per_row = PerRow::kCorrect;
  std::span<const double> candidate;
  std::span<const double> opponent;
};

// All that the verdict rests on, in the metric's own unit: means of the per-row scores, and for kSquaredError the
// square roots of those means (rmse). Differences are oriented so that positive means the candidate is better.
//
// Tests, all one-sided against H0 "the gain is at most better_by" (formulas and sources in gate/paired_tests.h):
// - mcnemar_exact: 0/1 scores, better_by = 0;
// - tango_score:   0/1 scores, better_by > 0: Tango's score test, continuity-corrected, never below the exact McNemar
// p;
// - paired_t:      all else: studentised mean difference. For kSquaredError the gain is √mean(opponent) −
// √mean(candidate),
//   its spread by the delta method (each row's squared error over twice its model's rmse).
//
// Verdict:
// - kBetter:       p_value ≤ alpha. The only one that promotes. The same as lower_bound > better_by, always.
// - kNotBetter:    otherwise, when the estimate itself is at most better_by.
// - kInconclusive: otherwise: the estimate is above better_by, but chance explains it well enough.
struct Decision {
  Verdict verdict = Verdict::kInconclusive;
  std::string test;  // "mcnemar_exact", "tango_score" or "paired_t"
  std::int64_t rows = 0;
  double candidate = 0, opponent = 0;
  double difference = 0;   // oriented gain
  double lower_bound = 0;  // one-sided, at `confidence`: the test turned round
  // Two-sided at `confidence`, equal tails, by the same tests at half alpha: so it may reach down to better_by under a
  // kBetter verdict, but never lies above better_by without one. Infinite where rows that all gain alike are too few to
  // bound anything (rows < log2(2 / alpha)).
  double interval_low = 0, interval_high = 0;
  double confidence = 0.95;
  double alpha = 0.05;
  double p_value = 1;                 // in (0, 1]
  std::int64_t wins = 0, losses = 0;  // rows on which the candidate did better, worse
  double better_by = 0;
  std::optional<std::int64_t> rows_needed;  // inconclusive: further rows that would settle it at 80 % power, if the
                                            // estimate is right; none beyond kMostRowsNeeded
  std::string reason;                       // one sentence for people
};

inline constexpr std::int64_t kMostRowsNeeded = 1'000'000'000'000;

// kInvalid: no rows, different lengths, non-finite scores, kCorrect scores other than 0 and 1, negative errors, scores
// so large that their spread is not finite, a rule out of range. The order of the rows does not matter, to the last
// bit.
Result<Decision> Decide(const PairedScores& scores, const Rule& rule);

}  // namespace ratchet::gate
