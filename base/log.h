#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace ratchet {

// Sends this process's log to stderr as `2026-01-31 12:00:00.123 program level message`. Called once, by main.
// `level`: trace, debug, info, warn, error or off; anything else means info.
void InitLog(const std::string& program, const std::string& level);

}  // namespace ratchet
