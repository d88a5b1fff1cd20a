#pragma once

#include <cstdint>
#include <optional>
#include <string>

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
};

struct Trigger {
  std::string kind, detail;  // become the run's reason
};

// At most one automatic run per pipeline at a time, for the first reason that holds: schedule, drift, new rows.
std::optional<Trigger> DueTrigger(const TriggerFacts& facts);

}  // namespace ratchet::pipeline
