#include "pipeline/step_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/files.h"

namespace ratchet::pipeline {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostBytes = 256u << 10;
constexpr std::uint64_t kMostProcBytes = 4u << 20;

std::string ReadProc(std::int64_t pid, const char* name) {
  return SystemFiles().Read("/proc/" + std::to_string(pid) + "/" + name, kMostProcBytes).value_or("");
}

// The n-th field of /proc/PID/stat, n > 2. The second, a name, may hold anything, so they are counted behind it.
std::int64_t StatField(const std::string& stat, int n) {
  size_t at = stat.rfind(')');
  for (int passed = 2; passed < n && at != std::string::npos; ++passed) at = stat.find(' ', at + 1);
  return at == std::string::npos ? 0 : std::strtoll(stat.c_str() + at, nullptr, 10);
}

std::string BootId() {
  auto text = SystemFiles().Read("/proc/sys/kernel/random/boot_id", kMostBytes).value_or("");
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<std::int64_t> Processes() {
  std::vector<std::int64_t> pids;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return pids;
  while (const dirent* entry = readdir(dir)) {
    std::int64_t pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr == end && pid > 0) pids.push_back(pid);
  }
  closedir(dir);
  return pids;
}

// Not durable: what it tells of does not outlive the machine.
Status WriteSmall(const std::string& path, const Json& value) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return FailErrno("make", path, errno);
  const auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const ssize_t written = write(fd, text.data(), text.size());
  const int why = written < 0 ? errno : ENOSPC;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) return FailErrno("write", path, why);
  return {};
}

// A value of the wrong type counts as none: the folder is within a step's reach.
std::string Text(const Json& from, const char* key) {
  return from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : std::string();
}

double Number(const Json& from, const char* key) {
  return from.contains(key) && from[key].is_number() ? from[key].get<double>() : 0;
}

std::optional<int> Integer(const Json& from, const char* key) {
  return from.contains(key) && from[key].is_number_integer() ? std::optional(from[key].get<int>()) : std::nullopt;
}

std::optional<Json> ReadObject(const std::string& path) {
  const auto text = SystemFiles().Read(path, kMostBytes);
  Json value = text ? Json::parse(*text, nullptr, false) : Json();
  return value.is_object() ? std::optional(std::move(value)) : std::nullopt;
}

}  // namespace

Result<std::optional<ProcessRecord>> ReadProcessRecord(const std::string& folder) {
  const auto text = SystemFiles().Read(folder + "/process.json", kMostBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return ProcessRecord{};
  return ProcessRecord{.abandoned = json.value("abandoned", Json()) == true,
                       .pid = static_cast<std::int64_t>(Number(json, "pid")),
                       .start_time = static_cast<std::uint64_t>(Number(json, "start_time")),
                       .boot_id = Text(json, "boot_id")};
}

Status Abandon(const std::string& folder) {
  const auto made = folder + "/process.json.abandoned";
  RATCHET_TRY(WriteSmall(made, {{"abandoned", true}}));
  const int failed = link(made.c_str(), (folder + "/process.json").c_str());
  const int why = errno;
  (void)unlink(made.c_str());
  if (failed == 0) return {};
  if (why == EEXIST) return Fail(ErrorCode::kConflict, "give up", folder, "its process was there first");
  return FailErrno("give up", folder, why);
}

bool IsOfThisBoot(const ProcessRecord& record) { return record.boot_id == BootId(); }

int OpenSupervisor(const ProcessRecord& record) {
  if (record.pid <= 0 || !IsOfThisBoot(record)) return -1;
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(record.pid), 0));
  if (fd < 0) return -1;
  const auto stat = ReadProc(record.pid, "stat");
  pollfd ended{fd, POLLIN, 0};
  const bool same = static_cast<std::uint64_t>(StatField(stat, 22)) == record.start_time;
  if (same && poll(&ended, 1, 0) == 0) return fd;
  close(fd);
  return -1;
}

std::optional<StepExit> ReadExit(const std::string& folder) {
  const auto json = ReadObject(folder + "/exit.json");
  if (!json) return std::nullopt;
  return StepExit{.exit_code = Integer(*json, "exit_code"),
                  .signal = Integer(*json, "signal"),
                  .error_class = Text(*json, "class"),
                  .message = Text(*json, "message"),
                  .hint = Text(*json, "hint"),
                  .cpu_s = Number(*json, "cpu_s"),
                  .max_rss_bytes = static_cast<std::int64_t>(Number(*json, "max_rss_bytes")),
                  .read_bytes = static_cast<std::int64_t>(Number(*json, "read_bytes"))};
}

Status WriteKillOrder(const std::string& folder, const KillOrder& order) {
  const auto path = folder + "/kill.json";
  RATCHET_TRY(WriteSmall(path + ".tmp", {{"class", order.error_class}, {"message", order.message}}));
  if (rename((path + ".tmp").c_str(), path.c_str()) != 0) return FailErrno("rename", path, errno);
  return {};
}

std::optional<KillOrder> ReadKillOrder(const std::string& folder) {
  const auto json = ReadObject(folder + "/kill.json");
  if (!json) return std::nullopt;
  return KillOrder{Text(*json, "class"), Text(*json, "message")};
}

void KillTree(std::int64_t pid) {
  std::vector<std::pair<std::int64_t, std::int64_t>> parents;  // pid, its parent
  for (const std::int64_t one : Processes()) parents.emplace_back(one, StatField(ReadProc(one, "stat"), 4));
  std::unordered_set<std::int64_t> family{pid};
  for (size_t before = 0; before != family.size();) {
    before = family.size();
    for (const auto& [one, parent] : parents)
      if (family.contains(parent)) family.insert(one);
  }
  // The supervisor first, so that it starts nothing more.
  kill(static_cast<pid_t>(pid), SIGKILL);
  for (const std::int64_t one : family) kill(static_cast<pid_t>(one), SIGKILL);
}

void SweepStep(const std::string& folder) {
  const std::string mark = "RATCHET_STEP_FOLDER=" + folder;
  constexpr int kMostRounds = 25;
  for (int round = 0; round < kMostRounds; ++round) {
    bool found = false;
    for (const std::int64_t pid : Processes()) {
      const auto environment = '\0' + ReadProc(pid, "environ") + '\0';
      if (pid == getpid() || environment.find('\0' + mark + '\0') == std::string::npos) continue;
      found |= kill(static_cast<pid_t>(pid), SIGKILL) == 0;
    }
    if (!found) return;
    poll(nullptr, 0, 2);
  }
}

}  // namespace ratchet::pipeline
