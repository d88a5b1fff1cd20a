#include "worker/process_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

namespace ratchet::worker {
namespace {

// A file of /proc, up to 4 KiB of it; empty when the process is gone.
std::string ReadProc(pid_t pid, const char* name) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text(4096, '\0');
  const ssize_t got = read(fd, text.data(), text.size());
  close(fd);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

// `fields`: what stat has from the third field on, the state; the number of threads is the twentieth.
int ThreadCount(const std::string& fields) {
  constexpr int kFieldsBefore = 17;
  size_t at = 0;
  for (int passed = 0; passed < kFieldsBefore; ++passed) {
    at = fields.find(' ', at);
    if (at == std::string::npos) return 0;
    ++at;
  }
  return std::atoi(fields.c_str() + at);
}

// "12 (name) S 1 …": the name may hold anything, so the fields are looked for behind the last parenthesis.
std::optional<ProcessEntry> ReadEntry(pid_t pid) {
  const auto stat = ReadProc(pid, "stat");
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= stat.size()) return std::nullopt;
  const bool leader_ended = stat[name_end + 2] == 'Z' || stat[name_end + 2] == 'X';
  // A first thread that has ended looks like a zombie while the others run on.
  if (leader_ended && ThreadCount(stat.substr(name_end + 2)) <= 1) return std::nullopt;
  return ProcessEntry{pid, static_cast<pid_t>(std::atoi(stat.c_str() + name_end + 4))};
}

// Sums the kB values of the named lines of a status or smaps_rollup file.
std::uint64_t SumKilobytes(const std::string& text, std::initializer_list<std::string_view> names) {
  std::uint64_t sum = 0;
  for (const auto name : names) {
    const auto at = text.find("\n" + std::string(name) + ":");
    if (at != std::string::npos) sum += std::strtoull(text.c_str() + at + name.size() + 2, nullptr, 10);
  }
  return sum * 1024;
}

std::uint64_t FolderBytesAt(int parent, const char* name, int depth) {
  constexpr int kDeepest = 64;
  const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return 0;
  DIR* dir = fdopendir(fd);
  if (dir == nullptr) return close(fd), 0;
  std::uint64_t sum = 0;
  while (const dirent* entry = readdir(dir)) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    struct stat info {};
    if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    sum += static_cast<std::uint64_t>(info.st_blocks) * 512;
    if (S_ISDIR(info.st_mode) && depth < kDeepest) sum += FolderBytesAt(fd, entry->d_name, depth + 1);
  }
  closedir(dir);
  return sum;
}

}  // namespace

std::vector<ProcessEntry> ListProcesses() {
  std::vector<ProcessEntry> all;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return all;
  while (const dirent* entry = readdir(dir)) {
    pid_t pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr != end || pid <= 0) continue;
    if (const auto found = ReadEntry(pid)) all.push_back(*found);
  }
  closedir(dir);
  return all;
}

std::vector<pid_t> Descendants(const std::vector<ProcessEntry>& all, pid_t root) {
  std::unordered_set<pid_t> family{root};
  // A child may be listed before its parent, so the list is gone through until nothing new is found.
  for (size_t before = 0; before != family.size();) {
    before = family.size();
    for (const auto& entry : all)
      if (family.contains(entry.parent)) family.insert(entry.pid);
  }
  std::vector<pid_t> found;
  for (const auto& entry : all)
    if (family.contains(entry.pid)) found.push_back(entry.pid);
  return found;
}

std::vector<pid_t> Family(pid_t root) {
  if (access("/proc/thread-self/children", F_OK) != 0) {
    auto family = Descendants(ListProcesses(), root);
    std::erase(family, root);
    return family;
  }
  std::vector<pid_t> family{root};
  for (size_t at = 0; at < family.size(); ++at) {
    const auto tasks = "/proc/" + std::to_string(family[at]) + "/task";
    DIR* dir = opendir(tasks.c_str());
    if (dir == nullptr) continue;
    while (const dirent* entry = readdir(dir)) {
      const auto children = ReadProc(family[at], (std::string("task/") + entry->d_name + "/children").c_str());
      for (const char* next = children.c_str(); *next != '\0';) {
        char* end = nullptr;
        const auto pid = static_cast<pid_t>(std::strtol(next, &end, 10));
        if (end == next) break;
        if (pid > 0) family.push_back(pid);
        next = end;
      }
    }
    closedir(dir);
  }
  family.erase(family.begin());
  return family;
}

std::uint64_t ReadBytesOf(pid_t pid) {
  const auto io = ReadProc(pid, "io");
  constexpr std::string_view kName = "rchar: ";
  const auto at = io.find(kName);
  return at == std::string::npos ? 0 : std::strtoull(io.c_str() + at + kName.size(), nullptr, 10);
}

std::uint64_t ResidentBytes(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (const pid_t pid : pids) sum += SumKilobytes(ReadProc(pid, "status"), {"RssAnon", "RssShmem"});
  return sum;
}

std::uint64_t ProportionalBytes(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (const pid_t pid : pids) {
    const auto rollup = ReadProc(pid, "smaps_rollup");
    // Where the kernel does not tell (before 5.9, or not to us), the upper bound has to do.
    if (rollup.find("Pss_Anon") == std::string::npos)
      sum += ResidentBytes({pid});
    else
      sum += SumKilobytes(rollup, {"Pss_Anon", "Pss_Shmem"});
  }
  return sum;
}

bool KillDescendants(pid_t root, const std::vector<pid_t>& spare) {
  constexpr int kMostRounds = 500;
  for (int round = 0; round < kMostRounds; ++round) {
    auto all = ListProcesses();
    std::erase_if(all, [&](const ProcessEntry& entry) { return std::ranges::find(spare, entry.pid) != spare.end(); });
    auto family = Descendants(all, root);
    std::erase(family, root);
    if (family.empty()) return true;
    for (const pid_t pid : family) kill(pid, SIGKILL);
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
  }
  return false;
}

bool EndAllChildren() {
  constexpr int kMostRounds = 500;
  for (int round = 0; round < kMostRounds; ++round) {
    pid_t ended = 0;
    while ((ended = waitpid(-1, nullptr, WNOHANG)) > 0) continue;
    if (ended < 0 && errno == ECHILD) return true;
    (void)KillDescendants(getpid(), {});
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
  }
  return false;
}

std::uint64_t FolderBytes(const std::string& path) { return FolderBytesAt(AT_FDCWD, path.c_str(), 0); }

}  // namespace ratchet::worker
