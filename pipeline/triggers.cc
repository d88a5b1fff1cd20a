#include "pipeline/triggers.h"

namespace ratchet::pipeline {

std::optional<Trigger> DueTrigger(const TriggerFacts& facts) {
  if (facts.run_active || !facts.new_rows) return std::nullopt;
  std::int64_t added = facts.rows_now - facts.rows_at_last_run;
  if (added < *facts.new_rows) return std::nullopt;
  return Trigger{"new_rows", std::to_string(added) + " new rows since the last run; retrain.new_rows is " +
                                 std::to_string(*facts.new_rows)};
}

}  // namespace ratchet::pipeline
