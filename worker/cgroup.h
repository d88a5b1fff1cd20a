#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

// Memory limits by cgroup v2, where this process's own cgroup is delegated to it. Elsewhere the watchdog of the fork
// server does the work alone.
namespace ratchet::worker {

// One step's cgroup; removed by the destructor (every process must be gone by then).
class StepCgroup {
 public:
  explicit StepCgroup(std::string folder) : folder_(std::move(folder)) {}
  ~StepCgroup();
  StepCgroup(const StepCgroup&) = delete;
  StepCgroup& operator=(const StepCgroup&) = delete;

  Status Adopt(pid_t pid) const;
  std::uint64_t PeakBytes() const;  // 0 where the kernel doesn't tell
  bool OutOfMemoryKilled() const;   // the kernel killed a process of it for memory
  void KillAll() const;             // cgroup.kill, where there is one (Linux 5.14)
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

class CgroupParent {
 public:
  // `root`: where cgroup2 is mounted; `own`: this process's cgroup in it ("/system.slice/ratchetd.service"). Where the
  // cgroup above is one that systemd has delegated (Delegate=yes with DelegateSubgroup=, systemd 254), that is divided,
  // and no process is moved: so the unit can start again beside a data plane that a crash has left. Else moves this
  // process into a leaf of its own, since limits may be set only below a cgroup without processes; kUnavailable, with
  // everything as it was, where the cgroup is not ours to divide or lacks the memory controller.
  static Result<CgroupParent> Take(const std::string& root, const std::string& own, pid_t self);

  // A cgroup for one step with this limit and no swap. kConflict if the name is taken.
  Result<std::unique_ptr<StepCgroup>> Make(const std::string& name, std::uint64_t memory_bytes) const;

 private:
  explicit CgroupParent(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

// Where cgroup2 is mounted and which cgroup this process is in, from /proc; kUnavailable without cgroup v2.
struct CgroupPlace {
  std::string root, own;
};
Result<CgroupPlace> FindOwnCgroup();

}  // namespace ratchet::worker
