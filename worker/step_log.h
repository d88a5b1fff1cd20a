#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ratchet::worker {

// How much of a step's log is kept: its beginning and its end.
struct LogCaps {
  std::uint64_t head_bytes = 32u << 20;
  std::uint64_t segment_bytes = 8u << 20;
  size_t segments = 4;  // the last ones
};

// Writes FOLDER/log, and what comes after its first part to FOLDER/log.OFFSET, where OFFSET counts from the beginning
// of the stream; the oldest of these segments go, so that it is the middle that is dropped (docs/formats.md, "Step
// folder"). What the disk does not take is dropped too: a log is never a reason to fail. One thread.
class StepLogWriter {
 public:
  StepLogWriter(std::string folder, LogCaps caps) : folder_(std::move(folder)), caps_(caps) {}
  ~StepLogWriter();
  StepLogWriter(const StepLogWriter&) = delete;
  StepLogWriter& operator=(const StepLogWriter&) = delete;

  void Write(std::string_view bytes);
  // The last 4 KiB of the stream.
  const std::string& tail() const { return tail_; }

 private:
  bool OpenFile();
  void CloseFile();

  const std::string folder_;
  const LogCaps caps_;
  int file_ = -1;
  std::uint64_t offset_ = 0;  // of the stream
  std::uint64_t room_ = 0;    // left in the open file
  std::string tail_;
};

}  // namespace ratchet::worker
