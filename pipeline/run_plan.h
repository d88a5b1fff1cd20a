#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "registry/records.h"

// What to do next about a run: a pure function of its rows and the time.
namespace ratchet::pipeline {

struct BeginRun {};
// Start the step's next attempt (in a process).
struct StartAttempt { std::string step; };
// Look how the running attempt does.
struct PollAttempt { registry::Attempt attempt; };
// End the running attempt because the run was cancelled.
struct CancelAttempt { registry::Attempt attempt; };
struct JudgeCandidate {};
struct StartRelease {};
struct FollowRelease {};
// The step's attempts are used up.
struct FailStep { std::string step; registry::Json error; };
struct EndRun {
  registry::RunState state;
  std::string outcome;
};
struct WaitUntil { std::int64_t at_us; };

using RunAction = std::variant<BeginRun, StartAttempt, PollAttempt, CancelAttempt, JudgeCandidate, StartRelease,
                               FollowRelease, FailStep, EndRun, WaitUntil>;

// A lost attempt (its executor or the daemon died) is no fault of the step and does not use up limits.attempts; this
// many in a row are enough, though.
inline constexpr int kMaxLostAttempts = 100;
inline constexpr std::int64_t kRetryDelayUs = 500'000;       // doubles with each failed attempt …
inline constexpr std::int64_t kMaxRetryDelayUs = 60'000'000; // … up to this

RunAction NextAction(const registry::Run& run, int max_attempts, std::int64_t now_us);

// Whether another attempt may help: lost and signal, yes; the user's own errors and limits, no.
bool IsRetryable(const std::string& error_class);

}  // namespace ratchet::pipeline
