#include "pipeline/step_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

namespace ratchet::pipeline {
namespace {

constexpr std::string_view kSegmentPrefix = "log.";

struct Part {
  std::uint64_t begin = 0, end = 0;  // of the stream
  std::string path;
};

// A file in a step's folder is a stranger's: nothing but a regular one is opened, and no link followed.
std::optional<std::uint64_t> SizeOf(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

// Sorted. A segment that is removed meanwhile is left out.
std::vector<Part> PartsOf(const std::string& folder) {
  std::vector<Part> parts;
  if (const auto size = SizeOf(folder + "/log")) parts.push_back({0, *size, folder + "/log"});
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return parts;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name(entry->d_name);
    std::uint64_t begin = 0;
    const char* end = name.data() + name.size();
    if (!name.starts_with(kSegmentPrefix) || name.size() == kSegmentPrefix.size()) continue;
    if (std::from_chars(name.data() + kSegmentPrefix.size(), end, begin).ptr != end) continue;
    const auto path = folder + "/" + std::string(name);
    if (const auto size = SizeOf(path)) parts.push_back({begin, begin + *size, path});
  }
  closedir(dir);
  std::ranges::sort(parts, {}, &Part::begin);
  return parts;
}

std::string ReadAt(const std::string& path, std::uint64_t offset, size_t most) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return {};
  std::string bytes(most, '\0');
  const ssize_t got = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  close(fd);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

}  // namespace

LogPiece ReadLog(const std::string& folder, std::uint64_t offset, size_t max_bytes) {
  LogPiece piece{.next_offset = offset};
  for (const Part& part : PartsOf(folder)) {
    if (part.end <= piece.next_offset) continue;
    if (piece.bytes.size() >= max_bytes) break;
    const std::uint64_t gap = part.begin - std::min(part.begin, piece.next_offset);
    const std::uint64_t from = piece.next_offset + gap;
    const auto bytes = ReadAt(part.path, from - part.begin, max_bytes - piece.bytes.size());
    // Gone between the listing and the opening: the next call sees what has become of it.
    if (bytes.empty()) break;
    if (gap > 0) piece.bytes += "\n… " + std::to_string(gap) + " bytes dropped …\n";
    piece.dropped_bytes += gap;
    piece.bytes += bytes;
    piece.next_offset = from + bytes.size();
    if (piece.next_offset < part.end) break;
  }
  return piece;
}

std::uint64_t LogTailOffset(const std::string& folder, size_t max_bytes) {
  const auto parts = PartsOf(folder);
  const std::uint64_t end = parts.empty() ? 0 : parts.back().end;
  return end - std::min<std::uint64_t>(end, max_bytes);
}

}  // namespace ratchet::pipeline
