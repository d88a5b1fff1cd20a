#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace ratchet::serving {

// A value that is replaced as a whole and read by many: each reader keeps the one it took. Any thread.
//
// In place of std::atomic<std::shared_ptr>, whose load in GCC 12's library gives its lock back with memory_order_relaxed:
// what it has read is not ordered before the next store's write, a data race by the C++ memory model (harmless on x86,
// where each locked operation is a full fence, but no more than that), and ThreadSanitizer says so. That type takes a lock
// of its own as well, so this costs the same.
template <typename T>
class Published {
 public:
  explicit Published(std::shared_ptr<const T> value) : value_(std::move(value)) {}

  std::shared_ptr<const T> load() const {
    std::lock_guard lock(mutex_);
    return value_;
  }
  void store(std::shared_ptr<const T> value) {
    {
      std::lock_guard lock(mutex_);
      value_.swap(value);
    }
    // The one before ends here, outside of the lock, if nobody holds it any more.
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

}  // namespace ratchet::serving
