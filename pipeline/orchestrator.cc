#include "pipeline/orchestrator.h"

#include <algorithm>

#include "base/log.h"
#include "pipeline/triggers.h"
#include "registry/datasets.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/runs.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::Db;
using registry::Json;
using registry::Run;
using registry::RunState;
using registry::StepState;

constexpr std::int64_t kIdleTickUs = 5'000'000;   // nothing under way
constexpr std::int64_t kBusyTickUs = 500'000;     // steps running: their ends wake the loop earlier
constexpr std::int64_t kWaitingTickUs = 50'000;   // waiting for the executor or for replicas
constexpr int kMaxActionsPerRun = 16;             // in one tick

bool RunsNow(const Run& run) { return run.state == RunState::kRunning; }

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
  AdvanceRuns();
  return wake_us_;
}

void Orchestrator::FireTriggers() {
  struct Due {
    std::string pipeline;
    Json spec;
    Trigger trigger;
  };
  auto due = store_.Read([&](Db& db) -> Result<std::vector<Due>> {
    std::vector<Due> found;
    std::optional<std::string> after;
    do {
      auto page = registry::ListPipelines(db, registry::kMaxPage, after);
      for (const registry::Pipeline& pipeline : page.items) {
        auto spec = SpecFromJson(pipeline.spec);
        if (!spec || !spec->retrain.new_rows) continue;
        auto dataset = registry::GetDataset(db, pipeline.dataset);
        if (!dataset || dataset->latest_version == 0) continue;
        TriggerFacts facts{.new_rows = spec->retrain.new_rows, .rows_now = dataset->rows.Total()};
        if (auto last = registry::LastRun(db, pipeline.name)) {
          facts.run_active = !registry::IsEnd(last->state);
          auto used = registry::GetDatasetVersion(db, last->dataset, last->dataset_version);
          if (used && last->dataset == pipeline.dataset) facts.rows_at_last_run = used->rows.Total();
        }
        if (auto trigger = DueTrigger(facts)) found.push_back({pipeline.name, pipeline.spec, *trigger});
      }
      after = page.next;
    } while (after);
    return found;
  });
  if (!due) return spdlog::error("{}", due.error().Message()), void();
  for (const Due& item : *due) {
    auto run = store_.Write([&](Db& db) {
      return registry::CreateRun(db, now_us_, {.pipeline = item.pipeline,
                                               .reason = {{"kind", item.trigger.kind}, {"detail", item.trigger.detail}},
                                               .overrides = Json::object(), .spec = item.spec});
    });
    if (run) spdlog::info("run {} of {} starts: {}", run->id, item.pipeline, item.trigger.detail);
    else spdlog::error("{}", run.error().Message());
  }
}

