#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gate/live_metric.h"
#include "pipeline/live_metrics.h"

namespace ratchet::pipeline {

// What a trigger is decided on. Plain values; a failed or rejected run counts as a run on its rows all the same.
struct TriggerFacts {
  bool run_active = false;
  bool paused = false;
  std::optional<std::int64_t> new_rows;  // retrain.new_rows
  std::int64_t rows_now = 0;             // of the dataset's latest version, all splits
  std::int64_t rows_at_last_run = 0;     // of the version that the newest run used; 0 = no run yet
  std::int64_t missed_fires = 0;         // fire times of the schedule that no run has answered
  std::int64_t first_missed_us = 0;      // the earliest of them
  std::optional<double> drift_limit;     // retrain.drift
  std::optional<double> drift;           // of rows that no run has seen; worst column
  std::string drifted_column;
  std::optional<double> live_limit;      // retrain.live_metric_below
  std::optional<LiveFigure> live;        // of the live version; its fresh rows are those since the newest run
  std::optional<gate::LiveMetric> live_metric;
  std::int64_t live_version = 0;
  bool live_was_tried = false;           // this trigger has started a run since the one that made the live version
};

inline constexpr char kLiveMetricReason[] = "live_metric_below";

struct Trigger {
  std::string kind, detail;  // become the run's reason
};

// At most one automatic run per pipeline at a time, for the first reason that holds: schedule, live metric, drift, new
// rows. The live metric counts once gate::kLeastLiveRows are joined, and as many since the newest run, which may have been
// started for anything; it starts one run for a live version, and another one only on more evidence and new data: a
// whole window of rows joined, and rows pushed, since the newest run.
std::optional<Trigger> DueTrigger(const TriggerFacts& facts);

}  // namespace ratchet::pipeline
