#include "lake/retired_keys.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace ratchet::lake {
namespace {

constexpr std::size_t kKeyBytes = 8;
constexpr const char* kOperation = "read the keys of retired rows";

}  // namespace

Result<std::shared_ptr<const RetiredKeys>> RetiredKeys::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno(kOperation, path, errno);
  struct stat info {};
  const bool known = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const auto bytes = static_cast<std::size_t>(known ? info.st_size : 0);
  void* mapped = bytes == 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  close(fd);
  if (bytes == 0 || bytes % kKeyBytes != 0) return Fail(ErrorCode::kCorrupt, kOperation, path, "its size is not that of keys");
  if (mapped == MAP_FAILED) return FailErrno(kOperation, path, error);
  return std::shared_ptr<const RetiredKeys>(new RetiredKeys(static_cast<const unsigned char*>(mapped), bytes / kKeyBytes));
}

Status RetiredKeys::Write(const std::string& path, std::span<const std::uint64_t> ascending) {
  std::string bytes;
  bytes.reserve(ascending.size() * kKeyBytes);
  for (const std::uint64_t key : ascending)
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(key >> shift & 0xFF);
  return SystemFiles().WriteAtomic(path, bytes);
}

RetiredKeys::~RetiredKeys() { munmap(const_cast<unsigned char*>(bytes_), count_ * kKeyBytes); }

std::uint64_t RetiredKeys::At(std::size_t index) const {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < kKeyBytes; ++i) key = key << 8 | bytes_[index * kKeyBytes + i];
  return key;
}

bool RetiredKeys::Has(std::uint64_t hash) const {
  std::size_t low = 0, high = count_;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (At(middle) < hash) low = middle + 1;
    else high = middle;
  }
  return low < count_ && At(low) == hash;
}

}  // namespace ratchet::lake
