#include "worker/process_record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/files.h"

namespace ratchet::worker {
namespace {

constexpr std::uint64_t kMostBytes = 64u << 10;

Status WriteNew(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return FailErrno("make", path, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int why = written < 0 ? errno : ENOSPC;
  close(fd);
  if (written == static_cast<ssize_t>(text.size())) return {};
  (void)unlink(path.c_str());
  return FailErrno("write", path, why);
}

// Field 22 of /proc/self/stat. The name of the process may hold anything, so the fields are counted behind it.
std::uint64_t OwnStartTime() {
  const auto stat = SystemFiles().Read("/proc/self/stat", 4096).value_or("");
  size_t at = stat.rfind(')');
  constexpr int kSpacesBefore = 20;
  for (int passed = 0; passed < kSpacesBefore && at != std::string::npos; ++passed) at = stat.find(' ', at + 1);
  return at == std::string::npos ? 0 : std::strtoull(stat.c_str() + at, nullptr, 10);
}

}  // namespace

std::string BootId() {
  auto text = SystemFiles().Read("/proc/sys/kernel/random/boot_id", 4096).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Status ClaimStep(const std::string& folder, const std::string& boot_id) {
  const nlohmann::json record{{"pid", getpid()}, {"start_time", OwnStartTime()}, {"boot_id", boot_id}};
  const auto made = folder + "/process.json." + std::to_string(getpid());
  RATCHET_TRY(WriteNew(made, record.dump() + "\n"));
  const int failed = link(made.c_str(), (folder + "/process.json").c_str());
  const int why = errno;
  (void)unlink(made.c_str());
  if (failed == 0) return {};
  if (why == EEXIST) return Fail(ErrorCode::kConflict, "claim", folder, "it is taken, or was given up");
  return FailErrno("claim", folder, why);
}

Status WriteExit(const std::string& folder, const nlohmann::json& exit) {
  const auto made = folder + "/exit.json.tmp";
  RATCHET_TRY(WriteNew(made, exit.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"));
  if (rename(made.c_str(), (folder + "/exit.json").c_str()) != 0) return FailErrno("rename", made, errno);
  return {};
}

nlohmann::json ReadKill(const std::string& folder) {
  const auto text = SystemFiles().Read(folder + "/kill.json", kMostBytes);
  auto kill = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  return kill.is_object() ? kill : nlohmann::json::object();
}

}  // namespace ratchet::worker
