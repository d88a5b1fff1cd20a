#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "worker/sandbox.h"
#include "worker/step_error.h"

// Work of a step that runs a stranger's model, in a process that has nothing to lose.
namespace ratchet::worker {

// Sends a value to the process that waits.
using Tell = std::function<void(const nlohmann::json&)>;

struct ConfinedCall {
  SandboxMeans means = SandboxMeans::kNone;  // what this process is shut in by
  std::string step_folder;
  std::function<StepOutcome(const Tell&)> work;     // in the child; must catch what it throws
  std::function<void(const nlohmann::json&)> hear;  // here, for every value told, in order; nothing where it is empty
  std::optional<std::int64_t> most_ms = {};         // of wall time until its outcome is here; none: as long as the step may
};

// Forks; the child gives up all writing (NarrowToWork with nothing writable), keeps no descriptor but the streams and
// one pipe, and does the work; its outcome comes back over the pipe and is believed only when it is whole. With `mount`
// writing outside of the data directory is left to the file permissions, with `none` all of it. Limits, death and the
// memory's account are the step's: the child is one of its processes. When this returns, nothing of the child runs any
// more. The calling process must have one thread and be a subreaper. kSignal, kTimeout: the child was ended by a
// signal, which `signal` of the error names; kTimeout without a signal: most_ms have passed.
StepOutcome CallConfined(const ConfinedCall& call);

// Whether a process brings such a signal on itself, by what it computes: a fault of memory or arithmetic, an abort. Others
// come from outside (out of memory, an operator), and say nothing about what it ran. 0: no signal.
bool IsOwnDoing(int signal);

}  // namespace ratchet::worker
