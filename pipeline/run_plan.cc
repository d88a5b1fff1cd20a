#include "pipeline/run_plan.h"

#include <algorithm>

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptState;
using registry::Json;
using registry::Run;
using registry::RunState;
using registry::Step;
using registry::StepState;

bool RunsInProcess(const std::string& step) { return step != "gate" && step != "release"; }

int Count(const Step& step, AttemptState state) {
  return static_cast<int>(std::count_if(step.attempts.begin(), step.attempts.end(),
                                        [&](const Attempt& attempt) { return attempt.state == state; }));
}

std::int64_t RetryAt(const Attempt& last, int failures) {
  std::int64_t delay_us = kRetryDelayUs << std::clamp(failures - 1, 0, 16);
  return last.ended_at.value_or(last.started_at) + std::min(delay_us, kMaxRetryDelayUs);
}

RunAction AfterFailure(const Step& step, const Attempt& last, int max_attempts, std::int64_t now_us) {
  Json error = last.error.value_or(Json{{"class", "internal"}, {"message", "failed"}, {"hint", ""}});
  if (last.state == AttemptState::kLost) {
    if (Count(step, AttemptState::kLost) >= kMaxLostAttempts) return FailStep{step.name, error};
    return StartAttempt{step.name};
  }
  int failures = Count(step, AttemptState::kFailed);
  if (failures >= max_attempts || !IsRetryable(error.value("class", ""))) return FailStep{step.name, error};
  std::int64_t at_us = RetryAt(last, failures);
  if (at_us > now_us) return WaitUntil{at_us};
  return StartAttempt{step.name};
}

RunAction NextOfStep(const Step& step, int max_attempts, std::int64_t now_us) {
  if (step.name == "gate") return JudgeCandidate{};
  if (step.name == "release") {
    if (step.state == StepState::kPending) return StartRelease{};
    return FollowRelease{};
  }
  if (step.state == StepState::kPending || step.attempts.empty()) return StartAttempt{step.name};
  const Attempt& last = step.attempts.back();
  if (last.state == AttemptState::kRunning) return PollAttempt{last};
  return AfterFailure(step, last, max_attempts, now_us);
}

RunAction NextOfCancelled(const Run& run) {
  for (const Step& step : run.steps)
    if (RunsInProcess(step.name) && !step.attempts.empty() && step.attempts.back().state == AttemptState::kRunning)
      return CancelAttempt{step.attempts.back()};
  return EndRun{RunState::kCancelled, "cancelled"};
}

}  // namespace

bool IsRetryable(const std::string& error_class) { return error_class == "lost" || error_class == "signal"; }

RunAction NextAction(const Run& run, int max_attempts, std::int64_t now_us) {
  if (run.cancel_asked) return NextOfCancelled(run);
  if (run.state == RunState::kQueued) return BeginRun{};
  for (const Step& step : run.steps) {
    if (step.state == StepState::kSucceeded) continue;
    if (step.state == StepState::kFailed) return EndRun{RunState::kFailed, "failed"};
    if (step.state == StepState::kSkipped) return EndRun{RunState::kSucceeded, "rejected"};
    return NextOfStep(step, max_attempts, now_us);
  }
  return EndRun{RunState::kSucceeded, "promoted"};
}

}  // namespace ratchet::pipeline
