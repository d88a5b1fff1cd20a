#include "serving/spool_frame.h"

#include <boost/crc.hpp>

#include "serving/prediction_spool.h"

namespace ratchet::serving {
namespace {

void PutNumber(std::string& into, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) into += static_cast<char>((value >> (8 * i)) & 0xFF);
}

std::uint64_t GetNumber(std::string_view bytes) {
  std::uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::uint32_t Checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

}  // namespace

std::string FrameOf(std::uint64_t sequence, std::string_view payload) {
  std::string covered;
  covered.reserve(8 + payload.size());
  PutNumber(covered, sequence, 8);
  covered += payload;
  std::string frame;
  frame.reserve(kFrameHeadBytes + payload.size());
  PutNumber(frame, payload.size(), 4);
  PutNumber(frame, Checksum(covered), 4);
  return frame += covered;
}

std::optional<Frame> ReadFrame(std::string_view bytes) {
  if (bytes.size() < kFrameHeadBytes) return std::nullopt;
  const std::uint64_t length = GetNumber(bytes.substr(0, 4));
  if (length > kMaxRecordBytes || bytes.size() < kFrameHeadBytes + length) return std::nullopt;
  if (Checksum(bytes.substr(8, 8 + length)) != GetNumber(bytes.substr(4, 4))) return std::nullopt;
  return Frame{.sequence = GetNumber(bytes.substr(8, 8)),
               .payload = bytes.substr(kFrameHeadBytes, length),
               .bytes = kFrameHeadBytes + length};
}

}  // namespace ratchet::serving
