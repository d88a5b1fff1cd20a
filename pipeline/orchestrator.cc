#include "pipeline/orchestrator.h"

#include <algorithm>

#include "base/log.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/run_queue.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Run;
using registry::RunState;
using registry::RunWork;
using registry::Step;
using registry::StepState;

constexpr int kMaxRoundsPerRun = 64;   // in one tick
constexpr int kMaxQueueLook = 1'000;   // queued runs looked at in one tick

}  // namespace

Orchestrator::Orchestrator(registry::Store& store, registry::BlobStore& blobs, Files& files, Executor& executor,
                           ServingView& serving, const Clock& clock, OrchestratorOptions options)
    : store_(store), blobs_(blobs), files_(files), executor_(executor), serving_(serving), clock_(clock),
      options_(std::move(options)) {}

std::int64_t Orchestrator::Tick() {
  now_us_ = clock_.WallUs();
  wake_us_ = now_us_ + kIdleTickUs;
  FireTriggers();
  FollowReleases();
  FollowQuarantine();
  BeginQueued();
  AdvanceRuns();
  return wake_us_;
}

void Orchestrator::WakeAt(std::int64_t at_us) { wake_us_ = std::min(wake_us_, at_us); }

bool Orchestrator::Postpone(const Run& run, const Error& error) {
  spdlog::error("run {}: {}", run.id, error.Message());
  WakeAt(now_us_ + kBusyTickUs);
  return false;
}

void Orchestrator::FollowReleases() {
  auto loading = store_.Read([](Db& db) -> Result<std::vector<registry::Release>> { return registry::LoadingReleases(db); });
  if (!loading) return spdlog::error("{}", loading.error().Message()), void();
  for (const registry::Release& release : *loading) {
    LoadState state = serving_.Loaded(release.model, release.to);
    if (state.kind == LoadState::Kind::kNoReplica)
      state.kind = options_.needs_replica ? LoadState::Kind::kLoading : LoadState::Kind::kReady;
    if (state.kind == LoadState::Kind::kLoading && IsOver(release.created_at, options_.load_timeout_us, now_us_))
      state = {LoadState::Kind::kFailed, "no replica had it ready in " +
                                             std::to_string(options_.load_timeout_us / 1'000'000) + " s"};
    Status done;
    if (state.kind == LoadState::Kind::kLoading) {
      WakeAt(now_us_ + kWaitingTickUs);
    } else if (state.kind == LoadState::Kind::kFailed) {
      done = store_.Write([&](Db& db) { return registry::FailRelease(db, now_us_, release.id, state.cause); });
    } else {
      done = store_.Write([&](Db& db) -> Status {
        auto committed = registry::CommitRelease(db, now_us_, release.id);
        if (!committed) return registry::FailRelease(db, now_us_, release.id, committed.error().Message());
        registry::SetReleaseTook(db, release.id, static_cast<double>(now_us_ - release.created_at) / 1000);
        return {};
      });
    }
    if (!done) spdlog::error("{}", done.error().Message());
  }
}

void Orchestrator::BeginQueued() {
  auto facts = store_.Read([&](Db& db) -> Result<QueueFacts> {
    QueueFacts found{.queued = registry::QueuedRuns(db, kMaxQueueLook), .running = {}, .last_begun = {}, .free_places = 0};
    if (found.queued.empty()) return found;
    for (const std::string& pipeline : registry::RunningPipelines(db)) found.running.insert(pipeline);
    found.free_places = options_.max_active_runs - static_cast<std::int64_t>(found.running.size());
    for (const registry::QueuedRun& run : found.queued)
      if (!found.last_begun.contains(run.pipeline)) found.last_begun[run.pipeline] = registry::LastBegunAt(db, run.pipeline);
    return found;
  });
  if (!facts) return spdlog::error("{}", facts.error().Message()), void();
  for (std::int64_t id : NextToBegin(*facts)) {
    Status begun = store_.Write([&](Db& db) { return registry::StartRun(db, now_us_, id); });
    if (!begun) spdlog::error("{}", begun.error().Message());
  }
}

