#include "registry/states.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace ratchet::registry {
namespace {

template <typename State, size_t N>
using Names = std::array<std::pair<State, std::string_view>, N>;

constexpr Names<RunState, 5> kRunNames{{{RunState::kQueued, "queued"},
                                        {RunState::kRunning, "running"},
                                        {RunState::kSucceeded, "succeeded"},
                                        {RunState::kFailed, "failed"},
                                        {RunState::kCancelled, "cancelled"}}};
constexpr Names<StepState, 6> kStepNames{{{StepState::kPending, "pending"},
                                          {StepState::kRunning, "running"},
                                          {StepState::kSucceeded, "succeeded"},
                                          {StepState::kFailed, "failed"},
                                          {StepState::kCancelled, "cancelled"},
                                          {StepState::kSkipped, "skipped"}}};
constexpr Names<AttemptState, 5> kAttemptNames{{{AttemptState::kRunning, "running"},
                                                {AttemptState::kSucceeded, "succeeded"},
                                                {AttemptState::kFailed, "failed"},
                                                {AttemptState::kLost, "lost"},
                                                {AttemptState::kCancelled, "cancelled"}}};
constexpr Names<VersionState, 3> kVersionNames{{{VersionState::kCandidate, "candidate"},
                                                {VersionState::kPassed, "passed"},
                                                {VersionState::kRejected, "rejected"}}};
constexpr Names<ReleaseState, 7> kReleaseNames{{{ReleaseState::kPending, "pending"},
                                                {ReleaseState::kLoading, "loading"},
                                                {ReleaseState::kWatching, "watching"},
                                                {ReleaseState::kWaiting, "waiting"},
                                                {ReleaseState::kDone, "done"},
                                                {ReleaseState::kFailed, "failed"},
                                                {ReleaseState::kAborted, "aborted"}}};

template <typename State, size_t N>
std::string_view NameIn(const Names<State, N>& names, State state) {
  auto found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == state; });
  RATCHET_CHECK(found != names.end());
  return found->second;
}

template <typename State, size_t N>
Result<State> FindIn(const Names<State, N>& names, std::string_view name) {
  for (const auto& [state, known] : names)
    if (known == name) return state;
  return Fail(ErrorCode::kCorrupt, "read a state", std::string(name), "no such state");
}

// All legal moves. A retried run goes back to queued with new attempts: its ended steps keep theirs.
constexpr std::array<std::pair<RunState, RunState>, 7> kRunMoves{{{RunState::kQueued, RunState::kRunning},
                                                                  {RunState::kQueued, RunState::kCancelled},
                                                                  {RunState::kRunning, RunState::kSucceeded},
                                                                  {RunState::kRunning, RunState::kFailed},
                                                                  {RunState::kRunning, RunState::kCancelled},
                                                                  {RunState::kFailed, RunState::kQueued},
                                                                  {RunState::kCancelled, RunState::kQueued}}};
constexpr std::array<std::pair<StepState, StepState>, 11> kStepMoves{{{StepState::kPending, StepState::kRunning},
                                                                     {StepState::kPending, StepState::kSkipped},
                                                                     {StepState::kPending, StepState::kCancelled},
                                                                     {StepState::kRunning, StepState::kSucceeded},
                                                                     {StepState::kRunning, StepState::kFailed},
                                                                     {StepState::kRunning, StepState::kCancelled},
                                                                     {StepState::kRunning, StepState::kSkipped},  // a pruned trial
                                                                     {StepState::kFailed, StepState::kPending},
                                                                     {StepState::kCancelled, StepState::kPending},
                                                                     {StepState::kSkipped, StepState::kPending},
                                                                     {StepState::kSucceeded, StepState::kPending}}};
constexpr std::array<std::pair<AttemptState, AttemptState>, 4> kAttemptMoves{
    {{AttemptState::kRunning, AttemptState::kSucceeded},
     {AttemptState::kRunning, AttemptState::kFailed},
     {AttemptState::kRunning, AttemptState::kLost},
     {AttemptState::kRunning, AttemptState::kCancelled}}};
constexpr std::array<std::pair<VersionState, VersionState>, 3> kVersionMoves{
    {{VersionState::kCandidate, VersionState::kPassed},
     {VersionState::kCandidate, VersionState::kRejected},
     {VersionState::kPassed, VersionState::kRejected}}};
constexpr std::array<std::pair<ReleaseState, ReleaseState>, 15> kReleaseMoves{
    {{ReleaseState::kPending, ReleaseState::kLoading},
     {ReleaseState::kPending, ReleaseState::kDone},
     {ReleaseState::kPending, ReleaseState::kAborted},
     {ReleaseState::kLoading, ReleaseState::kDone},
     {ReleaseState::kLoading, ReleaseState::kFailed},
     {ReleaseState::kLoading, ReleaseState::kAborted},
     {ReleaseState::kLoading, ReleaseState::kWatching},
     {ReleaseState::kLoading, ReleaseState::kWaiting},
     {ReleaseState::kWatching, ReleaseState::kWaiting},
     {ReleaseState::kWatching, ReleaseState::kDone},
     {ReleaseState::kWatching, ReleaseState::kFailed},
     {ReleaseState::kWatching, ReleaseState::kAborted},
     {ReleaseState::kWaiting, ReleaseState::kDone},
     {ReleaseState::kWaiting, ReleaseState::kFailed},
     {ReleaseState::kWaiting, ReleaseState::kAborted}}};

template <typename Moves, typename State>
bool Contains(const Moves& moves, State from, State to) {
  return std::find(moves.begin(), moves.end(), std::pair{from, to}) != moves.end();
}

}  // namespace

std::string_view Name(RunState state) { return NameIn(kRunNames, state); }
std::string_view Name(StepState state) { return NameIn(kStepNames, state); }
std::string_view Name(AttemptState state) { return NameIn(kAttemptNames, state); }
std::string_view Name(VersionState state) { return NameIn(kVersionNames, state); }
std::string_view Name(ReleaseState state) { return NameIn(kReleaseNames, state); }

template <>
Result<RunState> StateFromName(std::string_view name) { return FindIn(kRunNames, name); }
template <>
Result<StepState> StateFromName(std::string_view name) { return FindIn(kStepNames, name); }
template <>
Result<AttemptState> StateFromName(std::string_view name) { return FindIn(kAttemptNames, name); }
template <>
Result<VersionState> StateFromName(std::string_view name) { return FindIn(kVersionNames, name); }
template <>
Result<ReleaseState> StateFromName(std::string_view name) { return FindIn(kReleaseNames, name); }

bool MayMove(RunState from, RunState to) { return Contains(kRunMoves, from, to); }
bool MayMove(StepState from, StepState to) { return Contains(kStepMoves, from, to); }
bool MayMove(AttemptState from, AttemptState to) { return Contains(kAttemptMoves, from, to); }
bool MayMove(VersionState from, VersionState to) { return Contains(kVersionMoves, from, to); }
bool MayMove(ReleaseState from, ReleaseState to) { return Contains(kReleaseMoves, from, to); }

bool IsEnd(RunState state) { return state != RunState::kQueued && state != RunState::kRunning; }
bool IsEnd(StepState state) { return state != StepState::kPending && state != StepState::kRunning; }
bool IsEnd(ReleaseState state) {
  return state == ReleaseState::kDone || state == ReleaseState::kFailed || state == ReleaseState::kAborted;
}

}  // namespace ratchet::registry
