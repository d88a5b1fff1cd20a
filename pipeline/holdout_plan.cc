#include "pipeline/holdout_plan.h"

#include <algorithm>

namespace ratchet::pipeline {
namespace {

using registry::HoldoutEpoch;

std::int64_t Newest(const HoldoutRows& rows) { return rows.empty() ? 0 : rows.rbegin()->first; }

// Up to which push the model's epochs have used up the rows.
std::int64_t SpentUntil(const HoldoutEpoch& epoch, bool current_too) {
  return current_too && epoch.looks > 0 ? epoch.until_push : epoch.after_push;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::unexpected<Error> Refuse(const RotationAsk& ask, std::string cause, std::string hint) {
  return Fail(ErrorCode::kConflict, "rotate the holdout of", ask.dataset, std::move(cause), std::move(hint));
}

// The end of what is asked for, and an error where nothing is.
Result<std::int64_t> AskedUntil(const std::vector<HoldoutEpoch>& epochs, const RotationAsk& ask) {
  if (epochs.empty()) return Refuse(ask, "no candidate has been judged on its sealed rows yet", "They are worth keeping");
  if (ask.model) {
    const auto own = std::ranges::find(epochs, *ask.model, &HoldoutEpoch::model);
    if (own == epochs.end())
      return Fail(ErrorCode::kNotFound, "rotate the holdout of", ask.dataset, "model " + *ask.model + " has not been judged on it");
    return SpentUntil(*own, ask.current);
  }
  std::int64_t least = SpentUntil(epochs.front(), ask.current), most = least;
  for (const HoldoutEpoch& epoch : epochs) {
    least = std::min(least, SpentUntil(epoch, ask.current));
    most = std::max(most, SpentUntil(epoch, ask.current));
  }
  return ask.force ? most : least;
}

}  // namespace

std::int64_t RowsBetween(const HoldoutRows& rows, std::int64_t after, std::int64_t until) {
  std::int64_t sum = 0;
  for (auto at = rows.upper_bound(after); at != rows.end() && at->first <= until; ++at) sum += at->second;
  return sum;
}

HoldoutRows HoldoutRowsOf(const lake::Manifest& manifest) {
  HoldoutRows rows;
  for (const lake::Segment& segment : manifest.segments)
    if (segment.split == lake::Split::kHoldout) rows[segment.push] += segment.rows;
  return rows;
}

HoldoutRows HoldoutRowsOf(const nlohmann::json& dataset_manifest) {
  HoldoutRows rows;
  for (const nlohmann::json& segment : dataset_manifest.at("segments"))
    if (segment.at("split") == "holdout") rows[segment.at("push")] += segment.at("rows").get<std::int64_t>();
  return rows;
}

std::int64_t RetiredUntil(const nlohmann::json& dataset_manifest) {
  return dataset_manifest.value(nlohmann::json::json_pointer("/retired/until_push"), std::int64_t{0});
}

HoldoutEpoch NextEpoch(const std::optional<HoldoutEpoch>& current, const HoldoutRows& rows, std::int64_t fresh_rows,
                       std::int64_t retired_until) {
  HoldoutEpoch next = current.value_or(HoldoutEpoch{.number = 1});
  const bool looked_at = current && current->looks > 0;
  const bool gone = looked_at && retired_until > current->after_push && RowsBetween(rows, retired_until, current->until_push) == 0;
  const bool fresh = looked_at && RowsBetween(rows, current->until_push, Newest(rows)) >= std::max<std::int64_t>(1, fresh_rows);
  if (gone || fresh) {
    next.number = current->number + 1;
    next.after_push = current->until_push;
    next.looks = 0;
    next.alpha_spent = 0;
    next.budget.reset();
  }
  const bool cut = retired_until > next.after_push;
  next.after_push = std::max(next.after_push, retired_until);
  if (next.looks > 0 && !cut) return next;
  if (next.looks == 0) next.until_push = std::max({Newest(rows), next.until_push, next.after_push});
  next.rows = RowsBetween(rows, next.after_push, next.until_push);
  return next;
}

Result<RotationPlan> PlanRotation(const std::vector<HoldoutEpoch>& epochs, const HoldoutRows& rows, const RotationAsk& ask) {
  RotationPlan plan;
  RATCHET_ASSIGN(plan.until_push, AskedUntil(epochs, ask));
  const auto holds = [&](const HoldoutEpoch& epoch) { return RowsBetween(rows, std::max(epoch.after_push, ask.retired_until), std::min(plan.until_push, epoch.until_push)) > 0; };
  std::vector<std::string> others;
  for (const HoldoutEpoch& epoch : epochs) {
    if (!holds(epoch)) continue;
    plan.losing.push_back(epoch.model);
    const bool asked = ask.current && epoch.looks > 0 && (!ask.model || *ask.model == epoch.model);
    if (!asked) others.push_back(epoch.model);
  }
  if (!others.empty() && !ask.force)
    return Refuse(ask, "candidates of " + Joined(others) + " are still judged on some of these rows",
                  "Wait until fresh rows have opened a new epoch for them, or retire the rows all the same with --force");
  plan.rows = RowsBetween(rows, ask.retired_until, plan.until_push);
  if (plan.rows > 0) return plan;
  return Refuse(ask, "none of its sealed rows are spent: they are those that candidates are judged on now",
                "Push fresh rows, which open a new epoch and so set these free; or retire them all the same with --current");
}

}  // namespace ratchet::pipeline
