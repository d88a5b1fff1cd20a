#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "serving/batcher.h"
#include "serving/model_runner.h"
#include "serving/route_table.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

// A loaded, warm version. Lives as long as a snapshot or a request holds it; the last one to let go unloads it.
struct ServedVersion {
  std::string model;
  VersionRef ref;
  Signature signature;
  std::shared_ptr<const ModelRunner> runner;
  std::shared_ptr<VersionMetrics> metrics;
  BatchQueuePtr queue = std::make_shared<BatchQueue>(runner, metrics);  // of requests that wait for the runner
};
using ServedVersionPtr = std::shared_ptr<const ServedVersion>;

// Requests under way for one model, over all its versions.
struct ModelLoad {
  std::atomic<int> in_flight{0};
};

struct ServedModel {
  std::string name;
  Route route;            // the one that is served; epoch 0 = none yet
  ServedVersionPtr live;  // null = none yet
  std::map<std::int64_t, ServedVersionPtr> ready;
  std::shared_ptr<ModelLoad> load;
};

// What is served at one instant. Never changes once published.
struct RouteSnapshot {
  std::map<std::string, ServedModel, std::less<>> models;
  bool settled = false;  // a route table is known, and each of its live versions is loaded or has failed
};

// Holds the loaded versions and publishes snapshots: a request that took one goes on with it whatever happens after.
// Writers (Adopt, Add, Fail) may be any thread, one at a time by a lock; Snapshot takes none.
class ModelHost {
 public:
  explicit ModelHost(ServeMetrics& metrics);

  std::shared_ptr<const RouteSnapshot> Snapshot() const { return snapshot_.load(); }

  struct Outcome {
    std::vector<std::string> refused;  // models whose route was of an older epoch than the one held
    bool changed = false;              // the table to keep (Table) is another than before
  };
  // Strives for the table from now on. Models whose live version is loaded serve it when this returns; the others go on
  // as they are until Add. Versions that no route names are let go.
  Outcome Adopt(const RouteTable& incoming);

  // A version that a route names and that is neither loaded nor has failed since `retry_failed_before_us`; live ones
  // first. False when there is none.
  struct Wanted {
    std::string model;
    VersionRef ref;
  };
  bool NextToLoad(std::int64_t retry_failed_before_us, Wanted& wanted) const;

  // Puts in a loaded version; forgotten at once when no route names it any more. True when the table to keep changed.
  bool Add(const Wanted& wanted, const LocalBundle& bundle, std::shared_ptr<const ModelRunner> runner);
  void Fail(const Wanted& wanted, const std::string& why, std::int64_t now_us);

  // The table that a restart without the control plane should begin with: per model the route that is served.
  RouteTable Table() const;
  std::map<std::string, ModelState> State() const;
  std::set<std::string> BundlesInUse() const;  // digests of all that is loaded or wanted

 private:
  struct Failure {
    std::string why;
    std::int64_t at_us = 0;
  };
  using Key = std::pair<std::string, VersionRef>;

  bool Publish();  // true when Table() changed; with mutex_ held
  ServedModel Settle(const Route& wanted, const RouteSnapshot& before) const;
  RouteTable TableOf(const RouteSnapshot& snapshot) const;

  ServeMetrics& metrics_;
  mutable std::mutex mutex_;
  bool table_known_ = false;
  RouteTable wanted_;
  std::map<Key, ServedVersionPtr> loaded_;
  std::map<Key, Failure> failed_;
  std::atomic<std::shared_ptr<const RouteSnapshot>> snapshot_;
};

}  // namespace ratchet::serving
