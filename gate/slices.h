#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/comparison.h"
#include "gate/decision.h"
#include "gate/sampling.h"

// No part of the rows may be proven worse than the live version beyond its margin, however good the mean is.
namespace ratchet::gate {

// One slice: the comparison over its rows only, and how they were sampled (owned here, empty or one a row).
struct SliceInput {
  std::string name;     // "region = north"
  double margin = 0;    // loss that does not count, in the metric's unit, ≥ 0
  Comparison comparison;  // may hold no rows
  std::vector<std::uint64_t> group;
  std::vector<double> weight;
  std::vector<std::int64_t> time;
  int horizon = 1;
};

// The rows (by index, ascending) of a comparison that is a mean over rows. Its figures stay those of the whole; of them
// only the size is used. For any other metric the slice's own comparison is right.
SliceInput PickSlice(std::string name, double margin, const Comparison& whole, const Sampling& sampling,
                     std::span<const std::uint32_t> rows);

enum class SliceState {
  kHolds,       // not proven worse; detectable_loss says what that is worth
  kWorse,       // proven worse than the margin
  kTooSmall,    // fewer rows than min_rows: too small to tell, not tested
  kCannotTell,  // all rows are one observation
};
std::string_view SliceStateName(SliceState state);  // "holds", "worse", "too_small", "cannot_tell"

struct SliceOutcome {
  std::string name;
  SliceState state = SliceState::kHolds;
  std::int64_t rows = 0, units = 0;
  std::int64_t wins = 0, losses = 0;
  double margin = 0;
  double difference = 0;  // oriented: below 0 the candidate is worse; 0 without rows
  double interval_low = 0, interval_high = 0;  // as in Decision, at `confidence`
  std::string test;
  double p_worse = 1;     // of "no worse than the margin", one-sided
  double p_adjusted = 1;  // over the slices that were tested (gate/step_down.h)
  // The loss that would be proven with 80 % power at alpha / slices tested, by the spread seen. Infinite where not tested.
  double detectable_loss = 0;
};

struct SliceRule {
  std::int64_t min_rows = 100;
  double confidence = 0.95;  // 1 − the chance that any slice that is no worse than its margin is called worse
  Shown shown;               // most_draws is for all slices together
  Method method = kNewestMethod;
};

struct SliceReport {
  std::vector<SliceOutcome> slices;  // in the order given
  bool any_worse = false;
  std::string reason;  // one sentence for people; empty where there are no slices
};

// Each slice by the test of the decision turned round, one-sided, with Holm's step-down over those that are tested as
// gate/step_down.h sharpens it: that some slice is blamed falsely has probability at most 1 − confidence, however the
// slices overlap. The level is that of one decision, not of the ledger: a false blame keeps a candidate
// out and promotes none. kInvalid: as Decide, with the slice's name; a rule or margin out of range.
Result<SliceReport> JudgeSlices(std::span<const SliceInput> slices, const SliceRule& rule);

// The decision that stands beside these slices: where any is proven worse it does not promote, and says so. The verdict
// on the whole stays what it is.
Decision WithSlices(Decision decision, const SliceReport& report);

}  // namespace ratchet::gate