void Orchestrator::FollowReleases() {
  auto loading = store_.Read([](Db& db) -> Result<std::vector<registry::Release>> { return registry::LoadingReleases(db); });
  if (!loading) return spdlog::error("{}", loading.error().Message()), void();
  for (const registry::Release& release : *loading) {
    LoadState state = serving_.Loaded(release.model, release.to);
    if (state.kind == LoadState::Kind::kNoReplica)
      state.kind = options_.needs_replica ? LoadState::Kind::kLoading : LoadState::Kind::kReady;
    if (state.kind == LoadState::Kind::kLoading && now_us_ - release.created_at > options_.load_timeout_us)
      state = {LoadState::Kind::kFailed, "no replica had it ready in " +
                                             std::to_string(options_.load_timeout_us / 1'000'000) + " s"};
    Status done;
    if (state.kind == LoadState::Kind::kLoading) {
      wake_us_ = std::min(wake_us_, now_us_ + kWaitingTickUs);
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

void Orchestrator::AdvanceRuns() {
  auto runs = store_.Read([](Db& db) -> Result<std::vector<Run>> { return registry::ActiveRuns(db); });
  if (!runs) return spdlog::error("{}", runs.error().Message()), void();
  auto active = std::count_if(runs->begin(), runs->end(), RunsNow);
  for (const Run& run : *runs) {
    if (run.state == RunState::kQueued && !run.cancel_asked) {
      // One run of a pipeline at a time, and a cap over all; ids give the order.
      bool sibling = std::any_of(runs->begin(), runs->end(), [&](const Run& other) {
        return other.pipeline == run.pipeline && (other.id < run.id || RunsNow(other));
      });
      if (sibling || active >= options_.max_active_runs) continue;
      ++active;
    }
    std::int64_t id = run.id;
    Run current = run;
    for (int i = 0; i < kMaxActionsPerRun && Advance(current); ++i) {
      auto again = store_.Read([&](Db& db) { return registry::GetRun(db, id); });
      if (!again || registry::IsEnd(again->state)) {
        wake_us_ = now_us_;  // a queued one may follow
        break;
      }
      current = std::move(*again);
    }
  }
}

bool Orchestrator::Advance(const Run& run) {
  int attempts = run.spec.contains("train") ? run.spec["train"]["limits"].value("attempts", 3) : 3;
  return std::visit([&](const auto& action) { return Perform(run, action); }, NextAction(run, attempts, now_us_));
}

bool Orchestrator::Postpone(const Run& run, const Error& error) {
  spdlog::error("run {}: {}", run.id, error.Message());
  wake_us_ = std::min(wake_us_, now_us_ + kBusyTickUs);
  return false;
}

bool Orchestrator::Perform(const Run& run, const BeginRun&) {
  Status begun = store_.Write([&](Db& db) { return registry::StartRun(db, now_us_, run.id); });
  return begun ? true : Postpone(run, begun.error());
}

bool Orchestrator::Perform(const Run&, const WaitUntil& action) {
  wake_us_ = std::min(wake_us_, action.at_us);
  return false;
}

bool Orchestrator::Perform(const Run& run, const StartAttempt& action) {
  if (!executor_.Ready()) {
    wake_us_ = std::min(wake_us_, now_us_ + kWaitingTickUs);
    return false;
  }
  auto attempt = store_.Write([&](Db& db) { return registry::StartAttempt(db, now_us_, run.id, action.step); });
  if (!attempt) return Postpone(run, attempt.error());
  auto step = PrepareStep(run, *attempt);
  if (!step) {
    StepExit exit{.error_class = "internal", .message = step.error().Message(), .hint = step.error().hint};
    return EndAttemptWithError(run, *attempt, registry::AttemptState::kFailed, exit);
  }
  // A step that could not be started is found lost at the next look, and tried again.
  Status started = executor_.Start(AttemptId(run.id, attempt->step, attempt->number), step->at("folder"));
  wake_us_ = std::min(wake_us_, now_us_ + kBusyTickUs);
  return started ? false : Postpone(run, started.error());
}

bool Orchestrator::Perform(const Run& run, const PollAttempt& action) {
  const Attempt& attempt = action.attempt;
  std::string id = AttemptId(run.id, attempt.step, attempt.number);
  StepStatus status = executor_.Poll(id);
  wake_us_ = std::min(wake_us_, now_us_ + kBusyTickUs);
  if (status.kind == StepStatus::Kind::kRunning) {
    if (status.pid && !attempt.pid)
      store_.Write([&](Db& db) -> Status {
        registry::SetAttemptPid(db, run.id, attempt.step, attempt.number, *status.pid);
        return {};
      });
    return false;
  }
  auto result = ReadResult(files_, AttemptFolder(options_.data_dir, run.id, attempt.step, attempt.number));
  bool taken;
  if (!result) {
    StepExit unreadable = status.exit;
    unreadable.error_class = "internal";
    unreadable.message = "its result cannot be read: " + result.error().Message();
    taken = EndAttemptWithError(run, attempt, registry::AttemptState::kFailed, unreadable);
  } else if (*result) {
    taken = TakeResult(run, attempt, **result, status.exit);
  } else if (status.kind == StepStatus::Kind::kUnknown) {
    StepExit lost{.error_class = "lost", .message = "the process that ran it is gone", .hint = "It is tried again"};
    taken = EndAttemptWithError(run, attempt, registry::AttemptState::kLost, lost);
  } else {
    taken = EndAttemptWithError(run, attempt, registry::AttemptState::kFailed, status.exit);
  }
  if (taken) executor_.Forget(id);  // else its end is still to be written down
  return taken;
}

bool Orchestrator::Perform(const Run& run, const CancelAttempt& action) {
  const Attempt& attempt = action.attempt;
  executor_.Kill(AttemptId(run.id, attempt.step, attempt.number), "cancelled", "the run was cancelled");
  StepExit cancelled{.error_class = "cancelled", .message = "the run was cancelled"};
  bool ended = EndAttemptWithError(run, attempt, registry::AttemptState::kCancelled, cancelled);
  Status moved = store_.Write(
      [&](Db& db) { return registry::MoveStep(db, now_us_, run.id, attempt.step, StepState::kCancelled); });
  return ended && moved ? true : Postpone(run, moved ? Error{.operation = "cancel"} : moved.error());
}

bool Orchestrator::Perform(const Run& run, const FailStep& action) {
  Status moved = store_.Write(
      [&](Db& db) { return registry::MoveStep(db, now_us_, run.id, action.step, StepState::kFailed); });
  return moved ? true : Postpone(run, moved.error());
}

bool Orchestrator::Perform(const Run& run, const StartRelease&) {
  wake_us_ = std::min(wake_us_, now_us_ + kWaitingTickUs);
  // Another release of the model under way is waited for.
  auto model = store_.Read([&](Db& db) { return registry::GetModel(db, run.model); });
  if (!model) return Postpone(run, model.error());
  if (model->loading) return false;
  Status begun = store_.Write([&](Db& db) -> Status {
    RATCHET_ASSIGN(registry::Version version, registry::GetVersion(db, run.model, run.candidate.value_or(0)));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, "release", StepState::kRunning));
    auto release = registry::BeginRelease(
        db, now_us_, {.model = run.model, .to = version.version, .kind = registry::ReleaseKind::kPromote,
                      .actor = "gate", .reason = version.decision ? version.decision->value("reason", "") : "",
                      .run = run.id, .expected_live = version.opponent_version});
    if (!release) return std::unexpected(release.error());
    return {};
  });
  if (begun) return false;
  return IsPassing(begun.error()) ? Postpone(run, begun.error()) : FailRunStep(run, "release", begun.error());
}

bool Orchestrator::Perform(const Run& run, const FollowRelease&) {
  auto release = store_.Read(
      [&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run.id); });
  if (!release) return Postpone(run, release.error());
  wake_us_ = std::min(wake_us_, now_us_ + kWaitingTickUs);
  if (!*release || !(*release)->ended_at) return false;
  if ((*release)->state == registry::ReleaseState::kDone) {
    // Who waited for the run finds the version served.
    bool late = now_us_ - *(*release)->ended_at > options_.confirm_timeout_us;
    if (!late && !serving_.Confirmed(run.model, (*release)->epoch.value_or(0))) return false;
    Status moved = store_.Write(
        [&](Db& db) { return registry::MoveStep(db, now_us_, run.id, "release", StepState::kSucceeded); });
    return moved ? true : Postpone(run, moved.error());
  }
  return FailRunStep(run, "release", Error{.code = ErrorCode::kConflict, .operation = "release",
                                           .subject = run.model + "@" + std::to_string((*release)->to),
                                           .cause = (*release)->error.value_or("it did not go through"),
                                           .hint = "`ratchet run retry " + std::to_string(run.id) + "`", .field = {}});
}

