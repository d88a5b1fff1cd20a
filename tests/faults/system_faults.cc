#include "tests/faults/system_faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

namespace ratchet::faults {
namespace {

// What a file held before a write that is not synced yet.
struct Unsynced {
  off_t offset = 0, size_before = 0;
  std::string bytes_before;
};
struct UnsyncedFile {
  std::string path;
  std::vector<Unsynced> writes;
};

SystemFaults g_faults;
std::map<ino_t, UnsyncedFile> g_unsynced;
int g_execs = 0;  // sqlite3_exec steps by itself, and execs within; it asks its statement, not the step, how it went

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

ssize_t RealPwrite(int fd, const void* bytes, size_t size, off_t offset) {
  static auto* real = Real<ssize_t(int, const void*, size_t, off_t)>("pwrite64");
  return real(fd, bytes, size, offset);
}

ssize_t RealWrite(int fd, const void* bytes, size_t size) {
  static auto* real = Real<ssize_t(int, const void*, size_t)>("write");
  return real(fd, bytes, size);
}

void Remember(int fd, off_t offset, size_t size) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
  UnsyncedFile& file = g_unsynced[info.st_ino];
  if (file.path.empty()) {
    char path[512] = {};
    ssize_t got = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1);
    if (got > 0) file.path = path;
  }
  Unsynced write{.offset = offset, .size_before = info.st_size, .bytes_before = std::string(size, '\0')};
  ssize_t got = pread(fd, write.bytes_before.data(), size, offset);
  write.bytes_before.resize(got > 0 ? static_cast<size_t>(got) : 0);
  file.writes.push_back(std::move(write));
}

void ForgetFile(int fd) {
  struct stat info {};
  if (fstat(fd, &info) == 0) g_unsynced.erase(info.st_ino);
}

void TakeBack(const UnsyncedFile& file, ino_t inode, size_t kept) {
  int fd = open(file.path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat info {};
  if (fd >= 0 && fstat(fd, &info) == 0 && info.st_ino == inode) {
    for (size_t i = file.writes.size(); i-- > kept;) {
      const Unsynced& write = file.writes[i];
      RealPwrite(fd, write.bytes_before.data(), write.bytes_before.size(), write.offset);
      if (ftruncate(fd, write.size_before) != 0) break;
    }
  }
  if (fd >= 0) close(fd);
}

// A write that fails may have gone halfway.
template <typename Part>
ssize_t Write(int fd, size_t size, off_t offset, Part part) {
  if (fd <= 2) return part(size);
  const bool was_dead = g_faults.dead;
  const int refused = Reached(Call::kWrite);
  if (g_faults.armed && !was_dead) Remember(fd, offset, size);
  if (refused == 0) return part(size);
  if (!was_dead && size > 1) part(size / 2);
  errno = refused;
  return -1;
}

int Sync(int fd, const char* name) {
  if (int refused = Reached(Call::kSync)) return errno = refused, -1;
  if (g_faults.armed && g_faults.on_sync) g_faults.on_sync();
  static auto* real_fsync = Real<int(int)>("fsync");
  static auto* real_fdatasync = Real<int(int)>("fdatasync");
  int rc = (std::strcmp(name, "fsync") == 0 ? real_fsync : real_fdatasync)(fd);
  if (rc == 0) ForgetFile(fd);
  return rc;
}

// Making, removing and emptying of files and folders: a dead process does none of it; they fail only as what they are.
int Change(Call call) {
  int refused = Reached(call);
  if (refused != 0) errno = refused;
  return refused;
}

bool MayOpen(int flags) {
  if (!g_faults.armed || !g_faults.dead || (flags & (O_CREAT | O_TRUNC)) == 0) return true;
  errno = EIO;
  return false;
}

}  // namespace

SystemFaults& Faults() { return g_faults; }
void ResetCounts() { g_faults.counts.fill(0); }

