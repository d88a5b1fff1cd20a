#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

namespace ratchet {

void InitLog(const std::string& program, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(program, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l %v");
  spdlog::level::level_enum chosen = spdlog::level::from_str(level);
  logger->set_level(chosen == spdlog::level::off && level != "off" ? spdlog::level::info : chosen);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace ratchet
