#pragma once

#include <string_view>

#include "base/result.h"

// The one table of legal state moves. States are stored by name; a move that is not in the table is kConflict.
namespace ratchet::registry {

enum class RunState { kQueued, kRunning, kSucceeded, kFailed, kCancelled };
enum class StepState { kPending, kRunning, kSucceeded, kFailed, kCancelled, kSkipped };
enum class AttemptState { kRunning, kSucceeded, kFailed, kLost, kCancelled };
// What the registry stores of a version; live, previous and retired follow from the model and its releases.
enum class VersionState { kCandidate, kPassed, kRejected };
// kWatching: it gets a share of the traffic; kWaiting: for someone's approval.
enum class ReleaseState { kPending, kLoading, kWatching, kWaiting, kDone, kFailed, kAborted };

std::string_view Name(RunState state);
std::string_view Name(StepState state);
std::string_view Name(AttemptState state);
std::string_view Name(VersionState state);
std::string_view Name(ReleaseState state);

// kCorrupt when the text names no state.
template <typename State>
Result<State> StateFromName(std::string_view name);
template <>
Result<RunState> StateFromName(std::string_view name);
template <>
Result<StepState> StateFromName(std::string_view name);
template <>
Result<AttemptState> StateFromName(std::string_view name);
template <>
Result<VersionState> StateFromName(std::string_view name);
template <>
Result<ReleaseState> StateFromName(std::string_view name);

bool MayMove(RunState from, RunState to);
bool MayMove(StepState from, StepState to);
bool MayMove(AttemptState from, AttemptState to);
bool MayMove(VersionState from, VersionState to);
bool MayMove(ReleaseState from, ReleaseState to);

bool IsEnd(RunState state);
bool IsEnd(StepState state);
bool IsEnd(ReleaseState state);

}  // namespace ratchet::registry
