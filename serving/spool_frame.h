#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ratchet::serving {

// How one record lies in a spool's segment: payload length (4 bytes), CRC-32 of what follows (4), sequence number (8),
// all little-endian, then the payload.
inline constexpr size_t kFrameHeadBytes = 16;

std::string FrameOf(std::uint64_t sequence, std::string_view payload);

struct Frame {
  std::uint64_t sequence = 0;
  std::string_view payload;  // into the bytes that were read
  size_t bytes = 0;          // head and payload
};
// The frame that `bytes` begin with; nothing where they are not a whole and sound one.
std::optional<Frame> ReadFrame(std::string_view bytes);

}  // namespace ratchet::serving
