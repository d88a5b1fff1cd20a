#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gate/comparison.h"
#include "gate/method.h"
#include "gate/sampling.h"

// The gate: plain values in, a decision out. No I/O, no clock; randomness only from a seed that is given, and in nothing
// but the interval that is shown.
namespace ratchet::gate {

// What one per-row score means.
enum class PerRow {
  kCorrect,        // 1 right, 0 wrong; higher is better
  kAbsoluteError,  // lower is better
  kSquaredError,   // lower is better
  kLogLoss,        // lower is better
};

std::string_view PerRowName(PerRow per_row);  // "correct", "absolute_error", "squared_error", "log_loss"
Result<PerRow> PerRowFromName(std::string_view name);

enum class RuleKind {
  kBetter,    // promote what is proven to gain more than better_by
  kNotWorse,  // promote what is proven to lose less than margin: for refreshes on newer data
};

struct Rule {
  double better_by = 0.0;    // least gain that counts, in the metric's unit, ≥ 0
  double confidence = 0.95;  // 1 − α, one-sided, in [0.5, 1): over all looks where there is a ledger
  RuleKind kind = RuleKind::kBetter;
  double margin = 0.0;  // largest loss that does not count, in the metric's unit; > 0 under kNotWorse
  Method method = kNewestMethod;
};

// Which look at these rows this is, and the level it is judged at (gate/alpha_ledger.h).
struct Look {
  std::int64_t number = 0;  // from 1; 0 = there is no ledger
  double level = 0;         // in (0, 0.5]; 0 = all of the rule's α
};
// The number-th look, number ≥ 1, at rows whose looks together may cost the rule's α.
Look LookUnder(const Rule& rule, std::int64_t number);

// How the interval that is shown is made.
struct Shown {
  std::uint64_t seed = 1;
  std::int64_t most_draws = 40'000'000;  // see gate/bca.h; 0 = no resampling
};

enum class Verdict { kBetter, kNotBetter, kNotWorse, kWorse, kInconclusive };
std::string_view VerdictName(Verdict verdict);  // "better", "not_better", "not_worse", "worse", "inconclusive"

// All that the verdict rests on, in the metric's own unit. Differences are oriented so that positive means the candidate
// is better.
//
// Tests, all one-sided against H0 "the gain is at most the bar", where the bar is better_by or −margin:
// - mcnemar_exact:   right-or-wrong rows, bar = 0 (gate/paired_tests.h);
// - tango_score:     right-or-wrong rows, any other bar: Tango's score test, continuity-corrected;
// - paired_t:        one observation a row: studentised mean gain (gate/mean_test.h);
// - clustered_t:     rows in groups or with weights: the same over the groups' sums, right-or-wrong rows included;
// - diebold_mariano: rows in the order of time;
// - none:            all rows are one observation, or the horizon is as long as half of them: nothing to measure chance
//   by. Inconclusive.
// Groups that are all different, and weights that are all equal, are as if there were none.
//
// Verdict under kBetter (kNotWorse in brackets):
// - kBetter [kNotWorse]: p_value ≤ alpha. The same as lower_bound > bar, always. The only ones that promote.
// - kNotBetter [kWorse]: otherwise, when the estimate itself is at most the bar.
// - kInconclusive:       otherwise: the estimate is above the bar, but chance explains it well enough.
struct Decision {
  Verdict verdict = Verdict::kInconclusive;
  bool promotes = false;
  std::string test;
  std::int64_t rows = 0;   // of weight above 0
  std::int64_t units = 0;  // independent observations: rows, groups or times
  double candidate = 0, opponent = 0;
  double difference = 0;   // oriented gain
  double lower_bound = 0;  // one-sided, at level `alpha`: the test turned round
  // For people: two-sided at `confidence`, by the method of gate/shown_interval.h. It may lie above the bar without a
  // verdict that promotes, since a later look asks for more.
  double interval_low = 0, interval_high = 0;
  std::string interval_method;
  double confidence = 0.95;
  std::int64_t look = 0;
  double alpha = 0.05;                // level of this look
  double p_value = 1;                 // in (0, 1]
  std::int64_t wins = 0, losses = 0;  // rows on which the candidate did better, worse
  RuleKind rule = RuleKind::kBetter;
  double better_by = 0, margin = 0;
  std::optional<std::int64_t> rows_needed;  // inconclusive: further rows that would settle it at this level with 80 %
                                            // power, if the estimate is right; none beyond kMostRowsNeeded
  std::string reason;                       // one sentence for people
};

inline constexpr std::int64_t kMostRowsNeeded = 1'000'000'000'000;

// kInvalid, in words for people: no rows, gains that are not finite or not −1, 0 or 1 where the comparison says so, other
// numbers of groups, weights or times than of rows, weights below 0 or all 0, scores so large that their spread is not
// finite, a rule or look out of range. The order of the rows does not matter, to the last bit, unless they are timed.
Result<Decision> Decide(const Comparison& comparison, const Sampling& sampling, const Rule& rule, const Look& look = {},
                        const Shown& shown = {});

// Scores of candidate and opponent on the same rows, in the same order.
struct PairedScores {
  PerRow per_row = PerRow::kCorrect;
  std::span<const double> candidate;
  std::span<const double> opponent;
};

// The comparison of the means of per-row scores; for kSquaredError of the square roots of those means (rmse), with the
// gains by the delta method (each row's squared error over twice its model's rmse). kInvalid: no rows, different
// lengths, scores that are not finite, kCorrect scores other than 0 and 1, negative errors.
Result<Comparison> CompareScores(const PairedScores& scores);

// Both in one; wins and losses are by the scores themselves.
Result<Decision> Decide(const PairedScores& scores, const Rule& rule, const Shown& shown = {});

}  // namespace ratchet::gate
