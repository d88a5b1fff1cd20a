#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gate/live_metric.h"
#include "registry/feedback.h"

namespace ratchet::pipeline {

inline constexpr size_t kMostSlicesTold = 50;  // those with most rows; the others are told together

// How a version has done on the rows that have one value in a column.
struct LiveSlice {
  std::string group;  // the value as text; "(missing)", "(redacted)", "(others)"
  std::int64_t rows = 0;
  double value = 0;                         // the metric's figure
  std::vector<registry::ScoreSpan> series;  // oldest first; `mean` is the figure
};

// Scored rows of one version by their value in one column: an input's, or the target's, whose value is the outcome. One
// thread.
class LiveSlices {
 public:
  // `manifest`: of the version's bundle.
  LiveSlices(const std::string& column, const nlohmann::json& manifest, gate::LiveMetric metric, std::int64_t span_us);

  void Add(const registry::ScoredRow& row);
  // Those with most rows first.
  std::vector<LiveSlice> Told() const;

 private:
  struct Sum {
    std::int64_t rows = 0;
    double scores = 0;
  };
  struct Group {
    Sum all;
    std::map<std::int64_t, Sum> spans;  // by their begin
  };
  std::string GroupOf(const registry::ScoredRow& row);
  LiveSlice SliceOf(const std::string& name, const Group& group) const;

  const gate::LiveMetric metric_;
  const std::int64_t span_us_;
  bool is_target_ = false;
  std::string input_;               // the tensor that the column is
  std::int64_t prediction_ = 0;     // whose values these are
  std::vector<nlohmann::json> values_;
  bool redacted_ = false;
  std::map<std::string, Group> groups_;
};

}  // namespace ratchet::pipeline
