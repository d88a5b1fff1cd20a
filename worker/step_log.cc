#include "worker/step_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>
#include <vector>

namespace ratchet::worker {
namespace {

constexpr size_t kTailBytes = 4096;
constexpr std::string_view kSegmentPrefix = "log.";

// The offsets of the segments that are there, smallest first.
std::vector<std::uint64_t> SegmentOffsets(const std::string& folder) {
  std::vector<std::uint64_t> offsets;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return offsets;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name(entry->d_name);
    if (!name.starts_with(kSegmentPrefix)) continue;
    std::uint64_t offset = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data() + kSegmentPrefix.size(), end, offset).ptr == end) offsets.push_back(offset);
  }
  closedir(dir);
  std::ranges::sort(offsets);
  return offsets;
}

}  // namespace

StepLogWriter::~StepLogWriter() { CloseFile(); }

void StepLogWriter::CloseFile() {
  if (file_ >= 0) close(std::exchange(file_, -1));
}

bool StepLogWriter::OpenFile() {
  CloseFile();
  const bool is_head = offset_ == 0;
  const auto path = folder_ + (is_head ? "/log" : "/log." + std::to_string(offset_));
  // The folder is the step's: no link of its making may lead the log elsewhere.
  file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
  room_ = is_head ? caps_.head_bytes : caps_.segment_bytes;
  if (file_ < 0 || is_head) return file_ >= 0;
  auto offsets = SegmentOffsets(folder_);
  for (size_t i = 0; offsets.size() > caps_.segments && i + caps_.segments < offsets.size(); ++i)
    (void)unlink((folder_ + "/log." + std::to_string(offsets[i])).c_str());
  return true;
}

void StepLogWriter::Write(std::string_view bytes) {
  tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), kTailBytes));
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  while (!bytes.empty()) {
    if ((file_ < 0 || room_ == 0) && !OpenFile()) {
      offset_ += bytes.size();
      return;
    }
    const auto piece = bytes.substr(0, std::min<std::uint64_t>(room_, bytes.size()));
    const ssize_t written = write(file_, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      // The rest of this is lost; what comes later begins a segment of its own, whose name tells the gap.
      offset_ += bytes.size();
      return CloseFile();
    }
    offset_ += static_cast<std::uint64_t>(written);
    room_ -= static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace ratchet::worker
