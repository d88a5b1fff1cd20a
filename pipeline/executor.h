#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace ratchet::pipeline {

// How a step's process ended, as far as its supervisor saw (exit.json).
struct StepExit {
  std::optional<int> exit_code, signal;
  std::string error_class;  // out_of_memory, timeout, disk_quota, cancelled, pruned, refused ones too; empty = by itself
  std::string message, hint;
  double cpu_s = 0;
  std::int64_t max_rss_bytes = 0, read_bytes = 0;
};

struct StepStatus {
  enum class Kind { kUnknown, kRunning, kExited };
  Kind kind = Kind::kUnknown;
  std::optional<std::int64_t> pid;
  StepExit exit;  // kExited
};

// Which fork server runs a step: commands' has no LibTorch, is there within milliseconds and forks cheaply.
enum class StepHost { kCommands, kRecipes };

struct StepRef {
  std::string id;      // "5/train-1"
  std::string folder;  // absolute; holds step.json
  StepHost host = StepHost::kRecipes;
};

// The seam to whatever runs steps. Called by the control loop's thread alone. The truth about a step that ran to its end
// is its result.json; an executor only tells of processes. Steps outlive their executor.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual bool Ready(StepHost host) const = 0;
  // Who runs a step of this kind; `recipe`: of one of kind "recipe".
  virtual StepHost HostOf(const std::string& kind, const std::optional<std::string>& recipe) const {
    (void)recipe;
    return kind == "command" ? StepHost::kCommands : StepHost::kRecipes;
  }
  // Starts the step whose folder holds step.json.
  virtual Status Start(const StepRef& step) = 0;
  // Ends it with all its processes; it will be seen as exited with this class and message.
  virtual void Kill(const StepRef& step, const std::string& error_class, const std::string& message) = 0;
  // What became of the step, also of one that an earlier executor started: such a one is taken on again.
  // kUnknown: it does not run, left no word how it ended, and will never start.
  virtual StepStatus Poll(const StepRef& step) = 0;
  // Drops what is known of an exited step.
  virtual void Forget(const std::string& id) = 0;
  // What recipes there are, in the form of the fork server's `ready` packet; null before Ready(kRecipes).
  virtual nlohmann::json Describe() const = 0;
};

// What the orchestrator has to know of the replicas that serve.
struct LoadState {
  enum class Kind { kNoReplica, kLoading, kReady, kFailed };
  Kind kind = Kind::kLoading;
  std::string cause;  // kFailed
};

// A version that a replica does not load any more, for it has taken the replica's process with it too often.
struct QuarantinedVersion {
  std::string model;
  std::int64_t version = 0;
  std::string why;
};

class ServingView {
 public:
  virtual ~ServingView() = default;
  // Whether every replica that is there holds the version warm.
  virtual LoadState Loaded(const std::string& model, std::int64_t version) = 0;
  // Whether every replica that is there answers by the route of this epoch or a later one; true when none is there.
  virtual bool Confirmed(const std::string& model, std::int64_t epoch) = 0;
  // What any replica that is there keeps in quarantine.
  virtual std::vector<QuarantinedVersion> Quarantined() { return {}; }
};

}  // namespace ratchet::pipeline