int Reached(Call call) {
  SystemFaults& f = g_faults;
  if (!f.armed) return 0;
  const bool space = call == Call::kWrite || call == Call::kFolder;
  if (f.dead) return call == Call::kSql ? 0 : EIO;
  const std::int64_t count = ++f.counts[static_cast<size_t>(call)];
  if ((call != Call::kSql || f.count_sql) && f.calls_to_live >= 0 && f.calls_to_live-- == 0) {
    f.dead = true;
    return EIO;
  }
  if (call == f.fail_kind && count == f.fail_at) return f.fail_errno != 0 ? f.fail_errno : space ? ENOSPC : EIO;
  return f.disk_full && space ? ENOSPC : 0;
}

void CutPower(const std::function<size_t(size_t)>& cut) {
  Outside outside;
  for (const auto& [inode, file] : g_unsynced) TakeBack(file, inode, cut(file.writes.size()));
  g_unsynced.clear();
}

void ForgetWrites() { g_unsynced.clear(); }

}  // namespace ratchet::faults

// Not in any namespace: these names stand before those of the libraries.
using namespace ratchet::faults;

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  if (!Faults().armed) return RealWrite(fd, bytes, size);
  return Write(fd, size, lseek(fd, 0, SEEK_CUR), [&](size_t part) { return RealWrite(fd, bytes, part); });
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static auto* real = Real<ssize_t(int, const iovec*, int)>("writev");
  if (!Faults().armed) return real(fd, parts, count);
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return Write(fd, size, lseek(fd, 0, SEEK_CUR),
               [&](size_t part) { return part == size ? real(fd, parts, count) : ssize_t{0}; });
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  if (!Faults().armed) return RealPwrite(fd, bytes, size, offset);
  return Write(fd, size, offset, [&](size_t part) { return RealPwrite(fd, bytes, part, offset); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

int fsync(int fd) { return Sync(fd, "fsync"); }
int fdatasync(int fd) { return Sync(fd, "fdatasync"); }

int rename(const char* from, const char* to) {
  static auto* real = Real<int(const char*, const char*)>("rename");
  return Change(Call::kRename) ? -1 : real(from, to);
}

int link(const char* from, const char* to) {
  static auto* real = Real<int(const char*, const char*)>("link");
  return Change(Call::kRename) ? -1 : real(from, to);
}

int mkdir(const char* path, mode_t mode) {
  static auto* real = Real<int(const char*, mode_t)>("mkdir");
  struct stat info {};
  if (Faults().armed && stat(path, &info) == 0) return errno = EEXIST, -1;
  return Change(Call::kFolder) ? -1 : real(path, mode);
}

int unlink(const char* path) {
  static auto* real = Real<int(const char*)>("unlink");
  return Change(Call::kRename) ? -1 : real(path);
}

int unlinkat(int folder, const char* path, int flags) {
  static auto* real = Real<int(int, const char*, int)>("unlinkat");
  return Change(Call::kRename) ? -1 : real(folder, path, flags);
}

int ftruncate64(int fd, off64_t size) {
  static auto* real = Real<int(int, off64_t)>("ftruncate64");
  return Change(Call::kWrite) ? -1 : real(fd, size);
}

int open64(const char* path, int flags, ...) {
  static auto* real = Real<int(const char*, int, mode_t)>("open64");
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return MayOpen(flags) ? real(path, flags, mode) : -1;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open64(path, flags, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  static auto* real = Real<FILE*(const char*, const char*)>("fopen64");
  return MayOpen(std::strchr(mode, 'w') ? O_CREAT | O_TRUNC : 0) ? real(path, mode) : nullptr;
}

FILE* fopen(const char* path, const char* mode) { return fopen64(path, mode); }

int sqlite3_step(sqlite3_stmt* statement) {
  static auto* real = Real<int(sqlite3_stmt*)>("sqlite3_step");
  return g_execs == 0 && Reached(Call::kSql) ? SQLITE_IOERR : real(statement);
}

int sqlite3_exec(sqlite3* db, const char* sql, int (*row)(void*, int, char**, char**), void* argument, char** message) {
  static auto* real = Real<int(sqlite3*, const char*, int (*)(void*, int, char**, char**), void*, char**)>("sqlite3_exec");
  if (g_execs == 0 && Reached(Call::kSql)) return SQLITE_IOERR;
  ++g_execs;
  const int rc = real(db, sql, row, argument, message);
  --g_execs;
  return rc;
}

}