void Orchestrator::CountCpus(const std::vector<RunWork>& runs) {
  cpus_taken_ = 0;
  for (const RunWork& work : runs) {
    auto spec = SpecOf(work.run.id);
    for (const Step& step : work.open)
      if (spec && !step.attempts.empty() && step.attempts.back().state == registry::AttemptState::kRunning)
        cpus_taken_ += WorkOf(**spec, step).limits.cpus;
  }
}

void Orchestrator::AdvanceRuns() {
  auto runs = store_.Read([](Db& db) -> Result<std::vector<RunWork>> { return registry::RunningRuns(db); });
  if (!runs) return spdlog::error("{}", runs.error().Message()), void();
  auto is_over = [&](const auto& entry) {
    return std::ranges::none_of(*runs, [&](const RunWork& work) { return work.run.id == entry.first; });
  };
  std::erase_if(run_specs_, is_over);
  std::erase_if(run_data_, is_over);
  if (runs->empty()) stopping_.clear();
  CountCpus(*runs);
  // The run that was begun first has the first choice, but the turn goes round with the free processors.
  for (RunWork& work : *runs) Advance(std::move(work));
}

void Orchestrator::Advance(RunWork work) {
  const std::int64_t id = work.run.id;
  auto spec = SpecOf(id);
  if (!spec) {
    Postpone(work.run, spec.error());
    return;
  }
  Context at{std::move(work), *spec};
  for (int round = 0; round < kMaxRoundsPerRun; ++round) {
    if (at.spec->train.sweep && at.spec->train.sweep->prune == Sweep::Prune::kAsha) PruneTrials(at);
    at.begun.clear();
    bool changed = false;
    for (const RunAction& action : NextActions(at.work, PolicyOf(at), now_us_))
      changed = std::visit([&](const auto& what) { return Perform(at, what); }, action) || changed;
    if (!changed) return;
    auto again = store_.Read([&](Db& db) { return registry::WorkOf(db, id); });
    if (!again || registry::IsEnd(again->run.state)) break;
    at.work = std::move(*again);
  }
  WakeAt(now_us_);  // there may be more to do, or a queued run may follow
}

std::function<AttemptPolicy(const Step&)> Orchestrator::PolicyOf(const Context& at) {
  return [spec = at.spec](const Step& step) {
    const WorkSpec& own = pipeline::WorkOf(*spec, step);
    return AttemptPolicy{.attempts = own.limits.attempts, .retry = own.retry, .seed = own.seed};
  };
}

Result<Orchestrator::SpecPtr> Orchestrator::SpecOf(std::int64_t run) {
  if (auto known = run_specs_.find(run); known != run_specs_.end()) return known->second;
  RATCHET_ASSIGN(Run record, store_.Read([&](Db& db) { return registry::GetRun(db, run); }));
  RATCHET_ASSIGN(Spec spec, SpecFromJson(record.spec));
  return run_specs_[run] = std::make_shared<const Spec>(std::move(spec));
}

bool Orchestrator::Perform(Context&, const WaitUntil& action) {
  WakeAt(action.at_us);
  return false;
}

bool Orchestrator::Perform(Context& at, const FailStep& action) {
  const Step* step = at.Find(action.step);
  Status moved = store_.Write([&](Db& db) -> Status {
    RATCHET_TRY(registry::MoveStep(db, now_us_, at.run().id, action.step, StepState::kFailed));
    // A failed trial leaves the others; that none is left is found when the best is to be picked.
    if (step == nullptr || step->kind != "trial") registry::NoteError(db, at.run().id, action.error);
    return {};
  });
  return moved ? true : Postpone(at.run(), moved.error());
}

