#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "worker/cgroup.h"
#include "worker/process_watch.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

namespace ratchet::worker {

// One child of the fork server: its process, its log, and what it has used so far. One thread.
class RunningStep {
 public:
  // `log_pipe`: the reading end of what the child writes, not blocking; owned. The log goes to FOLDER/log.
  RunningStep(std::string id, StepSpec spec, pid_t pid, int log_pipe, std::int64_t started_us,
              std::unique_ptr<StepCgroup> cgroup);
  ~RunningStep();
  RunningStep(const RunningStep&) = delete;
  RunningStep& operator=(const RunningStep&) = delete;

  const std::string& id() const { return id_; }
  pid_t pid() const { return pid_; }
  int log_pipe() const { return log_pipe_; }  // -1 once the child has closed it

  // Moves what the child has written to its log; ends the step when that is over the limit.
  void DrainLog(std::uint64_t limit_bytes);

  // Ends the step if it is over one of its limits. Called some ten times a second.
  void CheckLimits(const std::vector<ProcessEntry>& all, std::int64_t now_us);

  // SIGKILL to the child and its process group; the first reason counts. Nothing after Ended().
  void Kill(ErrorClass why, std::string message);

  // The child has been waited for: its pid may be another's from now on.
  void Ended() { ended_ = true; }

  // The `exited` packet, from what wait4 gave.
  nlohmann::json Exited(int status, const rusage& used) const;

 private:
  void CheckMemory(const std::vector<ProcessEntry>& all);
  void Explain(int status, nlohmann::json& packet) const;

  const std::string id_;
  const StepSpec spec_;
  const pid_t pid_;
  int log_pipe_;
  int log_file_;
  std::uint64_t log_bytes_ = 0;
  const std::int64_t started_us_;
  std::int64_t disk_checked_us_ = 0;
  std::uint64_t peak_bytes_ = 0;
  std::unique_ptr<StepCgroup> cgroup_;
  std::optional<StepError> killed_;
  bool ended_ = false;
};

}  // namespace ratchet::worker
