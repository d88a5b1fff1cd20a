#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace ratchet::serving {

struct Frame;  // serving/spool_frame.h

inline constexpr std::uint64_t kMaxRecordBytes = 4u << 20;

struct SpoolLimits {
  std::uint64_t bytes = 256u << 20;         // of all segments together; beyond, records are refused
  std::uint64_t segment_bytes = 4u << 20;  // then the next segment begins
};

struct SpooledRecord {
  std::uint64_t sequence = 0;
  std::string payload;
};

// Records on their way to the control plane, in append-only files: each has a sequence number, the next of this spool,
// and stays until it is acknowledged. What Append has taken survives the death of the process, what Sync has covered
// the loss of power too. A tail that a crash left half-written is found by its checksum and cut.
//
// DIR/spool.json holds the spool's own random id, which makes the numbers those of this spool alone, and the last
// acknowledged number; DIR/NNN.spool are the segments (docs/formats.md, "Spool"). Any thread; one process by the
// caller's lock.
class PredictionSpool {
 public:
  // Makes the folder when it is not there. `fresh_id`: taken as the spool's id where it has none yet.
  static Result<std::unique_ptr<PredictionSpool>> Open(Files& files, std::string folder, SpoolLimits limits,
                                                       std::string fresh_id);
  ~PredictionSpool();
  PredictionSpool(const PredictionSpool&) = delete;
  PredictionSpool& operator=(const PredictionSpool&) = delete;

  // Gives the record its number. kOverloaded when the spool is full, kTooLarge, kUnavailable or kIo when the disk
  // refuses: then nothing of it is left.
  Result<std::uint64_t> Append(const std::string& payload);
  // As many of the records, from the first on, as there is room for, in one write; returns how many. 0 with none to add
  // or no room; an error when the disk refuses: then nothing of them is left.
  Result<size_t> AppendSome(std::span<const std::string> payloads);
  // What was appended before this call is on the disk when it returns. Appends go on meanwhile.
  Status Sync();

  // The oldest records that are not acknowledged: at most `most_records`, and at most `most_bytes` of payload unless
  // the first alone has more. Empty when there are none. The same again until Acknowledge.
  Result<std::vector<SpooledRecord>> Oldest(size_t most_records, size_t most_bytes);
  // Drops all records up to this number, durably.
  Status Acknowledge(std::uint64_t sequence);

  const std::string& id() const { return id_; }
  std::uint64_t Bytes() const;
  std::uint64_t Waiting() const;   // records that are not acknowledged
  std::uint64_t Last() const;      // the newest record's number
  std::uint64_t CutBytes() const;  // of torn or damaged records, found at Open or since

 private:
  struct Segment {
    std::string path;
    std::uint64_t bytes = 0, records = 0, last = 0;
  };

  struct Batch {
    size_t most_records, most_bytes;
    std::vector<SpooledRecord> records = {};
    size_t bytes = 0;
    bool full = false;
    bool Take(const Frame& frame);
  };

  PredictionSpool(Files& files, std::string folder, SpoolLimits limits);
  Status ReadState(const std::string& fresh_id);
  Status WriteState();
  Status TakeSegment(const std::string& path);
  Status OpenActive();
  Status BeginSegment();
  Status WriteFrames(const std::string& frames, size_t count);
  Status ReadSegment(Segment& segment, std::uint64_t& offset, Batch& batch);
  void CutAt(Segment& segment, std::uint64_t offset);
  Status DropAcknowledged();

  Files& files_;
  const std::string folder_;
  const SpoolLimits limits_;
  std::string id_;

  mutable std::mutex mutex_;
  std::deque<Segment> segments_;  // oldest first; the last is the one that grows
  int active_fd_ = -1;
  std::uint64_t read_offset_ = 0;  // in the oldest segment: where the first record that is not acknowledged begins
  std::uint64_t acknowledged_ = 0, last_ = 0;
  std::uint64_t total_bytes_ = 0, cut_bytes_ = 0;
  std::uint64_t segments_begun_ = 0;
};

}  // namespace ratchet::serving
