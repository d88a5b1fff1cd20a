#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace ratchet {
namespace {

namespace fs = std::filesystem;

bool IsRegularFile(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

Status SyncFolder(const std::string& folder) {
  int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open folder", folder, errno);
  int rc = fsync(fd), error_number = errno;
  close(fd);
  if (rc != 0) return FailErrno("fsync folder", folder, error_number);
  return {};
}

Status WriteAndSync(const std::string& path, std::string_view bytes) {
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FailErrno("create", path, errno);
  while (!bytes.empty()) {
    ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      int error_number = errno;
      close(fd);
      return FailErrno("write", path, error_number);
    }
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  int rc = fsync(fd), error_number = errno;
  close(fd);
  if (rc != 0) return FailErrno("fsync", path, error_number);
  return {};
}

}  // namespace

Result<std::string> SystemFiles::Read(const std::string& path, std::uint64_t limit_bytes) {
  // Without O_NONBLOCK a pipe that somebody put there would hold the caller for ever.
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FailErrno("read", path, errno);
  if (!IsRegularFile(fd)) {
    close(fd);
    return Fail(ErrorCode::kInvalid, "read", path, "it is no regular file");
  }
  std::string bytes;
  char buffer[65536];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    bytes.append(buffer, static_cast<size_t>(got));
    if (bytes.size() > limit_bytes) break;
  }
  int error_number = errno;
  close(fd);
  if (got < 0) return FailErrno("read", path, error_number);
  if (bytes.size() > limit_bytes)
    return Fail(ErrorCode::kTooLarge, "read", path, "larger than " + std::to_string(limit_bytes) + " bytes");
  return bytes;
}

Status SystemFiles::WriteAtomic(const std::string& path, std::string_view bytes) {
  static std::atomic<std::uint64_t> counter{0};
  std::string temporary = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(++counter);
  Status written = WriteAndSync(temporary, bytes);
  if (written) written = Rename(temporary, path);
  if (!written) unlink(temporary.c_str());
  return written;
}

Status SystemFiles::Sync(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  int rc = fsync(fd), error_number = errno;
  close(fd);
  if (rc != 0) return FailErrno("fsync", path, error_number);
  return {};
}

Status SystemFiles::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return FailErrno("rename", from + " to " + to, errno);
  return SyncFolder(fs::path(to).parent_path().string());
}

Status SystemFiles::Link(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) return FailErrno("link", from + " to " + to, errno);
  return SyncFolder(fs::path(to).parent_path().string());
}

Status SystemFiles::MakeFolders(const std::string& path) {
  std::error_code error;
  bool made = fs::create_directories(path, error);
  if (error) return FailErrno("make folder", path, error.value());
  return made ? SyncFolder(fs::path(path).parent_path().string()) : Status{};
}

Status SystemFiles::RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return FailErrno("remove", path, error.value());
  return {};
}

Result<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return FailErrno("open lock", path, errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int error_number = errno;
    char pid[32] = {};
    ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
    close(fd);
    if (error_number != EWOULDBLOCK) return FailErrno("lock", path, error_number);
    return Fail(ErrorCode::kConflict, "lock", path, "held by process " + (got > 0 ? std::string(pid) : "unknown"));
  }
  std::string pid = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    int error_number = errno;
    close(fd);
    return FailErrno("write", path, error_number);
  }
  return std::unique_ptr<FileLock>(new FileLock(fd));
}

FileLock::~FileLock() { close(fd_); }

int LockHolder(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  int holder = 0;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
    char pid[32] = {};
    if (pread(fd, pid, sizeof pid - 1, 0) > 0) holder = std::atoi(pid);
  }
  close(fd);
  return holder;
}

}  // namespace ratchet
