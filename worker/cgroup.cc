#include "worker/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "base/files.h"

namespace ratchet::worker {
namespace {

constexpr std::uint64_t kMostBytes = 1u << 20;
constexpr char kLeaf[] = "/ratchet-worker";

Status WriteControl(const std::string& path, const std::string& text) {
  // The kernel's control files are there already; O_CREAT would be refused. O_TRUNC means nothing to them.
  const int fd = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int why = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) return FailErrno("write", path, why);
  return {};
}

std::string ReadControl(const std::string& path) { return SystemFiles().Read(path, kMostBytes).value_or(""); }

// systemd marks what it has delegated (Delegate=yes). Without the mark root could divide any group, a login's too.
bool IsDelegated(const std::string& folder) {
  char mark = 0;
  return getxattr(folder.c_str(), "user.delegate", &mark, 1) == 1 && mark == '1';
}

// With DelegateSubgroup= this process's group is a leaf already, and the groups of steps belong beside it.
bool DividesAbove(const std::string& above) {
  const bool has_memory = ReadControl(above + "/cgroup.controllers").find("memory") != std::string::npos;
  return has_memory && IsDelegated(above) && WriteControl(above + "/cgroup.subtree_control", "+memory").has_value();
}

}  // namespace

StepCgroup::~StepCgroup() { (void)rmdir(folder_.c_str()); }

Status StepCgroup::Adopt(pid_t pid) const { return WriteControl(folder_ + "/cgroup.procs", std::to_string(pid)); }

std::uint64_t StepCgroup::PeakBytes() const {
  return std::strtoull(ReadControl(folder_ + "/memory.peak").c_str(), nullptr, 10);
}

bool StepCgroup::OutOfMemoryKilled() const {
  std::istringstream lines(ReadControl(folder_ + "/memory.events"));
  std::string name;
  for (std::uint64_t count = 0; lines >> name >> count;)
    if (name == "oom_kill") return count > 0;
  return false;
}

void StepCgroup::KillAll() const { (void)WriteControl(folder_ + "/cgroup.kill", "1"); }

Result<CgroupParent> CgroupParent::Take(const std::string& root, const std::string& own, pid_t self) {
  const auto folder = root + (own == "/" ? "" : own);
  const auto above = folder.substr(0, folder.rfind('/'));
  if (above.size() > root.size() && DividesAbove(above)) return CgroupParent(above);
  const auto controllers = ReadControl(folder + "/cgroup.controllers");
  if (controllers.find("memory") == std::string::npos)
    return Fail(ErrorCode::kUnavailable, "use cgroup", folder, "it has no memory controller");
  const auto leaf = folder + kLeaf;
  if (mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST)
    return Fail(ErrorCode::kUnavailable, "use cgroup", folder, "it is not delegated to this process");
  const auto moved = WriteControl(leaf + "/cgroup.procs", std::to_string(self));
  const auto enabled = moved ? WriteControl(folder + "/cgroup.subtree_control", "+memory") : moved;
  if (!enabled) {
    (void)WriteControl(folder + "/cgroup.procs", std::to_string(self));
    (void)rmdir(leaf.c_str());
    return Fail(ErrorCode::kUnavailable, "use cgroup", folder, enabled.error().cause);
  }
  return CgroupParent(folder);
}

Result<std::unique_ptr<StepCgroup>> CgroupParent::Make(const std::string& name, std::uint64_t memory_bytes) const {
  auto step = std::make_unique<StepCgroup>(folder_ + "/" + name);
  if (mkdir(step->folder().c_str(), 0755) != 0) {
    if (errno == EEXIST) return Fail(ErrorCode::kConflict, "make cgroup", step->folder(), "it is there already");
    return FailErrno("make cgroup", step->folder(), errno);
  }
  RATCHET_TRY(WriteControl(step->folder() + "/memory.max", std::to_string(memory_bytes)));
  // Kernels without swap accounting lack the file; then there is nothing to forbid.
  (void)WriteControl(step->folder() + "/memory.swap.max", "0");
  (void)WriteControl(step->folder() + "/memory.oom.group", "1");
  return step;
}

Result<CgroupPlace> FindOwnCgroup() {
  CgroupPlace place;
  std::istringstream mounts(ReadControl("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root;
    fields >> id >> parent >> device >> root >> place.root;
  }
  std::istringstream groups(ReadControl("/proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::")) place.own = line.substr(3);
  if (place.root.empty() || place.own.empty())
    return Fail(ErrorCode::kUnavailable, "use cgroup", "this host", "it has no cgroup v2");
  return place;
}

}  // namespace ratchet::worker
