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

std::optional<Trigger> LiveTrigger(const TriggerFacts& facts) {
  if (!facts.live_limit || !facts.live || !facts.live_metric) return std::nullopt;
  const LiveFigure& live = *facts.live;
  if (live.rows < gate::kLeastLiveRows || live.fresh_rows < gate::kLeastLiveRows) return std::nullopt;
  if (!gate::IsWorse(*facts.live_metric, live.value, *facts.live_limit)) return std::nullopt;
  const bool new_evidence = live.fresh_rows >= gate::kLiveWindowRows && facts.rows_now != facts.rows_at_last_run;
  if (facts.live_was_tried && !new_evidence) return std::nullopt;
  return Trigger{kLiveMetricReason,
                 fmt::format("{} of version {} is {:.4g} over its latest {} rows with an outcome (window: {}){}; "
                             "retrain.live_metric_below is {}",
                             facts.live_metric->name, facts.live_version, live.value, live.rows, gate::kLiveWindowRows,
                             facts.live_metric->higher_is_better ? "" : ", and lower is better", *facts.live_limit)};
}

}  // namespace

std::optional<Trigger> DueTrigger(const TriggerFacts& facts) {
  if (facts.run_active || facts.paused) return std::nullopt;
  if (facts.missed_fires == 1) return Trigger{"schedule", "retrain.schedule, due " + Minute(facts.first_missed_us)};
  if (facts.missed_fires > 1)
    return Trigger{"schedule", fmt::format("retrain.schedule; one run for {} fire times that had none, the first {}",
                                           facts.missed_fires, Minute(facts.first_missed_us))};
  if (auto live = LiveTrigger(facts)) return live;
  if (facts.drift_limit && facts.drift && *facts.drift > *facts.drift_limit)
    return Trigger{"drift", fmt::format("the population stability index of '{}' is {:.3f}; retrain.drift is {}",
                                        facts.drifted_column, *facts.drift, *facts.drift_limit)};
  std::int64_t added = facts.rows_now - facts.rows_at_last_run;
  if (facts.new_rows && added >= *facts.new_rows)
    return Trigger{"new_rows", fmt::format("{} new rows since the last run; retrain.new_rows is {}", added, *facts.new_rows)};
  return std::nullopt;
}

}  // namespace ratchet::pipeline
