#include "gate/live_metric.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace ratchet::gate {
namespace {

constexpr double kLeastProbability = 1e-15;

constexpr LiveMetric kLiveMetrics[] = {
    {"accuracy", RowScoring::kCorrect, true},
    {"log_loss", RowScoring::kLogLoss, false},
    {"mae", RowScoring::kAbsoluteError, false},
    {"rmse", RowScoring::kSquaredError, false},
};

}  // namespace

std::optional<LiveMetric> FindLiveMetric(std::string_view name) {
  const auto found = std::ranges::find(kLiveMetrics, name, &LiveMetric::name);
  if (found == std::end(kLiveMetrics)) return std::nullopt;
  return *found;
}

double LiveFigureOfMean(const LiveMetric& metric, double mean) {
  return metric.scoring == RowScoring::kSquaredError ? std::sqrt(mean) : mean;
}

double LogLossScore(double probability_of_outcome) {
  return -std::log(std::clamp(probability_of_outcome, kLeastProbability, 1.0));
}

double ErrorScore(RowScoring scoring, double predicted, double outcome) {
  const double error = std::abs(predicted - outcome);
  return scoring == RowScoring::kSquaredError ? error * error : error;
}

bool IsWorse(const LiveMetric& metric, double figure, double limit) {
  return metric.higher_is_better ? figure < limit : figure > limit;
}

}  // namespace ratchet::gate
