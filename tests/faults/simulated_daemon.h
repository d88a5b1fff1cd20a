#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/files.h"
#include "pipeline/orchestrator.h"
#include "registry/blob_store.h"
#include "registry/store.h"
#include "tests/faults/invariants.h"
#include "tests/faults/system_faults.h"
#include "tests/faults/simulated_world.h"

namespace ratchet::faults {

// A folder in memory where the system has one: syncs cost nothing there. Gone with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The real orchestrator on a real registry, in a simulated world. Whatever it runs inside `Do` is the daemon's own doing:
// faults hit it, and it may die in the middle; then what is left is thrown away, and a new one starts on the same folder.
class SimulatedDaemon {
 public:
  SimulatedDaemon(std::string folder, SimulatedClock& clock, SimulatedProcesses& processes, SimulatedReplicas& replicas);
  ~SimulatedDaemon() { Stop(); }

  // Opens registry and orchestrator; false when a fault was in the way.
  bool Start();
  // As kill -9 leaves it: nothing more is written.
  void Stop();
  // One tick; the wall time at which the next is due.
  std::int64_t Tick();
  // A write that a user asks for through the API, in the middle of a tick as well.
  template <typename Fn>
  auto Write(Fn fn) {
    const bool armed = std::exchange(Faults().armed, true);
    auto done = store_->Write(fn);
    Faults().armed = armed;
    return done;
  }
  // Puts a file among the blobs, as a push does.
  Result<std::string> Put(const std::string& bytes);
  template <typename Fn>
  auto Read(Fn fn) {
    return store_->Read(fn);
  }

  registry::Store& store() { return *store_; }
  Scene scene(const Acknowledged& acknowledged) { return {*store_, folder_ + "/blobs", acknowledged, processes_}; }

 private:
  const std::string folder_;
  SimulatedClock& clock_;
  SimulatedProcesses& processes_;
  SimulatedReplicas& replicas_;
  SystemFiles files_;
  registry::BlobStore blobs_;
  std::unique_ptr<registry::Store> store_;
  std::unique_ptr<pipeline::Orchestrator> orchestrator_;
};

// What users do, on a daemon. Each returns whether it was acknowledged; what was is noted.
class SimulatedUser {
 public:
  SimulatedUser(SimulatedDaemon& daemon, SimulatedClock& clock, Acknowledged& acknowledged)
      : daemon_(daemon), clock_(clock), acknowledged_(acknowledged) {}
  bool Apply(const std::string& pipeline, const std::string& spec_text);
  bool Push(const std::string& dataset, std::int64_t rows);
  bool StartRun(const std::string& pipeline, bool fresh, std::int64_t priority, std::optional<std::int64_t> reproduces = {});
  bool Cancel(std::int64_t run);
  bool Retry(std::int64_t run);
  bool Pause(const std::string& pipeline, bool paused);
  bool Promote(const std::string& model, std::int64_t version, registry::ReleaseKind kind);
  bool Rollback(const std::string& model, std::optional<std::int64_t> to);
  bool ApproveRelease(const std::string& model);
  bool AbortRelease(const std::string& model);
  bool NoteDrift(const std::string& pipeline, double worst);

 private:
  SimulatedDaemon& daemon_;
  SimulatedClock& clock_;
  Acknowledged& acknowledged_;
};

}  // namespace ratchet::faults
