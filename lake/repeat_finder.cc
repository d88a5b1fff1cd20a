#include "lake/repeat_finder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <queue>

namespace ratchet::lake {
namespace {

constexpr std::size_t kFewestKeysInMemory = 1'024;
constexpr std::size_t kEntriesRead = 1'024;  // at once, of each run
constexpr const char* kOperation = "look for repeated values";

using Entry = RepeatFinder::Entry;

int HexDigit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// Takes entries in the order of digest and row, and counts those that are not the first of their digest.
class RepeatCounter {
 public:
  void Add(const Entry& entry) {
    const bool repeated = any_ && entry.digest == last_;
    any_ = true;
    last_ = entry.digest;
    if (!repeated || entry.row % 2 == 0) return;
    ++found_.rows;
    std::vector<std::int64_t>& first = found_.first;
    first.insert(std::lower_bound(first.begin(), first.end(), entry.row / 2), entry.row / 2);
    if (first.size() > kRepeatsTold) first.pop_back();
  }
  Repeats found() const { return found_; }

 private:
  bool any_ = false;
  std::array<char, 16> last_{};
  Repeats found_;
};

// Reads one run from the file, a piece at a time.
class Run {
 public:
  Run(int fd, std::size_t first, std::size_t count) : fd_(fd), next_(first), end_(first + count) {}

  // False at the end.
  Result<bool> Next(Entry& to) {
    if (at_ == read_.size()) {
      if (next_ == end_) return false;
      RATCHET_TRY(Read(std::min(kEntriesRead, end_ - next_)));
    }
    to = read_[at_++];
    return true;
  }

 private:
  Status Read(std::size_t count) {
    read_.resize(count);
    at_ = 0;
    auto* bytes = reinterpret_cast<char*>(read_.data());
    std::size_t done = 0;
    while (done < count * sizeof(Entry)) {
      const ssize_t got =
          pread(fd_, bytes + done, count * sizeof(Entry) - done, static_cast<off_t>(next_ * sizeof(Entry) + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno(kOperation, "", errno);
      if (got == 0) return Fail(ErrorCode::kIo, kOperation, "", "a file of its own was cut short");
      done += static_cast<std::size_t>(got);
    }
    next_ += count;
    return {};
  }

  const int fd_;
  std::size_t next_;
  const std::size_t end_;
  std::vector<Entry> read_;
  std::size_t at_ = 0;
};

}  // namespace

RepeatFinder::RepeatFinder(std::string folder, std::size_t share, std::size_t keys_in_memory)
    : folder_(std::move(folder)),
      keys_in_memory_(
          std::max(keys_in_memory / std::max<std::size_t>(share, 1), std::min(keys_in_memory, kFewestKeysInMemory))) {}

Status RepeatFinder::Add(std::string_view key, std::int64_t row, bool counts) {
  if (held_.size() == keys_in_memory_) RATCHET_TRY(WriteRun());
  hash_.Update(key);
  const std::string hex = hash_.FinishHex();
  Entry entry{.digest = {}, .row = row * 2 + (counts ? 1 : 0)};
  for (std::size_t i = 0; i < entry.digest.size(); ++i) {
    entry.digest[i] = static_cast<char>(HexDigit(hex[2 * i]) << 4 | HexDigit(hex[2 * i + 1]));
  }
  held_.push_back(entry);
  return {};
}

Status RepeatFinder::WriteRun() {
  if (runs_ == kMaxRuns) {
    return Fail(ErrorCode::kTooLarge, kOperation, "", "there are more than " + std::to_string(runs_ * keys_in_memory_),
                "Leave `unique` out, or use fewer of them");
  }
  if (!file_) {
    std::error_code failed;
    std::string path =
        (folder_.empty() ? std::filesystem::temp_directory_path(failed).string() : folder_) + "/unique-XXXXXX";
    const int fd = mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) return FailErrno(kOperation, path, errno);
    unlink(path.c_str());
    file_.reset(fdopen(fd, "w+b"));
    if (!file_) {
      const int error = errno;
      close(fd);
      return FailErrno(kOperation, path, error);
    }
  }
  std::sort(held_.begin(), held_.end());
  errno = EIO;
  if (std::fwrite(held_.data(), sizeof(Entry), held_.size(), file_.get()) != held_.size() ||
      std::fflush(file_.get()) != 0)
    return FailErrno(kOperation, folder_, errno);
  held_.clear();
  ++runs_;
  return {};
}

Result<Repeats> RepeatFinder::Finish() {
  std::sort(held_.begin(), held_.end());
  if (runs_ > 0) return MergeRuns();
  RepeatCounter counter;
  for (const Entry& entry : held_) counter.Add(entry);
  return counter.found();
}

// The last run is the one in memory.
Result<Repeats> RepeatFinder::MergeRuns() {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < runs_; ++i) runs.emplace_back(fileno(file_.get()), i * keys_in_memory_, keys_in_memory_);
  std::size_t held = 0;
  auto next = [&](std::size_t run, Entry& entry) -> Result<bool> {
    if (run < runs.size()) return runs[run].Next(entry);
    if (held == held_.size()) return false;
    entry = held_[held++];
    return true;
  };
  using Head = std::pair<Entry, std::size_t>;
  std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
  auto advance = [&](std::size_t run) -> Status {
    Entry entry;
    RATCHET_ASSIGN(const bool more, next(run, entry));
    if (more) heads.emplace(entry, run);
    return {};
  };
  for (std::size_t run = 0; run <= runs.size(); ++run) RATCHET_TRY(advance(run));
  RepeatCounter counter;
  while (!heads.empty()) {
    const auto [entry, run] = heads.top();
    heads.pop();
    counter.Add(entry);
    RATCHET_TRY(advance(run));
  }
  return counter.found();
}

}  // namespace ratchet::lake
