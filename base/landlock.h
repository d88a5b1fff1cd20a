#pragma once

#include <dirent.h>

#include <cstdint>
#include <string>

#include "base/result.h"

// Landlock by its three system calls: what a thread, and all that come of it, may open from now on. The constants are the
// kernel's (include/uapi/linux/landlock.h); they are repeated because the headers of Debian 12 know only the first two ABIs.
namespace ratchet::landlock {

enum Right : std::uint64_t {
  kExecute = 1u << 0,
  kWriteFile = 1u << 1,
  kReadFile = 1u << 2,
  kReadDir = 1u << 3,
  kRemoveDir = 1u << 4,
  kRemoveFile = 1u << 5,
  kMakeChar = 1u << 6,
  kMakeDir = 1u << 7,
  kMakeReg = 1u << 8,
  kMakeSock = 1u << 9,
  kMakeFifo = 1u << 10,
  kMakeBlock = 1u << 11,
  kMakeSym = 1u << 12,
  kRefer = 1u << 13,
  kTruncate = 1u << 14,
};
inline constexpr std::uint64_t kAllOfAbi1 = (1u << 13) - 1;
inline constexpr std::uint64_t kAll = kAllOfAbi1 | kRefer | kTruncate;
inline constexpr std::uint64_t kReading = kExecute | kReadFile | kReadDir;
inline constexpr std::uint64_t kOwning = kAll & ~std::uint64_t{kMakeChar | kMakeBlock};
inline constexpr std::uint64_t kWriting = kAll & ~kReading;

int Abi();  // 0: the kernel has none

// What is allowed, under construction. Not copied; the descriptor closes with it and on exec.
class Ruleset {
 public:
  Ruleset() = default;
  ~Ruleset();
  Ruleset(const Ruleset&) = delete;
  Ruleset& operator=(const Ruleset&) = delete;

  int descriptor() const { return fd_; }

  // Everything that is not of `governed` stays as it was. Where the kernel can, signals and abstract sockets beyond the
  // ruleset's own processes are cut off, too.
  Status Create(std::uint64_t governed);

  // Grants `rights` to a file, or to a folder and all in it. A path that is not there or cannot be opened is kNotFound
  // or kIo, and so is a symbolic link: it is not followed.
  Status Allow(const std::string& path, std::uint64_t rights) const;

  // The same for an entry of an open folder, of the kind that its listing told. What cannot be had is left out.
  void AllowEntry(int folder, const dirent& entry, std::uint64_t rights) const;

  // For this thread and those that it starts from now on; needs no new privileges (prctl) to have been set.
  Status Enforce() const;

 private:
  // Gives the errno, or 0.
  int Add(int fd, bool is_folder, std::uint64_t rights) const;

  int fd_ = -1;
  std::uint64_t handled_ = 0;
};

}  // namespace ratchet::landlock
