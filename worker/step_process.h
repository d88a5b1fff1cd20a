#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "worker/sandbox.h"
#include "worker/step_spec.h"

// What a freshly forked child does before the code of its step runs.
namespace ratchet::worker {

// From now on the kernel kills this process when its parent ends; ends it at once if that has happened already.
void DieWithParent(pid_t parent);

// Closes every descriptor from 3 on but `kept`.
void CloseAllBut(int kept);

struct ProcessSetup {
  pid_t parent = 0;    // the supervisor; the child ends with it
  int output_fd = -1;  // becomes stdout and stderr; -1: keep what there is
  bool limit_address_space = true;
  bool keep_orphans = true;  // what the step leaves behind stays its own, not its supervisor's
  bool close_others = true;  // every descriptor but the standard ones and `kept_fd`
  int kept_fd = -1;
};

// Session, death with the parent, standard streams, working folder, limits. One thread.
// A child that is orphaned already ends here.
Status SetUpProcess(const StepSpec& spec, const ProcessSetup& setup);

// Copies the command's files into its work folder, which is made.
Status CopyCommandFiles(const StepSpec& spec);

// Copies the command's files into its work folder (from places that the sandbox hides), then shuts the sandbox.
Status EnterStepSandbox(const StepSpec& spec, SandboxMeans means, pid_t parent,
                        std::unique_ptr<PreparedSandbox> prepared = nullptr);

// CPU seconds a process may use: what the wall time allows on its cores, and a little.
std::uint64_t CpuSeconds(const StepLimits& limits);

}  // namespace ratchet::worker
