#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <spdlog/fmt/fmt.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "base/files.h"
#include "worker/sandbox_means.h"

namespace ratchet::worker {
namespace {

Status WriteText(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int why = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) return FailErrno("write", path, why);
  return {};
}

// What `path` has behind `folder` ("" or "/rest"), or nothing if it lies elsewhere.
std::optional<std::string> Beneath(const std::string& path, const std::string& folder) {
  if (folder == "/") return path == "/" ? "" : path;
  if (path == folder) return "";
  if (path.starts_with(folder + "/")) return path.substr(folder.size());
  return std::nullopt;
}

// A path that shall stay visible, held by a descriptor while the folder above it is covered.
struct Kept {
  std::string path;
  int fd = -1;
  bool folder = false;
  bool writable = false;
};

Result<Kept> Hold(const std::string& path, bool writable) {
  std::array<char, PATH_MAX> resolved;
  if (realpath(path.c_str(), resolved.data()) == nullptr) return FailErrno("resolve", path, errno);
  Kept kept{resolved.data(), open(resolved.data(), O_PATH | O_NOFOLLOW | O_CLOEXEC), false, writable};
  struct stat info {};
  if (kept.fd < 0 || fstat(kept.fd, &info) != 0) return FailErrno("open", path, errno);
  kept.folder = S_ISDIR(info.st_mode);
  return kept;
}

Status BindReadOnly(const std::string& path) {
  struct statvfs now {};
  if (statvfs(path.c_str(), &now) != 0) return FailErrno("look at", path, errno);
  // A flag that the machine's administrator has set cannot be taken back, and so has to be repeated.
  const unsigned long noexec = (now.f_flag & ST_NOEXEC) != 0 ? MS_NOEXEC : 0;
  const unsigned long read_only = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | noexec;
  if (mount(nullptr, path.c_str(), nullptr, read_only, nullptr) != 0) return FailErrno("make read-only", path, errno);
  return {};
}

// Shows a held path at its old place, which lies in the covering file system now.
Status Show(const Kept& kept) {
  const auto parent = kept.folder ? kept.path : kept.path.substr(0, kept.path.rfind('/'));
  RATCHET_TRY(SystemFiles().MakeFolders(parent));
  if (!kept.folder) {
    const int made = open(kept.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
    if (made < 0) return FailErrno("make", kept.path, errno);
    close(made);
  }
  const auto source = fmt::format("/proc/self/fd/{}", kept.fd);
  if (mount(source.c_str(), kept.path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return FailErrno("bind", kept.path, errno);
  close(kept.fd);
  return kept.writable ? Status() : BindReadOnly(kept.path);
}

// Shared memory of the step's own, and little of it: no limit of the step counts what lies in the machine's.
Status CoverSharedMemory(const std::string& data_dir) {
  const std::string path = "/dev/shm";
  if (Beneath(data_dir, path)) return {};  // what the step is given lies in it
  if (mount("none", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=1777") != 0 && errno != ENOENT)
    return FailErrno("cover", path, errno);
  return {};
}

Status EnterNamespaces() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return FailErrno("make", "user and mount namespace", errno);
  RATCHET_TRY(WriteText("/proc/self/setgroups", "deny"));
  RATCHET_TRY(WriteText("/proc/self/uid_map", fmt::format("{0} {0} 1", user)));
  RATCHET_TRY(WriteText("/proc/self/gid_map", fmt::format("{0} {0} 1", group)));
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return FailErrno("part", "mounts", errno);
  return {};
}

// "\040" and its like, as mountinfo writes blanks.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Mount {
  std::string device, root, point;
};

std::vector<Mount> ReadMounts(const std::string& mountinfo) {
  std::vector<Mount> mounts;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    if (fields >> id >> parent >> device >> root >> point) mounts.push_back({device, Unescape(root), Unescape(point)});
  }
  return mounts;
}

}  // namespace

std::vector<std::string> PathsOfFolder(const std::string& resolved, const std::string& mountinfo) {
  const auto mounts = ReadMounts(mountinfo);
  const Mount* home = nullptr;  // the mount that the folder lies on: the deepest, and of equal ones the last
  for (const auto& one : mounts)
    if (Beneath(resolved, one.point) && (home == nullptr || one.point.size() >= home->point.size())) home = &one;
  std::vector<std::string> paths{resolved};
  if (home == nullptr) return paths;
  const auto inside = (home->root == "/" ? "" : home->root) + *Beneath(resolved, home->point);
  for (const auto& one : mounts) {
    if (one.device != home->device || &one == home) continue;
    if (const auto rest = Beneath(inside, one.root))
      paths.push_back((one.point == "/" ? "" : one.point) + *rest);
    else if (Beneath(one.root, inside))
      paths.push_back(one.point);
  }
  return paths;
}

Status EnterMountNamespace(const SandboxPlan& plan) {
  RATCHET_ASSIGN(const auto mountinfo, SystemFiles().Read("/proc/self/mountinfo", 16u << 20));
  RATCHET_TRY(EnterNamespaces());
  if (plan.data_dir.empty()) return CoverSharedMemory("");
  std::vector<Kept> kept;
  for (const auto& path : plan.read) {
    RATCHET_ASSIGN(kept.emplace_back(), Hold(path, false));
  }
  RATCHET_ASSIGN(kept.emplace_back(), Hold(plan.own_folder, true));
  RATCHET_ASSIGN(const auto data_dir, Hold(plan.data_dir, true));
  close(data_dir.fd);
  for (const auto& path : PathsOfFolder(data_dir.path, mountinfo)) {
    const int covered = mount("none", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755");
    if (covered != 0 && errno != ENOENT) return FailErrno("cover", path, errno);
  }
  for (const auto& one : kept) {
    if (Beneath(one.path, data_dir.path))
      RATCHET_TRY(Show(one));
    else
      close(one.fd);
  }
  RATCHET_TRY(CoverSharedMemory(data_dir.path));
  constexpr unsigned long kSealed = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (mount(nullptr, data_dir.path.c_str(), nullptr, kSealed, nullptr) != 0)
    return FailErrno("seal", data_dir.path, errno);
  // The working folder may lie on what is covered now.
  if (chdir(plan.own_folder.c_str()) != 0) return FailErrno("enter", plan.own_folder, errno);
  return {};
}

// The folder is shown once more over itself, read-only, and what may be written is shown over that. In a namespace of
// its own, so that the first layer's mounts, this one's among them, cannot be taken off by what runs inside.
Status NarrowMounts(const CommandPlan& plan) {
  RATCHET_TRY(EnterNamespaces());
  const auto& folder = plan.step_folder;
  for (const auto& path : plan.writable) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return FailErrno("show", path, ENOTDIR);
  }
  if (mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) != 0) return FailErrno("bind", folder, errno);
  for (const auto& path : plan.writable)
    if (mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) return FailErrno("bind", path, errno);
  return BindReadOnly(folder);
}

}  // namespace ratchet::worker
