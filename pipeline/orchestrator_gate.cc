// The verdict and what follows from it. Declared in pipeline/orchestrator.h.

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "gate/decision.h"
#include "lake/pack.h"
#include "pipeline/orchestrator_run.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Run;
using registry::Step;
using registry::StepState;

constexpr std::int64_t kScoreBatchRows = 65'536;

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

struct Scores {
  std::vector<double> candidate, opponent;
};

Result<Scores> ReadScores(const std::string& path) {
  RATCHET_ASSIGN(auto reader, lake::PackReader::Open({path}, {"candidate", "opponent"}));
  Scores scores;
  while (true) {
    RATCHET_ASSIGN(lake::Batch batch, reader->Next(kScoreBatchRows));
    if (batch.rows == 0) return scores;
    auto& c = batch.columns[0].reals;
    auto& o = batch.columns[1].reals;
    scores.candidate.insert(scores.candidate.end(), c.begin(), c.end());
    scores.opponent.insert(scores.opponent.end(), o.begin(), o.end());
  }
}

// The decision report of docs/formats.md.
Json MakeReport(const gate::Decision& decision, const Json& tested, std::optional<std::int64_t> opponent_version,
                std::int64_t now_us) {
  return {{"verdict", gate::VerdictName(decision.verdict)}, {"reason", decision.reason},
          {"metric", tested.at("metric")}, {"higher_is_better", tested.value("higher_is_better", true)},
          {"candidate", tested.at("candidate")}, {"opponent", tested.at("opponent")},
          {"opponent_kind", tested.at("opponent_kind")},
          {"opponent_version", opponent_version ? Json(*opponent_version) : Json()},
          {"difference", decision.difference},
          {"interval", {NumberOrNull(decision.interval_low), NumberOrNull(decision.interval_high)}},
          {"confidence", decision.confidence}, {"alpha", decision.alpha}, {"p_value", decision.p_value},
          {"test", decision.test}, {"rows", decision.rows}, {"wins", decision.wins}, {"losses", decision.losses},
          {"better_by", decision.better_by}, {"forced", false},
          {"rows_needed", decision.rows_needed ? Json(*decision.rows_needed) : Json()}, {"decided_at", now_us}};
}

}  // namespace

Result<registry::DecisionInput> Orchestrator::Judge(const Context& at) {
  RATCHET_ASSIGN(Run run, store_.Read([&](Db& db) { return registry::GetRun(db, at.run().id); }));
  const Step* test = run.FindStep("test");
  RATCHET_CHECK(test != nullptr && !test->attempts.empty() && test->attempts.back().result && test->outputs);
  const Json& tested = *test->attempts.back().result;
  std::optional<std::int64_t> opponent_version;
  if (const Json opponent = test->outputs->value("opponent_version", Json()); opponent.is_number()) opponent_version = opponent;
  const std::string scores_blob = test->outputs->at("scores.pack").at("sha256");
  RATCHET_ASSIGN(Scores scores, ReadScores(blobs_.PathOf(scores_blob)));
  RATCHET_ASSIGN(gate::PerRow per_row, gate::PerRowFromName(tested.value("per_row", "")));
  RATCHET_ASSIGN(gate::Decision decision,
                 gate::Decide({.per_row = per_row, .candidate = scores.candidate, .opponent = scores.opponent},
                              {.better_by = at.spec->gate.better_by, .confidence = at.spec->gate.confidence}));
  return registry::DecisionInput{.report = MakeReport(decision, tested, opponent_version, now_us_),
                                 .verdict = std::string(gate::VerdictName(decision.verdict)),
                                 .score = tested.at("candidate"), .opponent = tested.at("opponent"),
                                 .p_value = decision.p_value, .opponent_kind = tested.at("opponent_kind"),
                                 .opponent_version = opponent_version, .rows = decision.rows, .scores = scores_blob};
}

bool Orchestrator::Perform(Context& at, const JudgeCandidate&) {
  auto decision = Judge(at);
  if (!decision) {
    if (IsPassing(decision.error())) return Postpone(at.run(), decision.error());
    return FailRunStep(at, "gate", decision.error());
  }
  const std::int64_t run = at.run().id;
  Status judged = store_.Write([&](Db& db) -> Status {
    if (at.Find("gate")->state == StepState::kPending) RATCHET_TRY(registry::MoveStep(db, now_us_, run, "gate", StepState::kRunning));
    RATCHET_TRY(registry::RecordDecision(db, now_us_, at.run().model, at.run().candidate.value_or(0), *decision));
    RATCHET_TRY(registry::MoveStep(db, now_us_, run, "gate", StepState::kSucceeded));
    if (decision->verdict == "better") return {};
    registry::NoteOutcome(db, run, "rejected");
    return registry::MoveStep(db, now_us_, run, "release", StepState::kSkipped);
  });
  if (judged) return true;
  return IsPassing(judged.error()) ? Postpone(at.run(), judged.error()) : FailRunStep(at, "gate", judged.error());
}

bool Orchestrator::Perform(Context& at, const StartRelease&) {
  const Run& run = at.run();
  WakeAt(now_us_ + kWaitingTickUs);
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
  return IsPassing(begun.error()) ? Postpone(run, begun.error()) : FailRunStep(at, "release", begun.error());
}

bool Orchestrator::Perform(Context& at, const FollowRelease&) {
  const Run& run = at.run();
  auto release = store_.Read(
      [&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run.id); });
  if (!release) return Postpone(run, release.error());
  WakeAt(now_us_ + kWaitingTickUs);
  if (!*release || !(*release)->ended_at) return false;
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
                                           .hint = "`ratchet run retry " + std::to_string(run.id) + "`", .field = {}});
}

bool Orchestrator::WentLive(const Run& run) {
  auto release = store_.Read(
      [&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run.id); });
  return release && *release && (*release)->state == registry::ReleaseState::kDone;
}

}  // namespace ratchet::pipeline
