#pragma once

#include <memory>

#include "worker/sandbox.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// A step that is a command of the user's and nothing else: its supervisor starts it without a process in between.
namespace ratchet::worker {

struct CommandStart {
  pid_t parent = 0;  // the supervisor; the command ends with it
  int output_fd = -1;
  int failure_fd = -1;   // closed by a successful exec; else gets the error as JSON
  int progress_fd = -1;  // what RATCHET_PROGRESS leads to
  bool limit_address_space = true;
  SandboxMeans sandbox = SandboxMeans::kNone;
  std::unique_ptr<PreparedSandbox> prepared = nullptr;  // of `sandbox`
};

// Makes the folders that the command is given, empty.
Status MakeCommandFolders(const StepSpec& spec);

// In the forked child: takes on limits and sandbox and becomes the command, or tells by `failure_fd` why it can't.
[[noreturn]] void BecomeCommand(const StepSpec& spec, CommandStart start);

// What a child told by its failure_fd.
StepError ReadFailure(const std::string& told);

// The step's outputs, regular files in RATCHET_OUT, as result.json names them. kUser: one is missing or is none. To be
// called when nothing of the command runs any more.
StepOutcome CollectOutputs(const StepSpec& spec);

}  // namespace ratchet::worker
