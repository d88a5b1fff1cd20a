#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "worker/cgroup.h"
#include "worker/sandbox.h"
#include "worker/step_log.h"
#include "worker/step_spec.h"

namespace ratchet::worker {

struct SupervisorOptions {
  SandboxMeans sandbox = SandboxMeans::kNone;
  std::string data_dir;  // of the steps to come, to prepare their sandbox by; empty: that is left to when it is known
  // The code of a step that is no mere command: runs in a child, sandboxed already, writes result.json itself and gives
  // the exit code. Empty: this process runs commands only.
  std::function<int(const StepSpec&)> run_step;
  bool light = false;  // run_step knows steps of kind `recipe` only: there is no LibTorch
  LogCaps log;
  std::string boot_id;
};

// The life of a freshly forked process that reads the folder of a step from the pipe `order_fd` (one write of at most
// PIPE_BUF bytes; the end of the pipe: there is to be no step), runs that step from its claim to its exit.json, and
// outlives whoever forked it. It forks the step's process before it reads, so that an order finds all forking done. It
// owns the step's processes, limits and log, and ends the step on SIGTERM, with the class and message of kill.json.
// SIGTERM and SIGCHLD have to be blocked. Gives the exit code of the process.
int Supervise(const SupervisorOptions& options, const std::optional<CgroupParent>& cgroups, int order_fd,
              const Clock& clock);

}  // namespace ratchet::worker
