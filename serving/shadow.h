#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "serving/traffic.h"

namespace ratchet::serving {

struct ShadowLimits {
  size_t waiting = 64;                     // copies that wait for the shadow's thread
  std::int64_t bytes = 64LL << 20;         // of all copies, waiting or not
  std::int64_t request_bytes = 4LL << 20;  // a larger request is not copied
};

// A part of the memory that copies may take; given back when it goes.
class ByteLease {
 public:
  ByteLease() = default;
  ByteLease(std::atomic<std::int64_t>& taken, std::int64_t bytes) : taken_(&taken), bytes_(bytes) {}
  ByteLease(ByteLease&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)), bytes_(other.bytes_) {}
  ByteLease& operator=(ByteLease&&) = delete;
  ~ByteLease() {
    if (taken_) *taken_ -= bytes_;
  }

 private:
  std::atomic<std::int64_t>* taken_ = nullptr;
  std::int64_t bytes_ = 0;
};

// A request's inputs on their way to the shadow as well.
struct ShadowCopy {
  std::shared_ptr<const ServedSplit> split;
  std::vector<Tensor> inputs;
  ByteLease lease = {};
  std::int64_t began_us = 0;      // monotonic
  bool keyed = false;
  bool live_failed = false;
  std::int64_t live_us = 0;       // until its outputs were there
  std::vector<Tensor> live_outputs = {};
};

// Runs copies of requests on a shadow's version, on one thread of low priority, compares its outputs with the live ones and
// throws them away. The live answer never waits: what finds no room is dropped and counted.
class ShadowRunner {
 public:
  explicit ShadowRunner(const Clock& clock, ShadowLimits limits = {});
  ~ShadowRunner() { Stop(); }
  ShadowRunner(const ShadowRunner&) = delete;
  ShadowRunner& operator=(const ShadowRunner&) = delete;

  // The copy to hand to Compare when the live version has answered (or to let go); null where none is wanted, or there is no
  // room. Any thread. It does not outlive the runner.
  std::unique_ptr<ShadowCopy> Copy(const Picked& picked, const std::vector<Tensor>& inputs);
  // The live outputs, or null where the live version failed. Any thread; never waits.
  void Compare(std::unique_ptr<ShadowCopy> copy, const std::vector<Tensor>* live_outputs);
  // Finishes what waits, then ends the thread.
  void Stop();

 private:
  void WorkLoop();
  void Run(ShadowCopy& copy);

  const Clock& clock_;
  const ShadowLimits limits_;
  std::atomic<std::int64_t> bytes_{0};
  BoundedQueue<std::unique_ptr<ShadowCopy>> queue_;
  std::thread thread_;
};

// How far two answers are apart. Where there is a label, that decides; of numbers more than kSameWithin apart.
inline constexpr double kSameWithin = 1e-6;
struct OutputDifference {
  bool differs = false;
  double largest = 0;  // of all numbers; infinite where the two have not the same form
};
OutputDifference CompareOutputs(const Signature& signature, const std::vector<Tensor>& live, const std::vector<Tensor>& shadow);

}  // namespace ratchet::serving
