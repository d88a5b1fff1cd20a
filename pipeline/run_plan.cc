#include "pipeline/run_plan.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "pipeline/graph.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptState;
using registry::Json;
using registry::RunState;
using registry::RunWork;
using registry::Step;
using registry::StepState;

bool RunsInProcess(const Step& step) { return step.kind != "gate" && step.kind != "release" && step.kind != "select"; }

const Attempt* RunningAttempt(const Step& step) {
  if (!RunsInProcess(step) || step.attempts.empty()) return nullptr;
  return step.attempts.back().state == AttemptState::kRunning ? &step.attempts.back() : nullptr;
}

// In the present try of the run: what was before a retry does not count.
int Count(const Step& step, AttemptState state) {
  return static_cast<int>(std::ranges::count_if(step.attempts, [&](const Attempt& attempt) {
    return attempt.number > step.attempts_before && attempt.state == state;
  }));
}

bool IsRetryable(const Json& error, const RetrySpec& retry) {
  return std::ranges::count(retry.on, error.value("class", "")) > 0;
}

RunAction AfterFailure(const Step& step, const AttemptPolicy& policy, std::int64_t now_us) {
  const Attempt& last = step.attempts.back();
  Json error = last.error.value_or(Json{{"class", "internal"}, {"message", "failed"}, {"hint", ""}});
  if (last.state == AttemptState::kLost) {
    if (Count(step, AttemptState::kLost) >= kMaxLostAttempts) return FailStep{step.name, error};
    return StartAttempt{step};
  }
  int failures = Count(step, AttemptState::kFailed);
  if (failures >= policy.attempts || !IsRetryable(error, policy.retry)) return FailStep{step.name, error};
  std::int64_t at_us = RetryAt(last, failures, policy);
  const bool clock_went_back = last.ended_at.value_or(0) > now_us;  // perhaps by days, which nobody is to wait for
  if (at_us > now_us && !clock_went_back) return WaitUntil{at_us};
  return StartAttempt{step};
}

RunAction NextOfStep(const Step& step, const AttemptPolicy& policy, std::int64_t now_us) {
  if (step.kind == "select") return SelectTrial{};
  if (step.kind == "gate") return JudgeCandidate{};
  if (step.kind == "release") {
    if (step.state == StepState::kPending) return StartRelease{};
    return FollowRelease{};
  }
  if (const Attempt* running = RunningAttempt(step)) return PollAttempt{step, *running};
  const bool tried = !step.attempts.empty() && step.attempts.back().number > step.attempts_before;
  if (step.state == StepState::kPending || !tried) return StartAttempt{step};
  return AfterFailure(step, policy, now_us);
}

// Ends what runs; the run's end follows once nothing runs any more.
std::vector<RunAction> Stop(const RunWork& work, const std::string& error_class, const std::string& message, EndRun end) {
  std::vector<RunAction> actions;
  for (const Step& step : work.open)
    if (const Attempt* running = RunningAttempt(step)) actions.push_back(StopAttempt{*running, error_class, message});
  if (actions.empty()) actions.push_back(std::move(end));
  return actions;
}

std::optional<std::int64_t> DeadlineUs(const registry::Run& run) {
  if (!run.deadline_s || !run.started_at) return std::nullopt;
  return *run.started_at + *run.deadline_s * 1'000'000;
}

// All steps have ended well or were passed over.
EndRun Ending(const RunWork& work) {
  if (work.run.reproduces) return {RunState::kSucceeded, "reproduced", {}};
  return {RunState::kSucceeded, work.run.outcome.value_or("") == "rejected" ? "rejected" : "promoted", {}};
}

// A step whose failure ends the run leaves its error there; a trial does not, as others may be left.
bool HasFailed(const RunWork& work) { return work.run.error.has_value(); }

}  // namespace

std::int64_t RetryAt(const Attempt& last, int failures, const AttemptPolicy& policy) {
  const RetrySpec& retry = policy.retry;
  double delay_s = std::min(retry.delay_s * std::pow(retry.factor, std::clamp(failures - 1, 0, 64)), retry.max_delay_s);
  std::mt19937_64 chance(policy.seed ^ (static_cast<std::uint64_t>(last.run) << 20) ^ static_cast<std::uint64_t>(last.number));
  double share = static_cast<double>(chance() >> 11) * 0x1p-53 * 2 - 1;  // -1 … 1
  delay_s *= 1 + retry.jitter * share;
  return last.ended_at.value_or(last.started_at) + static_cast<std::int64_t>(delay_s * 1e6);
}

std::vector<RunAction> NextActions(const RunWork& work, const std::function<AttemptPolicy(const Step&)>& policy,
                                   std::int64_t now_us) {
  if (work.run.cancel_asked) return Stop(work, "cancelled", "the run was cancelled", {RunState::kCancelled, "cancelled", {}});
  if (HasFailed(work))
    return Stop(work, "cancelled", "another step of the run failed", {RunState::kFailed, "failed", work.run.error});
  const auto deadline_us = DeadlineUs(work.run);
  if (deadline_us && now_us >= *deadline_us) {
    Json error = {{"class", "timeout"}, {"message", "the run is past its deadline of " + std::to_string(*work.run.deadline_s) + " s"},
                  {"hint", "Raise run.deadline, or retry the run: what is done stays done"}};
    return Stop(work, "timeout", error["message"], {RunState::kFailed, "failed", error});
  }
  std::vector<RunAction> actions;
  for (const Step& step : work.open) actions.push_back(NextOfStep(step, policy(step), now_us));
  if (work.open.empty()) actions.push_back(Ending(work));
  else if (deadline_us) actions.push_back(WaitUntil{*deadline_us});
  return actions;
}

}  // namespace ratchet::pipeline
