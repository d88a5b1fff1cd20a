// The verdict and what follows from it. Declared in pipeline/orchestrator.h.

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "pipeline/judge.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/unscorable.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Run;
using registry::Step;
using registry::StepState;

registry::DecisionInput NotCompared(const Case& at) {
  return {.report = JudgeUnscorable(at).report, .verdict = kLiveUnscorable, .score = {}, .opponent = {},
          .opponent_kind = "live", .opponent_version = at.opponent_version, .scores = {}, .look = {}};
}

}  // namespace

Result<registry::DecisionInput> Orchestrator::Judge(const Context& at) {
  RATCHET_ASSIGN(Run run, store_.Read([&](Db& db) { return registry::GetRun(db, at.run().id); }));
  const Step* test = run.FindStep("test");
  RATCHET_CHECK(test != nullptr && !test->attempts.empty() && test->attempts.back().result && test->outputs);
  const Json& tested = *test->attempts.back().result;
  std::optional<std::int64_t> opponent_version;
  if (const Json opponent = test->outputs->value("opponent_version", Json()); opponent.is_number()) opponent_version = opponent;
  Case judging{.tested = tested, .opponent_version = opponent_version, .test = at.spec->test, .gate = at.spec->gate,
               .seed = at.spec->train.seed, .epoch = {}, .decided_at = now_us_};
  if (const Json epoch = test->outputs->value("route_epoch", Json()); epoch.is_number()) judging.route_epoch = epoch;
  judging.unscorable = UnscorablePart(tested, {.model = run.model, .pipeline = run.pipeline, .candidate = run.candidate.value_or(0),
                                               .live = opponent_version.value_or(0)});
  if (!HasScores(tested)) return NotCompared(judging);
  if (judging.unscorable.is_object()) opponent_version = judging.opponent_version = std::nullopt;  // the baseline stood in for it
  const std::string scores_blob = test->outputs->at("scores.pack").at("sha256");
  RATCHET_ASSIGN(const TestScores scores, ReadTestScores(blobs_.PathOf(scores_blob), at.spec->test));
  RATCHET_ASSIGN(judging.epoch, EpochOf(run, *test));
  RATCHET_ASSIGN(Judged judged, JudgeCase(scores, judging));
  const gate::Decision& decision = judged.decision;
  return registry::DecisionInput{.report = std::move(judged.report),
                                 .verdict = std::string(gate::VerdictName(decision.verdict)),
                                 .score = judged.score, .opponent = judged.opponent,
                                 .p_value = decision.p_value, .opponent_kind = tested.at("opponent_kind"),
                                 .opponent_version = opponent_version, .rows = decision.rows, .scores = scores_blob,
                                 .promotes = decision.promotes, .look = judged.look};
}

// The sealed rows that the candidate was tested on; nothing for a test of before there was a ledger.
Result<std::optional<registry::HoldoutEpoch>> Orchestrator::EpochOf(const Run& run, const Step& test) {
  const Json number = test.outputs->value("epoch", Json());
  if (!number.is_number_integer()) return std::nullopt;
  RATCHET_ASSIGN(auto epoch, store_.Read([&](Db& db) {
    return registry::GetEpoch(db, run.dataset, run.model, number.get<std::int64_t>());
  }));
  return std::optional(std::move(epoch));
}

bool Orchestrator::Perform(Context& at, const JudgeCandidate&) {
  auto decision = Judge(at);
  if (!decision) {
    if (IsPassing(decision.error())) return Postpone(at.run(), decision.error());
    return FailRunStep(at, "gate", decision.error());
  }
  const std::int64_t run = at.run().id;
  Status judged = store_.Write([&](Db& db) -> Status {
    RATCHET_ASSIGN(const bool stale, JudgeAgainIfStale(db, at, "gate"));
    if (stale) return {};  // nothing was decided, so no look is spent
    if (at.Find("gate")->state == StepState::kPending) RATCHET_TRY(registry::MoveStep(db, now_us_, run, "gate", StepState::kRunning));
    RATCHET_TRY(registry::RecordDecision(db, now_us_, at.run().model, at.run().candidate.value_or(0), *decision));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run, "gate", StepState::kSucceeded));
    if (decision->promotes) return {};
    registry::NoteOutcome(db, run, "rejected");
    return registry::MoveStep(db, now_us_, run, "release", StepState::kSkipped);
  });
  if (judged) return true;
  return IsPassing(judged.error()) ? Postpone(at.run(), judged.error()) : FailRunStep(at, "gate", judged.error());
}

