#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

// What a step's supervisor leaves in the step's folder about its process (docs/formats.md, "Step folder"), so that any
// ratchetd can find it again. Neither is durable: a process does not outlive the machine.
namespace ratchet::worker {

// The boot of this machine, by which a pid of an earlier one is known for what it is.
std::string BootId();

// Makes FOLDER/process.json, which says that this process has the step. kConflict: somebody else has it, or it has been
// given up; this process must not run it.
Status ClaimStep(const std::string& folder, const std::string& boot_id);

// Writes FOLDER/exit.json, the supervisor's last word.
Status WriteExit(const std::string& folder, const nlohmann::json& exit);

// FOLDER/kill.json, with the class and the message that the step is to end with; an empty object where there is none.
nlohmann::json ReadKill(const std::string& folder);

}  // namespace ratchet::worker
