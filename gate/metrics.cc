#include "gate/metrics.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace ratchet::gate {
namespace {

constexpr Metric kMetrics[] = {
    {"accuracy", "classification", "share of rows", PerRow::kCorrect, Aggregate::kMean, true},
    {"log_loss", "classification", "nats", PerRow::kLogLoss, Aggregate::kMean, false},
    {"mae", "regression", "target's unit", PerRow::kAbsoluteError, Aggregate::kMean, false},
    {"rmse", "regression", "target's unit", PerRow::kSquaredError, Aggregate::kRootMean, false},
};

}  // namespace

std::span<const Metric> KnownMetrics() { return kMetrics; }

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const Metric& metric : kMetrics) names.emplace_back(metric.name);
  return names;
}

Result<Metric> FindMetric(std::string_view name) {
  auto found = std::ranges::find(kMetrics, name, &Metric::name);
  if (found != std::end(kMetrics)) return *found;
  std::string near = NearestName(name, MetricNames());
  return Fail(ErrorCode::kNotFound, "find the metric", Quoted(name),
              fmt::format("the metrics are {}", fmt::join(MetricNames(), ", ")),
              near.empty() ? "" : fmt::format("Did you mean '{}'?", near));
}

double FigureOfMean(Aggregate aggregate, double mean) {
  return aggregate == Aggregate::kRootMean ? std::sqrt(mean) : mean;
}

}  // namespace ratchet::gate
