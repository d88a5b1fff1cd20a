#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ratchet::gate {

// How one answered row is scored against its outcome.
enum class RowScoring {
  kCorrect,        // 1 where the label is the outcome, else 0
  kLogLoss,        // -ln of the probability that was given to the outcome, in nats
  kAbsoluteError,  // in the target's unit
  kSquaredError,   // in the target's unit, squared
};

// A metric that can be measured row by row, and so from feedback.
struct LiveMetric {
  std::string_view name;
  RowScoring scoring;
  bool higher_is_better;
};

// Nothing where the metric of this name is not one of single rows.
std::optional<LiveMetric> FindLiveMetric(std::string_view name);

// The metric's figure of a mean of scores (for rmse its square root).
double LiveFigureOfMean(const LiveMetric& metric, double mean);

// Scores of a row. A probability below 1e-15, as of a class that the model does not know, counts as that.
double LogLossScore(double probability_of_outcome);
double ErrorScore(RowScoring scoring, double predicted, double outcome);

// The live metric is judged over at most so many of a version's latest rows …
inline constexpr std::int64_t kLiveWindowRows = 500;
// … and says nothing before there are so many: at 100 rows the standard error of a share is at most 0.05.
inline constexpr std::int64_t kLeastLiveRows = 100;

// Whether a figure is on the wrong side of a limit: below it, or above it where lower is better.
bool IsWorse(const LiveMetric& metric, double figure, double limit);

}  // namespace ratchet::gate
