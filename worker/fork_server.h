#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "worker/sandbox.h"
#include "worker/step_spec.h"

namespace ratchet::worker {

struct ForkServerOptions {
  int control_fd = -1;  // SOCK_SEQPACKET; docs/formats.md, "Fork server"
  SandboxMeans sandbox = SandboxMeans::kNone;
  nlohmann::json ready;  // the first packet
  // The code of a step: runs in the child, sandboxed already, and gives its exit code. It writes result.json itself.
  std::function<int(const StepSpec&)> run_step;
  std::uint64_t log_limit_bytes = 64u << 20;  // a step that writes more is ended as over its disk quota
};

inline constexpr size_t kMaxRunningSteps = 64;

// Serves until the socket closes or SIGTERM comes, then ends every step and returns the exit code of the program.
// The process must have one thread, and keeps one.
int ServeSteps(const ForkServerOptions& options, const Clock& clock);

}  // namespace ratchet::worker
