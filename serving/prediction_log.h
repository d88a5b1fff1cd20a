#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "serving/prediction_ledger.h"
#include "serving/prediction_record.h"
#include "serving/prediction_spool.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

struct LogOptions {
  double sample = 1;               // share of the answers that are logged, 0 to 1
  std::set<std::string> redacted;  // columns whose values are left out
  size_t queue_records = 8192;     // on their way to the spool; beyond, they are dropped and counted
  size_t queue_bytes = 64u << 20;
  std::uint64_t seed = 1;          // of the sampling
};

// Takes answered requests off the answering path: Offer puts them into a bounded queue, and one thread makes records of
// them and appends these to the spool. Nothing here makes an answer wait; what finds no room is dropped and counted.
class PredictionLog {
 public:
  // `counts`, `spool` and `ledger` outlive the log; without a ledger nothing is known of what a killed process lost.
  PredictionLog(PredictionSpool& spool, PredictionCounts& counts, const Clock& clock, LogOptions options,
                PredictionLedger* ledger = nullptr);
  ~PredictionLog() { Stop(); }
  PredictionLog(const PredictionLog&) = delete;
  PredictionLog& operator=(const PredictionLog&) = delete;

  void Start();  // once
  // Writes what has been offered, then ends the thread.
  void Stop();

  // Whether this answer is in the sample: the model's, where it has one. Any thread.
  bool Wants(const LogSettings* settings = nullptr);
  // Before the answer goes out, so that none is acknowledged without being counted. Any thread; never waits.
  void Offer(AnsweredRequest answered);

 private:
  void WriteLoop();
  void WriteGroup(const std::vector<AnsweredRequest>& group);
  void Complain(const std::string& what);
  void NoteDropped(std::atomic<std::uint64_t>& where, std::uint64_t count);

  PredictionSpool& spool_;
  PredictionCounts& counts_;
  PredictionLedger* const ledger_;
  const Clock& clock_;
  const LogOptions options_;
  BoundedQueue<AnsweredRequest> queue_;
  std::atomic<size_t> queued_bytes_{0};
  std::atomic<std::uint64_t> draws_{0};
  std::int64_t complained_us_ = 0;  // writing thread only
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ratchet::serving
