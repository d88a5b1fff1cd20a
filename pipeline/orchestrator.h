#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "pipeline/executor.h"
#include "pipeline/live_metrics.h"
#include "pipeline/run_plan.h"
#include "pipeline/spec.h"
#include "pipeline/step_folder.h"
#include "registry/blob_store.h"
#include "registry/models.h"
#include "registry/pipelines.h"
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
  int cpus = 2;                   // steps run side by side while their limits.cpus fit in here; one always may
  bool sandbox_required = true;   // false: --allow-unsandboxed
  std::string serve_program = {};  // ratchet-serve, in which a test measures a candidate; empty: it does not
  bool needs_replica = true;      // false: a version may go live while nothing serves (ratchetd --no-serve)
  std::int64_t load_timeout_us = 120'000'000;    // for the replicas to load a release's version
  std::int64_t confirm_timeout_us = 10'000'000;  // for the replicas to confirm that it is live; then the run ends all the same
};

// The loop. Tick compares rows with the world, does bounded work and says when it wants to be called again; anything that
// writes rows may call it earlier. What it keeps in memory are copies of what never changes (specs) and notes whose loss
// costs nothing, so recovery after a crash is an ordinary tick. One thread.
class Orchestrator {
 public:
  Orchestrator(registry::Store& store, registry::BlobStore& blobs, Files& files, Executor& executor,
               ServingView& serving, const Clock& clock, OrchestratorOptions options);

  // Where retrain.live_metric_below looks; without it that starts nothing. Outlives the orchestrator. Before the first Tick.
  void WatchLiveMetrics(LiveMetrics& live_metrics) { live_metrics_ = &live_metrics; }

  // Returns the wall time, in microseconds, of the next tick that is due without any event.
  std::int64_t Tick();

 private:
  using SpecPtr = std::shared_ptr<const Spec>;
  struct Context;  // a run with what its actions need, orchestrator_run.h

  // orchestrator.cc
  void FollowReleases();
  void BeginQueued();
  void AdvanceRuns();
  void Advance(registry::RunWork work);
  bool Perform(Context& at, const WaitUntil& action);
  bool Perform(Context& at, const FailStep& action);
  bool Perform(Context& at, const EndRun& action);
  Result<SpecPtr> SpecOf(std::int64_t run);
  static std::function<AttemptPolicy(const registry::Step&)> PolicyOf(const Context& at);
  void CountCpus(const std::vector<registry::RunWork>& runs);
  bool FailRunStep(const Context& at, const std::string& step, const Error& error);
  std::string SummaryOf(const registry::Run& run, const std::string& outcome);
  void WakeAt(std::int64_t at_us);
  // Logs an error of the loop itself and asks for another try later.
  bool Postpone(const registry::Run& run, const Error& error);

  // orchestrator_attempts.cc: from a pending step to a finished attempt
  bool Perform(Context& at, const StartAttempt& action);
  bool Perform(Context& at, const PollAttempt& action);
  bool Perform(Context& at, const StopAttempt& action);
  StepHost HostOf(const Context& at, const registry::Step& step) const;
  StepRef RefOf(const Context& at, const registry::Step& step, std::int64_t attempt) const;
  bool HasRoom(const Context& at, const registry::Step& step);
  void Leave(const Context& at, const registry::Step& step, const StepRef& ref);
  Result<std::shared_ptr<const RunData>> DataOf(const registry::Run& run);
  Result<StepInputs> GatherInputs(const Context& at, const registry::Step& step);
  StepInputs InputsOf(const Context& at, const registry::Step& step, std::shared_ptr<const RunData> data) const;
  static Status GatherFiles(registry::Db& db, StepInputs& inputs);
  Status GatherVersions(const Context& at, StepInputs& inputs);
  Status GatherHoldout(const Context& at, StepInputs& inputs);
  std::optional<std::string> KeyOf(const Context& at, const registry::Step& step, const registry::Json& step_file) const;
  bool TakeFromCache(Context& at, const registry::Step& step, const std::string& key);
  bool TakeResult(Context& at, const registry::Attempt& attempt, const registry::Json& result, const StepExit& exit, bool gone);
  bool EndAttemptWithError(Context& at, const registry::Attempt& attempt, registry::AttemptState state, const StepExit& exit);
  Result<registry::Json> AdoptOutputs(const Context& at, const registry::Step& step, const registry::Attempt& attempt,
                                      const registry::Json& result);

  // orchestrator_handover.cc: the end of a step and the start of what it sets free
  struct Begun {
    registry::Step step;
    std::int64_t attempt;
  };
  Status BeginInside(registry::Db& db, const Context& at, const registry::Step& step, std::vector<Begun>& begun);
  Status BeginSuccessors(registry::Db& db, const Context& at, const registry::Step& ended, std::vector<Begun>& begun);
  Status EndAndGoOn(Context& at, const registry::Step& ended, const std::function<Status(registry::Db&)>& end);
  void SetGoing(Context& at, const Begun& begun);

  // orchestrator_training.cc: bundles, trials, reproductions
  Result<registry::Json> AdoptBundle(const Context& at, const registry::Attempt& attempt, const registry::Json& result);
  Status MakeCandidate(registry::Db& db, const Context& at, const registry::Json& outputs);
  bool Perform(Context& at, const SelectTrial& action);
  void PruneTrials(Context& at);
  std::string MetricOf(const Spec& spec, const registry::Json& manifest);
  std::vector<std::string> TrialMetrics(const Spec& spec);
  std::string CompareReproduction(const registry::Run& run, std::string& summary);

  // orchestrator_gate.cc: the verdict and what follows from it
  bool Perform(Context& at, const JudgeCandidate& action);
  bool Perform(Context& at, const StartRelease& action);
  bool Perform(Context& at, const FollowRelease& action);
  Result<registry::DecisionInput> Judge(const Context& at);
  Result<std::optional<registry::HoldoutEpoch>> EpochOf(const registry::Run& run, const registry::Step& test);
  Result<bool> WentLive(const registry::Run& run);

  // orchestrator_stale.cc: decisions that a change of what is live has overtaken
  Result<bool> JudgeAgainIfStale(registry::Db& db, const Context& at, const std::string& step);
  bool AfterAbort(Context& at);

  // orchestrator_quarantine.cc
  void FollowQuarantine();

  // orchestrator_forecast.cc
  registry::Json Forecast(const Context& at);
  void NoteForecast(registry::Db& db, const Context& at, const registry::Json& forecast);

  // orchestrator_triggers.cc
  void FireTriggers();
  bool FireTrigger(const registry::PipelineMark& pipeline, const Spec& spec);
  Result<SpecPtr> TriggeredSpec(const registry::PipelineMark& pipeline);

  registry::Store& store_;
  registry::BlobStore& blobs_;
  Files& files_;
  Executor& executor_;
  ServingView& serving_;
  const Clock& clock_;
  const OrchestratorOptions options_;
  LiveMetrics* live_metrics_ = nullptr;
  std::int64_t now_us_ = 0;
  std::int64_t wake_us_ = 0;
  int cpus_taken_ = 0;
  std::map<std::int64_t, SpecPtr> run_specs_;                                    // of active runs
  std::map<std::int64_t, std::shared_ptr<const RunData>> run_data_;              // of active runs
  std::map<std::string, std::pair<std::int64_t, SpecPtr>> triggered_specs_;      // name → revision, spec if it has triggers
  std::set<std::string> quarantine_told_;  // versions in quarantine at the last tick
  std::set<std::string> stopping_;                                               // attempts that were asked to end
};

}  // namespace ratchet::pipeline
