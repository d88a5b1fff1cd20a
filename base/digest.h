#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ratchet {

// Streaming SHA-256. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view bytes);
  // Digest as 64 lower-case hex digits. The object starts anew.
  std::string FinishHex();
  // First 8 bytes of the digest, big-endian. The object starts anew.
  std::uint64_t FinishU64();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);
Result<std::string> Sha256File(const std::string& path);
// True for just 64 lower-case hex digits.
bool IsSha256Hex(std::string_view text);

}  // namespace ratchet
