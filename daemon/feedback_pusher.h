#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "daemon/api.h"
#include "pipeline/feedback_rows.h"
#include "registry/feedback_batches.h"
#include "registry/pipelines.h"

namespace ratchet::daemon {

// Makes dataset versions of predictions whose outcome is known, for pipelines with `feedback` in their spec, and deletes
// predictions that are past their retention. A batch is noted in events.db before it is pushed, and the version's manifest
// names it, so that each joined row is pushed once, whatever dies in between.
//
// Start, Wake and Stop: any thread. The thread that Start makes runs at low priority.
class FeedbackPusher {
 public:
  explicit FeedbackPusher(Api& api) : api_(api) {}
  ~FeedbackPusher() { Stop(); }
  FeedbackPusher(const FeedbackPusher&) = delete;
  FeedbackPusher& operator=(const FeedbackPusher&) = delete;

  void Start();  // once
  void Wake();   // rows were joined
  void Stop();   // returns when the thread has ended; a push under way is left to the next start

  // One look at every pipeline, as the thread does it. For who has no thread: not beside Start.
  void Look(const std::stop_token& stop = {});

 private:
  void Run(const std::stop_token& stop);
  Status LookAt(const registry::FeedbackPlan& plan, const std::stop_token& stop);

  Api& api_;
  std::map<std::string, std::string> complaints_;  // by model: what was logged last; of the looking thread
  std::mutex mutex_;
  std::condition_variable_any woken_;
  bool wake_asked_ = false;
  std::jthread thread_;
};

}  // namespace ratchet::daemon
