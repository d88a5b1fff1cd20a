#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "serving/call_marks.h"
#include "serving/model_runner.h"
#include "serving/quarantine.h"

namespace ratchet::serving {

// The exit code of a process that ended itself since a model's call did not return.
inline constexpr int kHungExitCode = 70;

struct CallLimits {
  std::int64_t call_us = 30'000'000;
  std::int64_t load_us = 600'000'000;
};

// A loader whose models' calls are marked, and which refuses what is in quarantine. All that is referred to outlives the
// loader and the models that it loads.
ModelLoader WatchedLoader(ModelLoader load, CallMarks& marks, const Quarantine& quarantine, CallLimits limits);

// A thread that looks for calls over their limit, and calls `on_hung` with the first.
class CallWatchdog {
 public:
  CallWatchdog(CallMarks& marks, std::function<void(const Fault&)> on_hung);
  ~CallWatchdog();
  CallWatchdog(const CallWatchdog&) = delete;
  CallWatchdog& operator=(const CallWatchdog&) = delete;

 private:
  void WatchLoop();

  CallMarks& marks_;
  const std::function<void(const Fault&)> on_hung_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ratchet::serving
