#include "pipeline/triggers.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>

#include <ctime>

namespace ratchet::pipeline {
namespace {

// "2026-11-22 03:00 UTC"
std::string Minute(std::int64_t wall_us) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(wall_us / 1'000'000)));
}

}  // namespace

std::optional<Trigger> DueTrigger(const TriggerFacts& facts) {
  if (facts.run_active || facts.paused) return std::nullopt;
  if (facts.missed_fires == 1) return Trigger{"schedule", "retrain.schedule, due " + Minute(facts.first_missed_us)};
  if (facts.missed_fires > 1)
    return Trigger{"schedule", fmt::format("retrain.schedule; one run for {} fire times that had none, the first {}",
                                           facts.missed_fires, Minute(facts.first_missed_us))};
  if (facts.drift_limit && facts.drift && *facts.drift > *facts.drift_limit)
    return Trigger{"drift", fmt::format("the population stability index of '{}' is {:.3f}; retrain.drift is {}",
                                        facts.drifted_column, *facts.drift, *facts.drift_limit)};
  std::int64_t added = facts.rows_now - facts.rows_at_last_run;
  if (facts.new_rows && added >= *facts.new_rows)
    return Trigger{"new_rows", fmt::format("{} new rows since the last run; retrain.new_rows is {}", added, *facts.new_rows)};
  return std::nullopt;
}

}  // namespace ratchet::pipeline
