#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace ratchet::pipeline {

// How a step's process ended, as far as its executor saw.
struct StepExit {
  std::optional<int> exit_code, signal;
  std::string error_class;  // out_of_memory, timeout, disk_quota, cancelled, refused ones too; empty = by itself
  std::string message, hint;
  double cpu_s = 0;
  std::int64_t max_rss_bytes = 0;
};

struct StepStatus {
  enum class Kind { kUnknown, kRunning, kExited };
  Kind kind = Kind::kUnknown;
  std::optional<std::int64_t> pid;
  StepExit exit;  // kExited
};

// The seam to whatever runs steps. Called by the control loop's thread alone. The truth about a step that ran to its end
// is its result.json; an executor only tells of processes.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual bool Ready() const = 0;
  // Starts the step whose folder holds step.json. `id` names it from now on ("5/train-1").
  virtual Status Start(const std::string& id, const std::string& folder) = 0;
  // Ends it with all its processes; it will be seen as exited with this class and message.
  virtual void Kill(const std::string& id, const std::string& error_class, const std::string& message) = 0;
  // kUnknown: never started here, or lost with its executor.
  virtual StepStatus Poll(const std::string& id) = 0;
  // Drops what is known of an exited step.
  virtual void Forget(const std::string& id) = 0;
  // What recipes there are, in the form of the fork server's `ready` packet; null before Ready().
  virtual nlohmann::json Describe() const = 0;
};

// What the orchestrator has to know of the replicas that serve.
struct LoadState {
  enum class Kind { kNoReplica, kLoading, kReady, kFailed };
  Kind kind = Kind::kLoading;
  std::string cause;  // kFailed
};

class ServingView {
 public:
  virtual ~ServingView() = default;
  // Whether every replica that is there holds the version warm.
  virtual LoadState Loaded(const std::string& model, std::int64_t version) = 0;
  // Whether every replica that is there answers by the route of this epoch or a later one; true when none is there.
  virtual bool Confirmed(const std::string& model, std::int64_t epoch) = 0;
};

}  // namespace ratchet::pipeline
