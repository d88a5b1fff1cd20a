#include "daemon/bundle_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

namespace ratchet::daemon {
namespace {

la_ssize_t WriteOut(archive*, void* send, const void* bytes, size_t size) {
  const bool taken = (*static_cast<const Send*>(send))({static_cast<const char*>(bytes), size});
  return taken ? static_cast<la_ssize_t>(size) : -1;
}

bool AddFile(archive* tar, const TarFile& file) {
  const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0) {
    if (fd >= 0) close(fd);
    spdlog::error("cannot read {} for a bundle", file.path);
    return false;
  }
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), file.name.c_str());
  archive_entry_set_size(entry.get(), info.st_size);
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  bool good = archive_write_header(tar, entry.get()) == ARCHIVE_OK;
  char buffer[64 * 1024];
  while (good) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got == 0) break;
    good = got > 0 && archive_write_data(tar, buffer, static_cast<size_t>(got)) == got;
  }
  close(fd);
  return good && archive_write_finish_entry(tar) == ARCHIVE_OK;
}

}  // namespace

bool SendTar(const std::vector<TarFile>& files, const Send& send) {
  const std::unique_ptr<archive, decltype(&archive_write_free)> tar(archive_write_new(), archive_write_free);
  archive_write_set_format_ustar(tar.get());
  archive_write_set_bytes_per_block(tar.get(), 64 * 1024);
  archive_write_set_bytes_in_last_block(tar.get(), 1);
  if (archive_write_open(tar.get(), const_cast<Send*>(&send), nullptr, WriteOut, nullptr) != ARCHIVE_OK) return false;
  for (const TarFile& file : files) {
    if (!AddFile(tar.get(), file)) return false;
  }
  return archive_write_close(tar.get()) == ARCHIVE_OK;
}

}  // namespace ratchet::daemon
