#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ratchet {

// The seam for the file system: every durable write outside SQLite goes through it, so that a test can fail the Nth
// one. Paths are absolute or relative to the working directory. Any thread.
class Files {
 public:
  virtual ~Files() = default;

  // Whole content of a regular file; kTooLarge beyond `limit_bytes`.
  virtual Result<std::string> Read(const std::string& path, std::uint64_t limit_bytes = 64u << 20) = 0;
  // All or nothing, durable on return: temporary name in the same folder, fsync, rename, fsync of the folder.
  virtual Status WriteAtomic(const std::string& path, std::string_view bytes) = 0;
  // Flushes the content of an existing file to the disk.
  virtual Status Sync(const std::string& path) = 0;
  // Renames within one file system and fsyncs the target's folder. Replaces an existing file.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Makes `to` a second name of the file `from` (a hard link) and fsyncs its folder; fine if `to` is there.
  virtual Status Link(const std::string& from, const std::string& to) = 0;
  // Makes the folder and its parents, and fsyncs the one it is in; fine if it is there.
  virtual Status MakeFolders(const std::string& path) = 0;
  // Removes a file or a whole folder; fine if it is not there.
  virtual Status RemoveAll(const std::string& path) = 0;
};

// The machine's own file system.
class SystemFiles final : public Files {
 public:
  Result<std::string> Read(const std::string& path, std::uint64_t limit_bytes) override;
  Status WriteAtomic(const std::string& path, std::string_view bytes) override;
  Status Sync(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status MakeFolders(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
};

// An exclusive flock on a file that holds this process's pid as text. Released by the destructor, or by the kernel when
// the process ends however it ends.
class FileLock {
 public:
  // kConflict when another process holds it; the cause names that process's pid.
  static Result<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// The pid that holds the lock file now, or 0 when no process does.
int LockHolder(const std::string& path);

}  // namespace ratchet
