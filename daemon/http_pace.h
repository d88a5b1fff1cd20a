#pragma once

#include <cstdint>

namespace ratchet::daemon {

// A least rate that a client must keep: so many bytes in each window of waiting. Only time spent waiting for the client
// counts, so that a busy server never blames it. Pure.
class Pace {
 public:
  Pace(int window_ms, std::int64_t least_bytes)
      : window_us_(window_ms * std::int64_t{1000}), least_bytes_(least_bytes), patience_us_(window_us_) {}

  // How much longer to wait for the least bytes; not above 0 when the client was too slow.
  std::int64_t patience_us() const { return patience_us_; }
  void Waited(std::int64_t us) { patience_us_ -= us; }
  void Moved(std::int64_t bytes) {
    moved_bytes_ += bytes;
    if (moved_bytes_ < least_bytes_) return;
    patience_us_ = window_us_;
    moved_bytes_ = 0;
  }

 private:
  std::int64_t window_us_;
  std::int64_t least_bytes_;
  std::int64_t patience_us_;
  std::int64_t moved_bytes_ = 0;
};

}  // namespace ratchet::daemon
