#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "pipeline/executor.h"

// The process of a step as its folder tells of it (docs/formats.md, "Step folder"): how a ratchetd finds a step again
// that another one started, gives one up for good, and ends what is left of one. Nothing here waits long. Any thread.
namespace ratchet::pipeline {

// process.json.
struct ProcessRecord {
  bool abandoned = false;  // given up before it began
  std::int64_t pid = 0;
  std::uint64_t start_time = 0;
  std::string boot_id;
};

// Nothing: the file is not there. One that cannot be understood gives a record of no process.
Result<std::optional<ProcessRecord>> ReadProcessRecord(const std::string& folder);

// Claims a step that has no process.json, so that none can begin any more. kConflict: somebody was first; kNotFound:
// there is no such folder.
Status Abandon(const std::string& folder);

// False: the machine has been started anew since, so nothing of the step runs, and its folder may be torn where it was
// not synced.
bool IsOfThisBoot(const ProcessRecord& record);

// A pidfd of the supervisor if it still runs, else -1: a pid that another process has now is not taken for it.
int OpenSupervisor(const ProcessRecord& record);

// exit.json, or nothing.
std::optional<StepExit> ReadExit(const std::string& folder);

// kill.json: what a step is to end with.
struct KillOrder {
  std::string error_class, message;
};
Status WriteKillOrder(const std::string& folder, const KillOrder& order);
std::optional<KillOrder> ReadKillOrder(const std::string& folder);

// SIGKILL to the process and all that descend from it now.
void KillTree(std::int64_t pid);

// SIGKILL to every process whose environment says that it belongs to the step, until there is none or 50 ms are over.
void SweepStep(const std::string& folder);

}  // namespace ratchet::pipeline
