#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "pipeline/summary_cache.h"
#include "registry/pipelines.h"
#include "registry/store.h"

namespace ratchet::pipeline {

inline constexpr std::int64_t kLeastNewRows = 200;     // fewer say little about a distribution; they wait for more
inline constexpr std::size_t kDriftColumnsKept = 100;  // of one report, those that moved furthest

// Tells how far new training rows are from those that the live version was trained on, for pipelines with
// `retrain.drift`. Compared are the columns that the live model reads, and its target (lake/drift.h); where none of its
// inputs is a column of the dataset, because steps make them, all columns but the split's key. A report is kept in the
// registry (registry::KeepDrift), and the orchestrator's triggers read it there. Its `worst` is the index of the column
// that moved furthest of those beyond what chance explains, 0 where none is. Validation and holdout are never read.
//
// Start, Wake and Stop: any thread. The thread that Start makes runs at low priority and looks after commits.
class DriftWatch {
 public:
  // `folder`: where summaries are kept; made when it is needed.
  DriftWatch(registry::Store& store, const registry::BlobStore& blobs, Files& files, const Clock& clock,
             std::string folder)
      : store_(store), blobs_(blobs), clock_(clock), summaries_(files, blobs, std::move(folder)) {}
  ~DriftWatch() { Stop(); }
  DriftWatch(const DriftWatch&) = delete;
  DriftWatch& operator=(const DriftWatch&) = delete;

  void Start();  // once
  void Wake();   // something was committed
  void Stop();   // returns when the thread has ended; soon, also while it reads a large pack

  // One look at every pipeline, as the thread does it. For who has no thread: not beside Start.
  void Look(const std::stop_token& stop = {});

 private:
  // What gave no report, and when to try it again.
  struct PassedOver {
    std::int64_t dataset_version = 0, live = 0, retry_at_us = 0;
  };
  void Run(const std::stop_token& stop);
  bool IsPassedOver(const registry::DriftDue& due) const;
  // Nothing where there are too few new rows.
  Result<std::optional<registry::DriftReport>> Compare(const registry::DriftDue& due, const std::stop_token& stop);

  registry::Store& store_;
  const registry::BlobStore& blobs_;
  const Clock& clock_;
  SummaryCache summaries_;                         // of the looking thread
  std::map<std::string, PassedOver> passed_over_;  // by pipeline; of the looking thread

  std::mutex mutex_;
  std::condition_variable_any woken_;
  bool wake_asked_ = false;
  std::jthread thread_;
};

}  // namespace ratchet::pipeline
