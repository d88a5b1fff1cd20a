#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ratchet::pipeline {

// What feedback says of one version.
struct LiveFigure {
  double value = 0;             // the version's metric over its latest joined rows …
  std::int64_t rows = 0;        // … which are so many, at most gate::kLiveWindowRows
  std::int64_t fresh_rows = 0;  // rows joined after the time asked for, counted up to gate::kLiveWindowRows
};

inline constexpr std::int64_t kMostWatchedScores = 200'000;

// What the orchestrator has to know of predictions and their outcomes.
class LiveMetrics {
 public:
  virtual ~LiveMetrics() = default;
  // Nothing where no row of the version is joined, or its metric is not one of single rows.
  virtual std::optional<LiveFigure> FigureOf(const std::string& model, std::int64_t version, const std::string& metric,
                                             std::int64_t after_us) = 0;
  // The scores of a version's answers since this time whose version the route chose, in the order in which they were joined;
  // at most kMostWatchedScores, the first ones.
  virtual std::vector<double> ScoresSince(const std::string& model, std::int64_t version, std::int64_t since_us) {
    (void)model, (void)version, (void)since_us;
    return {};
  }
};

}  // namespace ratchet::pipeline
