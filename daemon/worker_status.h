#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/fork_server.h"

namespace ratchet::daemon {

// The "worker" object of /api/v1/status; while the worker is not ready `error` says how it ended, with the last lines of
// its log. Any thread.
nlohmann::json WorkerStatus(const pipeline::ForkServer& worker, const std::string& log_path);

// The last lines of what a file holds from `from` on, in at most 1,000 bytes; empty when there is nothing.
std::string LastLines(const std::string& path, std::uint64_t from);

}  // namespace ratchet::daemon
