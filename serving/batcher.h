#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "serving/batch_cost.h"
#include "serving/model_runner.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

struct BatchLimits {
  std::int64_t rows = 64;        // of one call; a request of more is a call of its own
  std::int64_t delay_us = 0;     // how long a batch that is not full waits for more
  size_t waiting = 1024;         // requests of one version; beyond, they are refused
  std::int64_t at_once_us = 1'000;  // what a round may compute on the thread that read it; 0 = nothing
};

inline constexpr std::int64_t kNoDeadline = std::numeric_limits<std::int64_t>::max();

// One request on its way through a model.
struct BatchItem {
  std::vector<Tensor> inputs;  // in the signature's order, all with the same rows
  std::int64_t deadline_us = kNoDeadline;  // monotonic; not begun after it
  std::int64_t* infer_us = nullptr;        // where to put how long the model took with its batch, before `done`; may be null
  // Called exactly once, from the thread that computed: the outputs in the signature's order, or kInternal where the
  // model failed on this request, kTimeout where its deadline passed.
  std::function<void(Result<std::vector<Tensor>>)> done;

  std::int64_t Rows() const { return inputs.empty() ? 0 : inputs.front().Rows(); }
};

// What waits for one version. Belongs to the version; only a Batcher looks inside.
class BatchQueue {
 public:
  BatchQueue(std::shared_ptr<const ModelRunner> runner, std::shared_ptr<VersionMetrics> metrics)
      : runner_(std::move(runner)), metrics_(std::move(metrics)) {}

 private:
  friend class Batcher;
  const std::shared_ptr<const ModelRunner> runner_;
  const std::shared_ptr<VersionMetrics> metrics_;
  std::deque<BatchItem> items_;  // these with the batcher's mutex held
  std::deque<std::int64_t> since_us_;
  std::int64_t rows_ = 0;     // of items_
  std::int64_t running_us_ = 0;  // expected of the calls under way
  BatchCost cost_;          // by the clock: what those behind have to wait
  BatchCost thread_cost_;   // of the computing thread's own time, which other work on the machine does not lengthen
};
using BatchQueuePtr = std::shared_ptr<BatchQueue>;

// Runs requests in batches without making one wait for others: a batch is what came in while the computing threads were
// busy, of one version and of like shapes. A batch that fails is run again request by request, so that one bad input
// fails alone.
//
// What came in together over HTTP and takes less than `at_once_us` is computed right there by the I/O thread when it has
// read all of it (RunRound): the handover to another thread would cost more than that.
class Batcher {
 public:
  Batcher(int threads, BatchLimits limits, const Clock& clock);
  ~Batcher() { Stop(); }
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  enum class Where { kComputingThread, kThisRound };
  // kOverloaded when the queue is full or the item would not be begun before its deadline, kUnavailable after Stop; then
  // `done` is not called. kThisRound: RunRound is called on this thread soon. Any thread.
  Status Submit(const BatchQueuePtr& queue, BatchItem& item, Where where);
  // Computes what this thread has submitted for this round.
  void RunRound();
  // Finishes what waits, then ends the threads.
  void Stop();

  // Whether Submit would refuse an item with this deadline now: to be asked before it is parsed.
  Status Admits(const BatchQueuePtr& queue, std::int64_t deadline_us);

 private:
  struct Batch {
    BatchQueuePtr queue;
    std::vector<BatchItem> items;
    std::int64_t rows = 0, expected_us = 0;
  };
  bool TakeIntoRound(const BatchQueuePtr& queue, BatchItem& item);
  Status Enqueue(const BatchQueuePtr& queue, BatchItem& item);
  Status CheckRoom(const BatchQueue& queue, std::int64_t deadline_us) const;
  std::int64_t WaitUs(const BatchQueue& queue) const;
  std::int64_t DueUs(const BatchQueue& queue, std::int64_t now_us) const;
  Batch Take(const BatchQueuePtr& queue);
  bool Next(Batch& batch);
  void WorkLoop();
  void Run(Batch batch);
  void Compute(Batch& batch);
  Result<std::vector<Tensor>> Call(const Batch& batch, std::int64_t rows, std::vector<Tensor> inputs, std::span<BatchItem> of);
  void Expire(Batch& batch) const;

  const BatchLimits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<BatchQueuePtr> ready_;  // those with items, each once, in the order of their turns
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ratchet::serving
