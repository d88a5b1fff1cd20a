#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "base/files.h"
#include "base/landlock.h"
#include "worker/sandbox_means.h"

namespace ratchet::worker {
namespace {

using landlock::Ruleset;
using landlock::kOwning;
using landlock::kReading;
using landlock::kWriteFile;
using landlock::kWriting;

bool IsUnder(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

bool HoldsAny(const std::string& folder, const std::vector<std::string>& hidden) {
  return std::ranges::any_of(hidden, [&](const std::string& one) { return IsUnder(one, folder); });
}

// Lets everything beneath `folder`, which holds some of the hidden folders, be read but these: what holds none is granted
// as a whole, what holds some is gone through. What cannot be opened here is left out: it could not be opened inside
// either.
void AllowAround(const Ruleset& ruleset, const std::string& folder, const std::vector<std::string>& hidden) {
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    const auto path = (folder == "/" ? "" : folder) + "/" + entry->d_name;
    if (!HoldsAny(path, hidden))
      ruleset.AllowEntry(dirfd(dir), *entry, kReading);
    else if (std::ranges::find(hidden, path) == hidden.end())
      AllowAround(ruleset, path, hidden);
  }
  closedir(dir);
}

// Device nodes that programs take for granted, and those of GPUs. Raw disks are not among them, not even for reading,
// nor is shared memory: what lies in /dev/shm is memory that no limit of the step would count.
void AllowDevices(const Ruleset& ruleset) {
  for (const char* node : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
                           "/dev/ptmx", "/dev/kfd", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"})
    (void)ruleset.Allow(node, kReading | kWriteFile);
  for (const char* folder : {"/dev/dri", "/dev/pts", "/dev/nvidia-caps"})
    (void)ruleset.Allow(folder, kReading | kWriteFile);
  if (access("/dev/nvidiactl", F_OK) != 0) return;
  for (int gpu = 0; gpu < 32; ++gpu) (void)ruleset.Allow("/dev/nvidia" + std::to_string(gpu), kReading | kWriteFile);
}

Result<std::string> Resolve(const std::string& path) {
  std::array<char, PATH_MAX> resolved;
  if (realpath(path.c_str(), resolved.data()) == nullptr) return FailErrno("resolve", path, errno);
  return std::string(resolved.data());
}

// Tells, without reading all of it, whether the list of mounts has changed since it was opened.
class MountWatch {
 public:
  MountWatch() : fd_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) { fstat(fd_, &opened_); }
  ~MountWatch() {
    if (IsOpen()) close(fd_);
  }
  MountWatch(const MountWatch&) = delete;
  MountWatch& operator=(const MountWatch&) = delete;

  // False also when the descriptor has been closed meanwhile, as a step's process closes what it does not know.
  bool Unchanged() const {
    pollfd watched{fd_, POLLPRI, 0};
    return IsOpen() && poll(&watched, 1, 0) == 0;
  }

 private:
  bool IsOpen() const {
    struct stat now {};
    return fd_ >= 0 && fstat(fd_, &now) == 0 && now.st_dev == opened_.st_dev && now.st_ino == opened_.st_ino;
  }

  const int fd_;
  struct stat opened_ {};
};

// What all steps of a data directory may: everything around it, and the devices.
class Surroundings final : public PreparedSandbox {
 public:
  static Result<std::unique_ptr<Surroundings>> Look(const std::string& data_dir) {
    std::unique_ptr<Surroundings> made(new Surroundings(data_dir));
    RATCHET_TRY(made->ruleset_.Create(landlock::kAll));
    RATCHET_TRY(made->FindHidden());
    made->times_ = made->Times();
    AllowAround(made->ruleset_, "/", made->hidden_);
    AllowDevices(made->ruleset_);
    return made;
  }

  // Whether nothing was mounted, and nothing came or went in the folders above the data directory, since then.
  bool IsOf(const std::string& data_dir) {
    if (data_dir != data_dir_) return false;
    const bool same_mounts = watch_.Unchanged() || ReadMounts().value_or("") == mounts_;
    return same_mounts && Times() == times_;
  }

  const Ruleset& ruleset() const { return ruleset_; }
  int descriptor() const override { return ruleset_.descriptor(); }

 private:
  explicit Surroundings(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  // The paths that are not granted: of the data directory, by each mount that shows it, and of the devices.
  Status FindHidden() {
    hidden_ = {"/dev"};
    if (data_dir_.empty()) return {};
    RATCHET_ASSIGN(const auto resolved, Resolve(data_dir_));
    RATCHET_ASSIGN(mounts_, ReadMounts());
    for (auto& path : PathsOfFolder(resolved, mounts_)) hidden_.push_back(std::move(path));
    return {};
  }

  static Result<std::string> ReadMounts() { return SystemFiles().Read("/proc/self/mountinfo", 16u << 20); }

  // Of the folders above, in which entries come and go.
  std::string Times() const {
    std::string times;
    for (const auto& path : hidden_)
      for (auto above = path.rfind('/'); above != std::string::npos; above = above == 0 ? std::string::npos : path.rfind('/', above - 1))
        times += TimeOf(path.substr(0, std::max<size_t>(above, 1)));
    return times;
  }

  static std::string TimeOf(const std::string& folder) {
    struct stat info {};
    if (stat(folder.c_str(), &info) != 0) return "?";
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) + ":" + std::to_string(info.st_mtim.tv_sec) + ":" +
           std::to_string(info.st_mtim.tv_nsec) + " ";
  }

  std::string data_dir_, mounts_, times_;
  MountWatch watch_;  // opened before the mounts are read
  std::vector<std::string> hidden_;
  Ruleset ruleset_;
};

}  // namespace

int LandlockAbi() { return landlock::Abi(); }

std::unique_ptr<PreparedSandbox> PrepareLandlock(const std::string& data_dir) {
  auto made = Surroundings::Look(data_dir);
  return made ? std::move(*made) : nullptr;
}

Status EnterLandlock(const SandboxPlan& plan, std::unique_ptr<PreparedSandbox> prepared) {
  // Nothing else prepares a sandbox.
  std::unique_ptr<Surroundings> around(static_cast<Surroundings*>(prepared.release()));
  if (around == nullptr || !around->IsOf(plan.data_dir)) {
    RATCHET_ASSIGN(around, Surroundings::Look(plan.data_dir));
  }
  const Ruleset& ruleset = around->ruleset();
  for (const auto& path : plan.read) {
    RATCHET_ASSIGN(const auto resolved, Resolve(path));
    RATCHET_TRY(ruleset.Allow(resolved, kReading));
  }
  RATCHET_ASSIGN(const auto own, Resolve(plan.own_folder));
  RATCHET_TRY(ruleset.Allow(own, kOwning));
  return ruleset.Enforce();
}

// Reading stays as the first layer has it. The kernel lets a file be written only where every layer does.
Status NarrowLandlock(const CommandPlan& plan) {
  Ruleset ruleset;
  RATCHET_TRY(ruleset.Create(kWriting));
  AllowDevices(ruleset);
  for (const auto& folder : plan.writable) RATCHET_TRY(ruleset.Allow(folder, kOwning & kWriting));
  return ruleset.Enforce();
}

}  // namespace ratchet::worker