bool Orchestrator::FailRunStep(const Context& at, const std::string& step, const Error& error) {
  const bool user = error.code == ErrorCode::kConflict || error.code == ErrorCode::kInvalid;
  const Step* record = at.Find(step);
  Status failed = store_.Write([&](Db& db) -> Status {
    if (record != nullptr && record->state == StepState::kPending)
      RATCHET_TRY(registry::MoveStep(db, now_us_, at.run().id, step, StepState::kRunning));
    RATCHET_TRY(registry::MoveStep(db, now_us_, at.run().id, step, StepState::kFailed));
    registry::NoteError(db, at.run().id,
                        Json{{"class", user ? "user" : "internal"}, {"message", error.Message()}, {"hint", error.hint}});
    return {};
  });
  return failed ? true : Postpone(at.run(), failed.error());
}

// Ends the steps that are still open, in the order of the graph.
static Status CloseSteps(Db& db, std::int64_t now_us, std::int64_t run, const std::string& outcome) {
  RATCHET_ASSIGN(Run record, registry::GetRun(db, run));
  for (const Step& step : record.steps) {
    if (step.state == StepState::kPending) RATCHET_TRY(registry::MoveStep(db, now_us, run, step.name, StepState::kSkipped));
    if (step.state == StepState::kRunning)
      RATCHET_TRY(registry::MoveStep(db, now_us, run, step.name,
                                     outcome == "promoted" ? StepState::kSucceeded : StepState::kCancelled));
  }
  return {};
}

bool Orchestrator::Perform(Context& at, const EndRun& action) {
  RATCHET_CHECK(registry::IsEnd(action.state));
  const Run& run = at.run();
  RunState state = action.state;
  std::string outcome = action.outcome;
  std::optional<Json> error = action.error;
  const auto went_live = WentLive(run);
  if (!went_live) return Postpone(run, went_live.error());
  if ((outcome == "cancelled" || outcome == "failed") && *went_live) {
    state = RunState::kSucceeded;  // the cancellation came too late, or the deadline too early
    outcome = "promoted";
    error.reset();
  }
  if (outcome == "promoted" && !*went_live) {
    // A step was stopped at the deadline, and the clock went back before the end could be written down.
    state = RunState::kFailed;
    outcome = "failed";
    error = Json{{"class", "timeout"}, {"message", "the run was stopped at its deadline"}, {"hint", "Retry the run: what is done stays done"}};
  }
  std::string summary = SummaryOf(run, outcome);
  if (outcome == "reproduced") outcome = CompareReproduction(run, summary);
  if (state == RunState::kFailed && error) summary = error->value("message", summary);
  Status ended = store_.Write([&](Db& db) -> Status {
    if (auto release = registry::ReleaseOfRun(db, run.id); release && !release->ended_at)
      RATCHET_TRY(registry::AbortRelease(db, now_us_, release->id, "the run was " + outcome));
    RATCHET_TRY(CloseSteps(db, now_us_, run.id, outcome));
    return registry::EndRun(db, now_us_, run.id, state, {.outcome = outcome, .summary = summary, .error = error});
  });
  if (!ended) return Postpone(run, ended.error());
  spdlog::info("run {} of {}: {}. {}", run.id, run.pipeline, outcome, summary);
  return true;
}

std::string Orchestrator::SummaryOf(const Run& run, const std::string& outcome) {
  if (outcome == "cancelled") return "The run was cancelled.";
  if (!run.candidate) return "The run failed.";
  auto version = store_.Read([&](Db& db) { return registry::GetVersion(db, run.model, *run.candidate); });
  std::string reason = version && version->decision ? version->decision->value("reason", "") : "";
  std::string name = run.model + "@" + std::to_string(*run.candidate);
  if (outcome == "promoted") return name + " is live. " + reason;
  if (outcome == "rejected") return name + " was rejected. " + reason;
  return "The run failed.";
}

}  // namespace ratchet::pipeline
