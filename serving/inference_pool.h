#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"

namespace ratchet::serving {

// Threads that compute, so that the I/O threads never do. What waits is bounded.
class InferencePool {
 public:
  InferencePool(int threads, size_t waiting_limit);
  ~InferencePool();  // Stop()
  InferencePool(const InferencePool&) = delete;
  InferencePool& operator=(const InferencePool&) = delete;

  // False when too many wait already, or after Stop. Any thread.
  bool TryRun(std::function<void()> job) { return jobs_.TryPush(std::move(job)); }
  // Finishes what waits, then ends the threads.
  void Stop();

 private:
  void WorkLoop();

  BoundedQueue<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace ratchet::serving
