#pragma once

#include <cstdint>

namespace ratchet {

// The seam for time. Wall time is for records and people, monotonic time for measuring and deadlines.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t WallUs() const = 0;       // microseconds since 1970 UTC
  virtual std::int64_t MonotonicUs() const = 0;  // microseconds since some fixed instant; never goes back
};

// The machine's own clocks. Any thread.
class SystemClock final : public Clock {
 public:
  std::int64_t WallUs() const override;
  std::int64_t MonotonicUs() const override;
};

// Stands still until told to move. For tests and the simulator; one thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t start_us = 1'700'000'000'000'000) : now_us_(start_us) {}
  std::int64_t WallUs() const override { return now_us_; }
  std::int64_t MonotonicUs() const override { return now_us_; }
  void AdvanceUs(std::int64_t by_us) { now_us_ += by_us; }

 private:
  std::int64_t now_us_;
};

}  // namespace ratchet
