#include "pipeline/holdout_plan.h"

#include <algorithm>

namespace ratchet::pipeline {
namespace {

std::int64_t RowsAfter(const HoldoutRows& rows, std::int64_t push) {
  std::int64_t sum = 0;
  for (auto at = rows.upper_bound(push); at != rows.end(); ++at) sum += at->second;
  return sum;
}

}  // namespace

HoldoutRows HoldoutRowsOf(const nlohmann::json& dataset_manifest) {
  HoldoutRows rows;
  for (const nlohmann::json& segment : dataset_manifest.at("segments"))
    if (segment.at("split") == "holdout") rows[segment.at("push")] += segment.at("rows").get<std::int64_t>();
  return rows;
}

registry::HoldoutEpoch NextEpoch(const std::optional<registry::HoldoutEpoch>& current, const HoldoutRows& rows,
                                 std::int64_t fresh_rows) {
  const std::int64_t newest = rows.empty() ? 0 : rows.rbegin()->first;
  registry::HoldoutEpoch next = current.value_or(registry::HoldoutEpoch{.number = 1});
  if (current && current->looks > 0) {
    if (RowsAfter(rows, current->until_push) < std::max<std::int64_t>(1, fresh_rows)) return next;
    next.number = current->number + 1;
    next.after_push = current->until_push;
    next.looks = 0;
    next.alpha_spent = 0;
  }
  next.until_push = std::max(newest, next.until_push);
  next.rows = RowsAfter(rows, next.after_push);
  return next;
}

}  // namespace ratchet::pipeline
