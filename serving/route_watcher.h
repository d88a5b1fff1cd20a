#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "serving/bundle_source.h"
#include "serving/control_client.h"
#include "serving/model_host.h"

namespace ratchet::serving {

struct WatcherOptions {
  std::string routes_path;              // routes.json
  std::int64_t first_wait_us = 50'000;  // after a failed sync; doubles with each further one
  std::int64_t longest_wait_us = 2'000'000;
  std::int64_t retry_load_us = 10'000'000;  // a version that failed to load is tried again after this
  std::set<std::string> only = {};          // the models to follow; empty = all
  // What is told of the replica's predictions with every sync; may be left out.
  std::function<std::optional<ReplicaState::Predictions>()> predictions = {};
  std::uint64_t seed = 1;                   // of the jitter, so that many replicas do not ask in step
};

// The revision told by a replica that holds no table: no control plane's table has it, so the answer comes at once, also
// from one that has no routes yet.
inline constexpr std::int64_t kNoTable = -1;

// Keeps the host as the control plane wants it: one thread polls for routes and applies them at once as far as their
// versions are loaded, another loads what is missing, so that a rollback never waits behind a load. What is served is
// kept in routes.json, from which a start without the control plane begins.
class RouteWatcher {
 public:
  // `control` may be null: then only routes.json says what to serve. All references outlive the watcher.
  RouteWatcher(ModelHost& host, BundleSource& bundles, ModelLoader load, ControlClient* control, Files& files,
               const Clock& clock, WatcherOptions options);
  ~RouteWatcher();  // stops
  RouteWatcher(const RouteWatcher&) = delete;
  RouteWatcher& operator=(const RouteWatcher&) = delete;

  // Adopts routes.json. kNotFound when there is none, kCorrupt when it is not sound (then it is left as it is until the
  // control plane gives new routes).
  Status AdoptKeptRoutes();
  void Start();
  // Ends both threads; waits for a load under way.
  void Stop();

 private:
  void PollLoop();
  bool PollOnce();  // false after a failure: wait a while
  void WaitAfterFailure();
  void Apply(const std::string& answer, std::int64_t asked_revision, std::int64_t asked_at_us, bool& sound);
  void LoadLoop();
  void LoadOne(const ModelHost::Wanted& wanted);
  void KeepRoutes();
  bool Stopping();

  ModelHost& host_;
  BundleSource& bundles_;
  const ModelLoader load_;
  ControlClient* const control_;
  Files& files_;
  const Clock& clock_;
  const WatcherOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t state_ = 0;     // counts what changed in the host's state by loading
  std::uint64_t reported_ = 0;  // the state_ that the sync under way tells of
  std::uint64_t adopted_ = 0;   // counts adopted answers: there may be something to load

  std::mutex keep_mutex_;
  std::int64_t revision_ = kNoTable;  // poll thread only, as the next three
  int failures_ = 0;
  std::string last_complaint_;
  std::mt19937_64 random_;
  std::map<std::string, std::string> load_complaints_;  // load thread only: bundle → what was logged last
  std::thread poll_thread_, load_thread_;
};

}  // namespace ratchet::serving
