#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "gate/comparison.h"
#include "gate/mean_test.h"
#include "gate/paired_tests.h"
#include "gate/sampling.h"

// The right test for a comparison, chosen from what its gains are and how its rows came about; the decision and the
// slices are both made of it.
namespace ratchet::gate {

using Statistic = std::variant<ShareCounts, MeanEstimate>;

struct Measured {
  // ShareCounts for right-or-wrong rows that are one observation each and weigh alike, MeanEstimate for all else.
  Statistic statistic;
  Units units;
  double difference = 0;              // the (weighted) mean gain
  std::int64_t wins = 0, losses = 0;  // rows with a gain above, below 0, of weight above 0
  // False where all rows belong to one group or one time: then chance cannot be measured, p is 1 and bounds are open.
  bool can_tell = true;
  bool timed = false;
};

// kInvalid: what SumUnits refuses, gains other than −1, 0 and 1 in a comparison that says zero_one, and gains so large
// that their spread is not finite.
Result<Measured> Measure(const Comparison& comparison, const Sampling& sampling);

// p of "the gain is at most `gain`", one-sided; the gains it does not refute at alpha; see paired_tests.h and mean_test.h.
double PValue(const Measured& measured, double gain);
double LowerBound(const Measured& measured, double alpha);
double UpperBound(const Measured& measured, double alpha);
// p of "the gain is at least `gain`": the same test the other way round.
double PValueOfLoss(const Measured& measured, double gain);
// Rows in all, at the present number of rows an observation, that would bring PValue(gain) to alpha with this power.
double RowsForPower(const Measured& measured, double gain, double alpha, double power);

// "mcnemar_exact", "tango_score", "paired_t", "clustered_t", "diebold_mariano", "none"; gain: the one that is tested.
std::string_view TestName(const Measured& measured, double gain);

}  // namespace ratchet::gate
