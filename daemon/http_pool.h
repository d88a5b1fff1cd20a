#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace ratchet::daemon {

// Threads that come when there is work and go when there is none, up to a limit. Any thread may submit.
class HttpPool {
 public:
  HttpPool(int limit, int idle_ms);
  ~HttpPool();  // waits for what runs
  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;

  // Runs the job on an idle or new thread. False, at once, when all threads up to the limit are busy.
  bool TrySubmit(std::function<void()> job);
  // True when more than three quarters of the threads are busy.
  bool NearlyFull() const;
  int busy() const;
  int threads() const;

 private:
  void Loop(std::uint64_t self);
  bool TakeJob(std::unique_lock<std::mutex>& lock, std::function<void()>& job);
  std::vector<std::thread> TakeFinished();

  const int limit_;
  const int idle_ms_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::map<std::uint64_t, std::thread> threads_;
  std::vector<std::thread> finished_;  // left their loop, to be joined
  std::uint64_t next_thread_ = 1;
  int idle_ = 0;
  bool stopping_ = false;
};

}  // namespace ratchet::daemon
