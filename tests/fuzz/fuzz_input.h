#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// What the fuzz targets share.
namespace ratchet::fuzz {

// Takes small choices from the front of an input; what is left is its content.
class Input {
 public:
  Input(const std::uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  std::uint8_t Byte() {
    if (left_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(left_[0]);
    left_.remove_prefix(1);
    return byte;
  }
  std::string_view Rest() const { return left_; }

 private:
  std::string_view left_;
};

// A property that does not hold is a find, as a crash is.
inline void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace ratchet::fuzz
