#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker/step_error.h"
#include "worker/step_spec.h"

// What every command of a user's is given and judged by, a trainer's and a step's alike.
namespace ratchet::worker {

// True for a variable that a command does not get: RATCHET_*, tokens, passwords and their like.
bool IsWithheld(std::string_view variable);

// This process's environment without what is withheld, and `more`, as NAME=VALUE.
std::vector<std::string> CommandEnvironment(const std::map<std::string, std::string>& more);

struct CommandEnd {
  std::string_view who;  // "trainer", "step": how messages call it
  std::string name;      // argv[0]
  int status = 0;        // of wait(2)
};

// Nothing for exit code 0. kUser: it failed (with the exit code and its last lines), kOutOfMemory: it said so,
// kDiskQuota: it wrote too large a file, kSignal: it was killed. `tail`: the end of what it printed.
std::expected<void, StepError> JudgeEnd(const CommandEnd& end, const std::string& tail);

// kUser: the program is not there or is none. `why`: the errno of exec.
std::unexpected<StepError> CannotRun(const CommandEnd& end, int why);

// A command's failure, seen with the limits that it may have run into.
StepError NameLimits(const StepSpec& spec, StepError error);

}  // namespace ratchet::worker
