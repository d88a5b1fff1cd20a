#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/sandbox.h"

// The two means of sandbox.h; nobody else includes this.
namespace ratchet::worker {

int LandlockAbi();  // 0: none
std::unique_ptr<PreparedSandbox> PrepareLandlock(const std::string& data_dir);  // null where it cannot be had
Status EnterLandlock(const SandboxPlan& plan, std::unique_ptr<PreparedSandbox> prepared);
Status NarrowLandlock(const CommandPlan& plan);

Status EnterMountNamespace(const SandboxPlan& plan);
Status NarrowMounts(const CommandPlan& plan);

// Paths, resolved, under which the data directory can be reached: its own, and one for each mount that shows it again.
std::vector<std::string> PathsOfFolder(const std::string& resolved, const std::string& mountinfo);

}  // namespace ratchet::worker
