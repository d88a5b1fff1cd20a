#pragma once

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "worker/supervisor.h"

namespace ratchet::worker {

struct ForkServerOptions {
  int control_fd = -1;   // SOCK_SEQPACKET; docs/formats.md, "Fork server"
  nlohmann::json ready;  // the first packet
  SupervisorOptions supervisor;
};

inline constexpr size_t kMaxRunningSteps = 256;

// Has one supervisor forked ahead, gives it the next step that it is told to start, and knows nothing of it afterwards.
// Serves until the socket closes or SIGTERM comes and returns the exit code of the program; steps that run then go on
// without it.
// The process must have one thread, and keeps one.
int ServeSteps(const ForkServerOptions& options, const Clock& clock);

}  // namespace ratchet::worker