// In one transaction, so that nothing comes between the look at what is live and the release.
bool Orchestrator::Perform(Context& at, const StartRelease&) {
  const Run& run = at.run();
  WakeAt(now_us_ + kWaitingTickUs);
  bool again = false;
  Status begun = store_.Write([&](Db& db) -> Status {
    RATCHET_ASSIGN(const registry::Model model, registry::GetModel(db, run.model));
    if (model.loading) return {};  // another release of the model under way is waited for
    RATCHET_ASSIGN(again, JudgeAgainIfStale(db, at, "release"));
    if (again) return {};
    RATCHET_ASSIGN(registry::Version version, registry::GetVersion(db, run.model, run.candidate.value_or(0)));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, "release", StepState::kRunning));
    const ReleaseSpec& plan = at.spec->release;
    const bool at_once = plan.strategy == "immediate" && plan.approval == "auto";
    auto release = registry::BeginRelease(
        db, now_us_, {.model = run.model, .to = version.version, .kind = registry::ReleaseKind::kPromote,
                      .actor = "gate", .reason = version.decision ? version.decision->value("reason", "") : "",
                      .run = run.id, .expected = registry::LiveStateOf(db, run.model), .strategy = plan.strategy,
                      .plan = at_once ? std::nullopt : std::optional(ReleaseToJson(plan))});
    if (!release) return std::unexpected(release.error());
    return {};
  });
  if (begun) return again;
  return IsPassing(begun.error()) ? Postpone(run, begun.error()) : FailRunStep(at, "release", begun.error());
}

bool Orchestrator::Perform(Context& at, const FollowRelease&) {
  const Run& run = at.run();
  auto release = store_.Read(
      [&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run.id); });
  if (!release) return Postpone(run, release.error());
  const bool long_way = *release && !(*release)->ended_at && (*release)->state != registry::ReleaseState::kLoading;
  WakeAt(now_us_ + (long_way ? kWatchTickUs : kWaitingTickUs));
  if (!*release || !(*release)->ended_at) return false;
  if ((*release)->state == registry::ReleaseState::kAborted) return AfterAbort(at);
  if ((*release)->state == registry::ReleaseState::kDone) {
    // Who waited for the run finds the version served.
    const bool late = IsOver(*(*release)->ended_at, options_.confirm_timeout_us, now_us_);
    if (!late && !serving_.Confirmed(run.model, (*release)->epoch.value_or(0))) return false;
    Status moved = store_.Write(
        [&](Db& db) { return registry::MoveStep(db, now_us_, run.id, "release", StepState::kSucceeded); });
    return moved ? true : Postpone(run, moved.error());
  }
  return FailRunStep(at, "release", Error{.code = ErrorCode::kConflict, .operation = "release",
                                           .subject = run.model + "@" + std::to_string((*release)->to),
                                           .cause = (*release)->error.value_or("it did not go through"),
                                           .hint = (*release)->harm ? "`ratchet release list " + run.model + "` has the evidence"
                                                                    : "`ratchet run retry " + std::to_string(run.id) + "`", .field = {}});
}

Result<bool> Orchestrator::WentLive(const Run& run) {
  RATCHET_ASSIGN(const auto release, store_.Read([&](Db& db) -> Result<std::optional<registry::Release>> {
    return registry::ReleaseOfRun(db, run.id);
  }));
  return release && release->state == registry::ReleaseState::kDone;
}

}  // namespace ratchet::pipeline
