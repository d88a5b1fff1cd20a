#pragma once

#include <atomic>
#include <memory>

namespace ratchet::daemon {

// So many places for work that may last as long as a client likes. Any thread; must outlive its places.
class HttpSlots {
 public:
  explicit HttpSlots(int limit) : limit_(limit) {}
  HttpSlots(const HttpSlots&) = delete;
  HttpSlots& operator=(const HttpSlots&) = delete;

  struct GiveBack {
    void operator()(std::atomic<int>* taken) const { --*taken; }
  };
  using Place = std::unique_ptr<std::atomic<int>, GiveBack>;  // given back when destroyed

  // Null, at once, when no place would be left after `leave` others are kept free.
  Place Take(int leave = 0) {
    int taken = taken_;
    while (taken < limit_ - leave) {
      if (taken_.compare_exchange_weak(taken, taken + 1)) return Place(&taken_);
    }
    return nullptr;
  }
  int limit() const { return limit_; }
  int taken() const { return taken_; }

 private:
  const int limit_;
  std::atomic<int> taken_{0};
};

}  // namespace ratchet::daemon
