#include "pipeline/triggers.h"

#include <spdlog/fmt/fmt.h>

namespace ratchet::pipeline {

std::optional<Trigger> DueTrigger(const TriggerFacts& facts) {
  if (facts.run_active || facts.paused) return std::nullopt;
  if (facts.missed_fires == 1) return Trigger{"schedule", "retrain.schedule"};
  if (facts.missed_fires > 1)
    return Trigger{"schedule", fmt::format("retrain.schedule; one run for {} fire times that had none", facts.missed_fires)};
  if (facts.drift_limit && facts.drift && *facts.drift > *facts.drift_limit)
    return Trigger{"drift", fmt::format("the population stability index of '{}' is {:.3f}; retrain.drift is {}",
                                        facts.drifted_column, *facts.drift, *facts.drift_limit)};
  std::int64_t added = facts.rows_now - facts.rows_at_last_run;
  if (facts.new_rows && added >= *facts.new_rows)
    return Trigger{"new_rows", fmt::format("{} new rows since the last run; retrain.new_rows is {}", added, *facts.new_rows)};
  return std::nullopt;
}

}  // namespace ratchet::pipeline
