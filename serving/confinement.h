#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ratchet::serving {

struct ConfinementPlan {
  std::vector<std::string> read;  // files and folders, in addition to libraries and what name resolution needs
  std::vector<std::string> own;   // folders that may be written
};

// Shuts the process in for good, before it loads any model, whose code may do anything that LibTorch can: from now on it
// opens only what the plan names and what running at all takes (Landlock), and it starts no program, makes no process, and
// neither mounts nor traces (seccomp). Sockets stay as they are. The process must have one thread; those that it makes later
// are shut in with it. Gives in words what could be had: a kernel without Landlock has seccomp alone. kIo when the kernel
// has a means but refuses it.
Result<std::string> Confine(const ConfinementPlan& plan);

}  // namespace ratchet::serving
