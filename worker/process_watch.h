#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

// What /proc and the file system tell about a step: its processes, their memory, its folder's size. One thread.
namespace ratchet::worker {

struct ProcessEntry {
  pid_t pid = 0;
  pid_t parent = 0;
};

// Every process of this machine (of this pid namespace) that still runs; zombies are left out.
std::vector<ProcessEntry> ListProcesses();

// Those of `all` that descend from `root`, itself included when it is there.
std::vector<pid_t> Descendants(const std::vector<ProcessEntry>& all, pid_t root);

// The descendants of `root` without itself, by what the kernel lists as its children: cheap on a machine of many
// processes. One that is just being born or orphaned may be missing.
std::vector<pid_t> Family(pid_t root);

// What the process and the children that it has waited for have read by read(2) and its like, from files, pipes and
// sockets alike. Told also of a process that has ended and not been waited for. 0 where the kernel does not count.
std::uint64_t ReadBytesOf(pid_t pid);

// Memory that the processes have of their own: anonymous and shared-memory pages. Pages shared by fork are counted in
// every process that maps them, so it is an upper bound; cheap.
std::uint64_t ResidentBytes(const std::vector<pid_t>& pids);

// The same, where a page that n processes of the machine share counts 1/n in each: exact, some milliseconds a process.
std::uint64_t ProportionalBytes(const std::vector<pid_t>& pids);

// Kills every descendant of `root`, but not `root`, until none is left (at most ~1 s of tries). What a killed process
// leaves behind is adopted by `root` if it is a subreaper, so that nobody escapes by becoming a daemon.
// `spare`: children of `root` that are left alone with all they have. False when some were left after all tries.
bool KillDescendants(pid_t root, const std::vector<pid_t>& spare);

// Kills and reaps whatever descends from this process, which has to be a subreaper. True: the kernel says that it has
// no child, so nothing of a command runs any more, nor can come back. False when that was not to be had in some
// seconds.
bool EndAllChildren();

// Disk space that a folder takes, in blocks; links are not followed. Files that vanish meanwhile count nothing.
std::uint64_t FolderBytes(const std::string& path);

}  // namespace ratchet::worker
