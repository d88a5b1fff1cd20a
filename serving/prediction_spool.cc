#include "serving/prediction_spool.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "serving/spool_frame.h"

namespace ratchet::serving {
namespace {

constexpr char kEnding[] = ".spool";
constexpr std::uint64_t kMaxSegmentBytes = 1u << 30;
constexpr size_t kMaxIdBytes = 64;

// By name, which is by age.
Result<std::vector<std::string>> SegmentPaths(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == kEnding) paths.push_back(entry.path().string());
  }
  if (error) return FailErrno("list", folder, error.value());
  std::ranges::sort(paths);
  return paths;
}

// All of the bytes or an error; interrupted and short writes go on.
Status WriteAll(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FailErrno("write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<std::string> ReadRange(const std::string& path, std::uint64_t from, std::uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  std::string text(bytes, '\0');
  size_t have = 0;
  while (have < bytes) {
    const ssize_t got = pread(fd, text.data() + have, bytes - have, static_cast<off_t>(from + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  close(fd);
  text.resize(have);
  return text;
}

}  // namespace

PredictionSpool::PredictionSpool(Files& files, std::string folder, SpoolLimits limits)
    : files_(files), folder_(std::move(folder)), limits_(limits) {}

PredictionSpool::~PredictionSpool() {
  if (active_fd_ < 0) return;
  fdatasync(active_fd_);
  close(active_fd_);
}

Result<std::unique_ptr<PredictionSpool>> PredictionSpool::Open(Files& files, std::string folder, SpoolLimits limits,
                                                               std::string fresh_id) {
  RATCHET_TRY(files.MakeFolders(folder));
  std::unique_ptr<PredictionSpool> spool(new PredictionSpool(files, std::move(folder), limits));
  RATCHET_TRY(spool->ReadState(fresh_id));
  RATCHET_ASSIGN(const auto paths, SegmentPaths(spool->folder_));
  for (const std::string& path : paths) RATCHET_TRY(spool->TakeSegment(path));
  spool->last_ = std::max(spool->last_, spool->acknowledged_);
  if (spool->cut_bytes_ > 0)
    spdlog::warn("cut {} bytes of half-written predictions from {}", spool->cut_bytes_, spool->folder_);
  if (spool->segments_.empty()) {
    RATCHET_TRY(spool->BeginSegment());
  } else {
    RATCHET_TRY(spool->OpenActive());
  }
  RATCHET_TRY(spool->DropAcknowledged());
  return spool;
}

// A state that is lost or damaged begins a new spool: its records are sent again, and known again by their ids.
Status PredictionSpool::ReadState(const std::string& fresh_id) {
  auto text = files_.Read(folder_ + "/spool.json", 4096);
  if (!text && text.error().code != ErrorCode::kNotFound && text.error().code != ErrorCode::kTooLarge)
    return std::unexpected(text.error());
  const auto state = nlohmann::json::parse(text.value_or(""), nullptr, false);
  const bool sound = state.is_object() && state.value("id", nlohmann::json()).is_string() &&
                     state.value("acknowledged", nlohmann::json()).is_number_unsigned() &&
                     state["id"].get<std::string>().size() <= kMaxIdBytes;
  if (sound) {
    id_ = state["id"];
    acknowledged_ = state["acknowledged"];
    return {};
  }
  if (text) spdlog::error("{}/spool.json is not sound; what is spooled is sent again", folder_);
  id_ = fresh_id;
  return WriteState();
}

Status PredictionSpool::WriteState() {
  const nlohmann::json state = {{"format", 1}, {"id", id_}, {"acknowledged", acknowledged_}};
  return files_.WriteAtomic(folder_ + "/spool.json", state.dump() + "\n");
}

// Reads every record's checksum; what comes after the first bad one of a segment cannot be told apart and is cut.
Status PredictionSpool::TakeSegment(const std::string& path) {
  RATCHET_ASSIGN(const std::string bytes, files_.Read(path, kMaxSegmentBytes));
  Segment segment{.path = path};
  while (auto frame = ReadFrame(std::string_view(bytes).substr(segment.bytes))) {
    if (frame->sequence <= last_) break;
    segment.bytes += frame->bytes;
    ++segment.records;
    segment.last = last_ = frame->sequence;
  }
  const std::string name = std::filesystem::path(path).stem().string();
  const bool numbered = !name.empty() && name.size() < 19 && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  if (numbered) segments_begun_ = std::max<std::uint64_t>(segments_begun_, std::stoull(name));
  if (segment.bytes < bytes.size()) {
    cut_bytes_ += bytes.size() - segment.bytes;
    if (truncate(path.c_str(), static_cast<off_t>(segment.bytes)) != 0) return FailErrno("cut", path, errno);
  }
  total_bytes_ += segment.bytes;
  segments_.push_back(std::move(segment));
  return {};
}

Status PredictionSpool::OpenActive() {
  if (active_fd_ >= 0) close(active_fd_);
  const std::string& path = segments_.back().path;
  active_fd_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (active_fd_ < 0) return FailErrno("open", path, errno);
  return {};
}

Status PredictionSpool::BeginSegment() {
  if (active_fd_ >= 0 && fdatasync(active_fd_) != 0) return FailErrno("sync", segments_.back().path, errno);
  segments_.push_back({.path = fmt::format("{}/{:018}{}", folder_, ++segments_begun_, kEnding)});
  Status opened = OpenActive();
  if (opened) opened = files_.Sync(folder_);
  if (!opened) segments_.pop_back();
  return opened;
}

Status PredictionSpool::WriteFrames(const std::string& frames, size_t count) {
  Segment& segment = segments_.back();
  if (Status written = WriteAll(active_fd_, segment.path, frames); !written) {
    if (ftruncate(active_fd_, static_cast<off_t>(segment.bytes)) != 0) spdlog::error("cannot cut {}", segment.path);
    return written;
  }
  segment.bytes += frames.size();
  total_bytes_ += frames.size();
  segment.records += count;
  segment.last = last_ += count;
  return {};
}

Result<std::uint64_t> PredictionSpool::Append(const std::string& payload) {
  if (payload.size() > kMaxRecordBytes) return Fail(ErrorCode::kTooLarge, "spool a prediction", "", "it is too large");
  RATCHET_ASSIGN(const size_t count, AppendSome({&payload, 1}));
  if (count == 0) return Fail(ErrorCode::kOverloaded, "spool a prediction", folder_, "the spool is full");
  std::lock_guard lock(mutex_);
  return last_;
}

Result<size_t> PredictionSpool::AppendSome(std::span<const std::string> payloads) {
  std::lock_guard lock(mutex_);
  if (active_fd_ < 0 || segments_.back().bytes >= limits_.segment_bytes) RATCHET_TRY(BeginSegment());
  std::string frames;
  size_t count = 0;
  for (const std::string& payload : payloads) {
    const std::uint64_t bytes = kFrameHeadBytes + payload.size();
    if (payload.size() > kMaxRecordBytes || total_bytes_ + frames.size() + bytes > limits_.bytes) break;
    frames += FrameOf(last_ + count + 1, payload);
    ++count;
  }
  if (count > 0) RATCHET_TRY(WriteFrames(frames, count));
  return count;
}

Status PredictionSpool::Sync() {
  int fd = -1;
  {
    std::lock_guard lock(mutex_);
    if (active_fd_ >= 0) fd = dup(active_fd_);  // a segment that begins meanwhile has synced the one before
  }
  if (fd < 0) return FailErrno("sync", folder_, errno);
  const int failed = fdatasync(fd) == 0 ? 0 : errno;
  close(fd);
  if (failed) return FailErrno("sync", folder_, failed);
  return {};
}

void PredictionSpool::CutAt(Segment& segment, std::uint64_t offset) {
  cut_bytes_ += segment.bytes - offset;
  total_bytes_ -= segment.bytes - offset;
  segment.bytes = offset;
  if (truncate(segment.path.c_str(), static_cast<off_t>(offset)) != 0) spdlog::error("cannot cut {}", segment.path);
}

// False, and the batch is full, where there is no more room.
bool PredictionSpool::Batch::Take(const Frame& frame) {
  full = records.size() >= most_records || (!records.empty() && bytes + frame.payload.size() > most_bytes);
  if (full) return false;
  bytes += frame.payload.size();
  records.push_back({frame.sequence, std::string(frame.payload)});
  return true;
}

// Adds records from `offset` of the segment on until the batch is full; sets `offset` behind the last one.
Status PredictionSpool::ReadSegment(Segment& segment, std::uint64_t& offset, Batch& batch) {
  constexpr std::uint64_t kMostFrameBytes = kFrameHeadBytes + kMaxRecordBytes;
  while (offset < segment.bytes && !batch.full) {
    const std::uint64_t wanted = std::min<std::uint64_t>(segment.bytes - offset, batch.most_bytes + kMostFrameBytes);
    RATCHET_ASSIGN(const std::string text, ReadRange(segment.path, offset, wanted));
    std::string_view rest = text;
    std::optional<Frame> frame;
    while (!batch.full && (frame = ReadFrame(rest))) {
      const bool known = frame->sequence <= acknowledged_;
      if (!known && !batch.Take(*frame)) break;
      rest.remove_prefix(frame->bytes);
      offset += frame->bytes;
      if (known && &segment == &segments_.front()) read_offset_ = offset;
    }
    // What is left to look at could hold any record, and begins with none.
    const bool shorter = text.size() < wanted;
    if (!batch.full && offset < segment.bytes &&
        (shorter || rest.size() >= std::min(kMostFrameBytes, segment.bytes - offset))) {
      spdlog::error("{} is damaged from byte {} on; the rest of it is lost", segment.path, offset);
      CutAt(segment, offset);
    }
  }
  return {};
}

Result<std::vector<SpooledRecord>> PredictionSpool::Oldest(size_t most_records, size_t most_bytes) {
  std::lock_guard lock(mutex_);
  Batch batch{.most_records = most_records, .most_bytes = most_bytes};
  std::uint64_t offset = read_offset_;
  for (Segment& segment : segments_) {
    RATCHET_TRY(ReadSegment(segment, offset, batch));
    if (batch.full) break;
    offset = 0;
  }
  return std::move(batch.records);
}

Status PredictionSpool::Acknowledge(std::uint64_t sequence) {
  std::lock_guard lock(mutex_);
  if (sequence <= acknowledged_) return {};
  const std::uint64_t before = acknowledged_;
  acknowledged_ = std::min(sequence, last_);
  // First the number, then the records: a crash in between sends nothing twice and uses no number twice.
  if (Status written = WriteState(); !written) {
    acknowledged_ = before;
    return written;
  }
  return DropAcknowledged();
}

Status PredictionSpool::DropAcknowledged() {
  while (segments_.size() > 1 && segments_.front().last <= acknowledged_) {
    RATCHET_TRY(files_.RemoveAll(segments_.front().path));
    total_bytes_ -= segments_.front().bytes;
    segments_.pop_front();
    read_offset_ = 0;
  }
  Segment& oldest = segments_.front();
  if (segments_.size() == 1 && last_ <= acknowledged_ && oldest.bytes > 0) {
    if (ftruncate(active_fd_, 0) != 0) return FailErrno("cut", oldest.path, errno);
    total_bytes_ -= oldest.bytes;
    oldest = {.path = oldest.path};
    read_offset_ = 0;
  }
  return {};
}

std::uint64_t PredictionSpool::Bytes() const {
  std::lock_guard lock(mutex_);
  return total_bytes_;
}

std::uint64_t PredictionSpool::Waiting() const {
  std::lock_guard lock(mutex_);
  return last_ - acknowledged_;
}

std::uint64_t PredictionSpool::Last() const {
  std::lock_guard lock(mutex_);
  return last_;
}

std::uint64_t PredictionSpool::CutBytes() const {
  std::lock_guard lock(mutex_);
  return cut_bytes_;
}

}  // namespace ratchet::serving
