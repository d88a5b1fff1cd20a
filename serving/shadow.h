#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
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

// A request's inputs on their way to the shadow as well.
struct ShadowCopy {
  std::shared_ptr<const ServedSplit> split;
  std::vector<Tensor> inputs;
  std::int64_t bytes = 0;
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

  // The copy to hand to Compare when the live version has answered; null where none is wanted, or there is no room. Any thread.
  std::unique_ptr<ShadowCopy> Copy(const Picked& picked, const std::vector<Tensor>& inputs);
  // The live outputs, or null where the live version failed. Any thread; never waits.
  void Compare(std::unique_ptr<ShadowCopy> copy, const std::vector<Tensor>* live_outputs);
  // Finishes what waits, then ends the thread.
  void Stop();

 private:
  void WorkLoop();
  void Run(ShadowCopy& copy);
  void Release(const ShadowCopy& copy) { bytes_ -= copy.bytes; }

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
