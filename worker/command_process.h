#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "worker/progress_log.h"
#include "worker/sandbox.h"
#include "worker/step_error.h"

namespace ratchet::worker {

struct CommandCall {
  std::vector<std::string> argv;                   // argv[0] is looked for in PATH
  std::string folder;                              // working folder; the progress fifo is made in it
  SandboxMeans means = SandboxMeans::kNone;        // what this process is shut in by
  CommandPlan sandbox;                             // what the command is shut in by beside that
  std::map<std::string, std::string> environment;  // beside what is passed on
};

// Runs the command to its end in the session of this process, which has to be a subreaper: when the command has ended,
// everything that it left behind is killed, and nothing of it runs any more when this returns. RATCHET_PROGRESS names a
// fifo whose lines go to `progress`; what it prints is passed on to stderr. Its environment is this process's, without
// RATCHET_* and what looks like a secret. kInternal: its sandbox could not be shut, or its processes not be ended.
// kUser: it is not there, failed (with the exit code and its last lines), kOutOfMemory: it said so, kSignal: it was
// killed. While it runs, the death of this process's parent ends command and all.
std::expected<void, StepError> RunCommand(const CommandCall& call, ProgressLog& progress);

}  // namespace ratchet::worker
