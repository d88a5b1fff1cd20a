#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/files.h"
#include "pipeline/executor.h"
#include "pipeline/run_plan.h"
#include "pipeline/spec.h"
#include "pipeline/step_folder.h"
#include "registry/blob_store.h"
#include "registry/models.h"
#include "registry/runs.h"
#include "registry/store.h"

namespace ratchet::pipeline {

// Whether the same write or read may well succeed later: a full disk, a full queue.
inline bool IsPassing(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kOverloaded;
}

struct OrchestratorOptions {
  std::string data_dir;           // absolute
  int max_active_runs = 2;        // beyond, runs wait queued
  bool sandbox_required = true;   // false: --allow-unsandboxed
  bool needs_replica = true;      // false: a version may go live while nothing serves (ratchetd --no-serve)
  std::int64_t load_timeout_us = 120'000'000;    // for the replicas to load a release's version
  std::int64_t confirm_timeout_us = 10'000'000;  // for the replicas to confirm that it is live; then the run ends all the same
};

// The loop. Tick compares rows with the world, does bounded work and says when it wants to be called again; anything that
// writes rows may call it earlier. It keeps no state of its own, so recovery after a crash is an ordinary tick. One thread.
class Orchestrator {
 public:
  Orchestrator(registry::Store& store, registry::BlobStore& blobs, Files& files, Executor& executor,
               ServingView& serving, const Clock& clock, OrchestratorOptions options);

  // Returns the wall time, in microseconds, of the next tick that is due without any event.
  std::int64_t Tick();

 private:
  void FireTriggers();
  void FollowReleases();
  void AdvanceRuns();
  // Does what is next about the run; true if there may be more to do at once.
  bool Advance(const registry::Run& run);
  bool Perform(const registry::Run& run, const BeginRun&);
  bool Perform(const registry::Run& run, const StartAttempt& action);
  bool Perform(const registry::Run& run, const PollAttempt& action);
  bool Perform(const registry::Run& run, const CancelAttempt& action);
  bool Perform(const registry::Run& run, const JudgeCandidate&);
  bool Perform(const registry::Run& run, const StartRelease&);
  bool Perform(const registry::Run& run, const FollowRelease&);
  bool Perform(const registry::Run& run, const FailStep& action);
  bool Perform(const registry::Run& run, const EndRun& action);
  bool Perform(const registry::Run& run, const WaitUntil& action);

  Result<registry::Json> PrepareStep(const registry::Run& run, const registry::Attempt& attempt);
  bool TakeResult(const registry::Run& run, const registry::Attempt& attempt, const registry::Json& result,
                  const StepExit& exit);
  Status AdoptTrained(const registry::Run& run, const registry::Attempt& attempt, const registry::AttemptEnd& end);
  bool EndAttemptWithError(const registry::Run& run, const registry::Attempt& attempt, registry::AttemptState state,
                           const StepExit& exit);
  Result<registry::DecisionInput> Judge(const registry::Run& run);
  bool FailRunStep(const registry::Run& run, const std::string& step, const Error& error);
  bool WentLive(const registry::Run& run);
  std::string SummaryOf(const registry::Run& run, const std::string& outcome);
  std::string MetricOf(const registry::Run& run, const Spec& spec, const registry::Json& manifest);
  // Logs an error of the loop itself and asks for another try later.
  bool Postpone(const registry::Run& run, const Error& error);

  registry::Store& store_;
  registry::BlobStore& blobs_;
  Files& files_;
  Executor& executor_;
  ServingView& serving_;
  const Clock& clock_;
  const OrchestratorOptions options_;
  std::int64_t now_us_ = 0;
  std::int64_t wake_us_ = 0;
};

}  // namespace ratchet::pipeline
