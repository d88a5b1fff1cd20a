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
#include "worker/step_error.h"
#include "worker/step_spec.h"

namespace ratchet::worker {

// What a step uses and how it ended, as its supervisor sees it. One thread.
class StepWatch {
 public:
  StepWatch(const StepSpec& spec, std::int64_t started_us) : spec_(spec), started_us_(started_us) {}

  void UseCgroup(std::unique_ptr<StepCgroup> cgroup) { cgroup_ = std::move(cgroup); }
  const StepCgroup* cgroup() const { return cgroup_.get(); }

  // The limit that the step is over, if any. `family`: the step's processes. Called some ten times a second.
  std::optional<StepError> OverLimit(const std::vector<pid_t>& family, std::int64_t now_us);

  // Why it is ended from outside; the first reason counts.
  void Condemn(StepError why);
  bool condemned() const { return condemned_.has_value(); }

  void CountRead(std::uint64_t bytes) { read_bytes_ += bytes; }

  // The content of exit.json. `status`: of the step's first process; `used`: of all that were waited for.
  nlohmann::json Exit(int status, const rusage& used) const;

 private:
  std::optional<StepError> OverMemory(const std::vector<pid_t>& family);
  void Explain(int status, nlohmann::json& exit) const;

  const StepSpec& spec_;
  const std::int64_t started_us_;
  std::int64_t disk_checked_us_ = 0;
  std::uint64_t peak_bytes_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::unique_ptr<StepCgroup> cgroup_;
  std::optional<StepError> condemned_;
};

}  // namespace ratchet::worker
