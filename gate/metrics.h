#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/decision.h"

// The metrics that a pipeline may be judged by.
namespace ratchet::gate {

// How the per-row scores of a metric become its one figure.
enum class Aggregate {
  kMean,      // the mean over rows
  kRootMean,  // the square root of the mean over rows
};

struct Metric {
  std::string_view name;  // "accuracy", as in a spec
  std::string_view task;  // "classification" or "regression"
  std::string_view unit;  // what one unit of the figure is, for people: "share of rows", "nats", "target's unit"
  PerRow per_row;
  Aggregate aggregate;
  bool higher_is_better;
};

// All of them, in the order to show. Lives as long as the process.
std::span<const Metric> KnownMetrics();
std::vector<std::string> MetricNames();

// kNotFound with the known names and the near one.
Result<Metric> FindMetric(std::string_view name);

// The metric's figure of a mean of per-row scores.
double FigureOfMean(Aggregate aggregate, double mean);

}  // namespace ratchet::gate
