#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/spec.h"
#include "registry/runs.h"

// What to do next about a run: a pure function of its rows and the time.
namespace ratchet::pipeline {

// Start the step's next attempt, in a process of its own.
struct StartAttempt { registry::Step step; };
// Look how the running attempt does.
struct PollAttempt { registry::Step step; registry::Attempt attempt; };
// End the running attempt: the run was cancelled, has failed, or is past its deadline.
struct StopAttempt { registry::Attempt attempt; std::string error_class, message; };
// Pick the best of the trials that have ended.
struct SelectTrial {};
struct JudgeCandidate {};
struct StartRelease {};
struct FollowRelease {};
// The step's attempts are used up.
struct FailStep { std::string step; registry::Json error; };
// Nothing runs and nothing may start.
struct EndRun {
  registry::RunState state;
  std::string outcome;               // promoted, rejected, reproduced (to be compared yet), failed or cancelled
  std::optional<registry::Json> error;
};
struct WaitUntil { std::int64_t at_us; };

using RunAction = std::variant<StartAttempt, PollAttempt, StopAttempt, SelectTrial, JudgeCandidate, StartRelease,
                               FollowRelease, FailStep, EndRun, WaitUntil>;

// How failed attempts of a step are dealt with.
struct AttemptPolicy {
  int attempts = 3;
  RetrySpec retry;
  std::uint64_t seed = 0;  // of the jitter
};

// A lost attempt (its process vanished) is no fault of the step and does not use up limits.attempts; this many in one
// try of the run are enough, though.
inline constexpr int kMaxLostAttempts = 100;

// All that is to be done about a running run now, in order. Starting stays within capacity: that is the caller's.
std::vector<RunAction> NextActions(const registry::RunWork& work,
                                   const std::function<AttemptPolicy(const registry::Step&)>& policy, std::int64_t now_us);

// When the attempt after this failed one may start: exponential back-off with seeded jitter. `failures`: so far, ≥ 1.
std::int64_t RetryAt(const registry::Attempt& last, int failures, const AttemptPolicy& policy);

}  // namespace ratchet::pipeline
