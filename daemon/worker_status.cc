#include "daemon/worker_status.h"

#include <algorithm>
#include <fstream>

namespace ratchet::daemon {
namespace {

constexpr std::uint64_t kTailBytes = 1000;
constexpr int kTailLines = 5;

}  // namespace

std::string LastLines(const std::string& path, std::uint64_t from) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto size = static_cast<std::uint64_t>(file.tellg());
  if (size <= from) return {};
  const std::uint64_t start = std::max(from, size - std::min(size, kTailBytes));
  std::string text(static_cast<size_t>(size - start), '\0');
  file.seekg(static_cast<std::streamoff>(start));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  while (text.ends_with('\n')) text.pop_back();
  size_t begin = text.size();
  for (int lines = 0; lines < kTailLines && begin != std::string::npos && begin > 0; ++lines)
    begin = text.rfind('\n', begin - 1);
  if (begin != std::string::npos && begin < text.size() && text[begin] == '\n') text.erase(0, begin + 1);
  return text;
}

nlohmann::json WorkerStatus(const pipeline::ForkServer& worker, const std::string& log_path) {
  const nlohmann::json ready = worker.Describe();
  const bool known = ready.is_object();
  nlohmann::json status = {{"state", worker.State()},
                           {"sandbox", known ? ready.value("sandbox", nlohmann::json()) : nlohmann::json()},
                           {"recipes", known ? ready.value("recipes", nlohmann::json::array()) : nlohmann::json::array()},
                           {"error", nullptr}};
  const pipeline::ForkServer::LastEnd end = worker.WhyDown();
  if (known || end.how.empty()) return status;
  const std::string lines = LastLines(log_path, end.log_from);
  status["error"] = lines.empty() ? end.how : end.how + ": " + lines;
  return status;
}

}  // namespace ratchet::daemon