bool Orchestrator::FailRunStep(const Run& run, const std::string& step, const Error& error) {
  bool user = error.code == ErrorCode::kConflict || error.code == ErrorCode::kInvalid;
  Status failed = store_.Write([&](Db& db) -> Status {
    const registry::Step* record = run.FindStep(step);
    if (record != nullptr && record->state == StepState::kPending)
      RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, step, StepState::kRunning));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, step, StepState::kFailed));
    db.Exec("UPDATE runs SET error_json = ? WHERE id = ?",
            Json{{"class", user ? "user" : "internal"}, {"message", error.Message()}, {"hint", error.hint}}, run.id);
    return {};
  });
  return failed ? true : Postpone(run, failed.error());
}

bool Orchestrator::Perform(const Run& run, const EndRun& action) {
  RATCHET_CHECK(registry::IsEnd(action.state));
  std::optional<Json> error = run.error;
  for (const registry::Step& step : run.steps)
    if (step.state == StepState::kFailed && !step.attempts.empty() && step.attempts.back().error)
      error = step.attempts.back().error;
  RunState state = action.state;
  std::string outcome = action.outcome;
  if (outcome == "cancelled" && WentLive(run)) {
    state = RunState::kSucceeded;  // the cancellation came too late
    outcome = "promoted";
  }
  std::string summary = SummaryOf(run, outcome);
  if (state == RunState::kFailed && error) summary = error->value("message", summary);
  Status ended = store_.Write([&](Db& db) -> Status {
    if (run.state == RunState::kQueued && state != RunState::kCancelled)
      RATCHET_TRY(registry::StartRun(db, now_us_, run.id));
    if (auto release = registry::ReleaseOfRun(db, run.id); release && !release->ended_at)
      RATCHET_TRY(registry::AbortRelease(db, now_us_, release->id, "the run was " + outcome));
    for (const registry::Step& step : run.steps) {
      if (step.state == StepState::kPending)
        RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, step.name, StepState::kSkipped));
      if (step.state == StepState::kRunning)
        RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, step.name,
                                       outcome == "promoted" ? StepState::kSucceeded : StepState::kCancelled));
    }
    return registry::EndRun(db, now_us_, run.id, state, {.outcome = outcome, .summary = summary, .error = error});
  });
  if (!ended) return Postpone(run, ended.error());
  spdlog::info("run {} of {}: {}. {}", run.id, run.pipeline, outcome, summary);
  return true;
}

bool Orchestrator::WentLive(const Run& run) {
  auto release = store_.Read(
      [&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run.id); });
  return release && *release && (*release)->state == registry::ReleaseState::kDone;
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
