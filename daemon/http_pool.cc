#include "daemon/http_pool.h"

#include <pthread.h>

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

namespace ratchet::daemon {

HttpPool::HttpPool(int limit, int idle_ms) : limit_(limit), idle_ms_(idle_ms) {}

HttpPool::~HttpPool() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return threads_.empty(); });
  }
  for (std::thread& thread : TakeFinished()) thread.join();
}

bool HttpPool::TrySubmit(std::function<void()> job) {
  for (std::thread& thread : TakeFinished()) thread.join();
  std::lock_guard lock(mutex_);
  if (stopping_) return false;
  if (idle_ > static_cast<int>(jobs_.size())) {
    jobs_.push_back(std::move(job));
    changed_.notify_one();
    return true;
  }
  if (static_cast<int>(threads_.size()) >= limit_) return false;
  jobs_.push_back(std::move(job));
  const std::uint64_t self = next_thread_++;
  try {
    threads_.emplace(self, std::thread([this, self] { Loop(self); }));
  } catch (const std::system_error&) {  // the system gives no more threads
    jobs_.pop_back();
    return false;
  }
  return true;
}

bool HttpPool::NearlyFull() const { return busy() * 4 > limit_ * 3; }

int HttpPool::busy() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(threads_.size()) - idle_ + static_cast<int>(jobs_.size());
}

int HttpPool::threads() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(threads_.size());
}

void HttpPool::Loop(std::uint64_t self) {
  pthread_setname_np(pthread_self(), ("http-" + std::to_string(self % 1'000'000)).c_str());
  std::unique_lock lock(mutex_);
  std::function<void()> job;
  while (TakeJob(lock, job)) {
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
  finished_.push_back(std::move(threads_.at(self)));
  threads_.erase(self);
  changed_.notify_all();
}

bool HttpPool::TakeJob(std::unique_lock<std::mutex>& lock, std::function<void()>& job) {
  if (jobs_.empty()) {
    ++idle_;
    changed_.wait_for(lock, std::chrono::milliseconds(idle_ms_), [&] { return stopping_ || !jobs_.empty(); });
    --idle_;
  }
  if (jobs_.empty()) return false;
  job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

std::vector<std::thread> HttpPool::TakeFinished() {
  std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

}  // namespace ratchet::daemon
