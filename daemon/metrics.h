#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "daemon/http_server.h"
#include "pipeline/feedback.h"
#include "registry/store.h"

namespace ratchet::daemon {

// What /metrics shows (docs/metrics.md), by prometheus-cpp. Any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void CountRequest(const Served& served);
  void CountIngest(std::int64_t rows, std::int64_t bytes);

  // Leaves out what happened before this process: counters begin at 0, and the first scrape of a long history is quick.
  Status StartFromNow(registry::Store& store);
  // Reads what is counted in the registry (runs and steps by their events since the last call, writes and commits) and of
  // predictions and feedback, and returns all as text.
  Result<std::string> Scrape(registry::Store& store, pipeline::Feedback& feedback, size_t replicas);

 private:
  struct Families;
  Status TakeFeedback(pipeline::Feedback& feedback);
  Status TakeEvents(registry::Store& store);

  std::unique_ptr<Families> families_;
  std::mutex scrape_mutex_;
  std::int64_t last_event_ = 0;
  registry::Store::Stats last_stats_;
  pipeline::Feedback::Counts last_feedback_;
};

}  // namespace ratchet::daemon
