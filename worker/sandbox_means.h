#pragma once

#include "base/result.h"
#include "worker/sandbox.h"

// The two means of sandbox.h; nobody else includes this.
namespace ratchet::worker {

int LandlockAbi();  // 0: none
Status EnterLandlock(const SandboxPlan& plan);
Status NarrowLandlock(const CommandPlan& plan);

Status EnterMountNamespace(const SandboxPlan& plan);
Status NarrowMounts(const CommandPlan& plan);

// Paths, resolved, under which the data directory can be reached: its own, and one for each mount that shows it again.
std::vector<std::string> PathsOfFolder(const std::string& resolved, const std::string& mountinfo);

}  // namespace ratchet::worker
