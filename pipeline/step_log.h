#pragma once

#include <cstdint>
#include <string>

namespace ratchet::pipeline {

struct LogPiece {
  std::string bytes;               // what is there now; may be cut anywhere
  std::uint64_t next_offset = 0;   // where to go on
  std::uint64_t dropped_bytes = 0;  // passed over; `bytes` says so in a line of its own
};

// A piece of a step's log (docs/formats.md, "Step folder") from `offset` of the whole stream on: empty when nothing has
// come yet. Where the middle has been dropped, a line "… N bytes dropped …" stands for it, once; the piece may be longer
// than `max_bytes` by that line. Any thread; the step may be writing.
LogPiece ReadLog(const std::string& folder, std::uint64_t offset, size_t max_bytes);

// Offset from which the last `max_bytes` of the log can be read; for showing its end.
std::uint64_t LogTailOffset(const std::string& folder, size_t max_bytes);

}  // namespace ratchet::pipeline
