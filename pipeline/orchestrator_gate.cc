// The verdict and what follows from it. Declared in pipeline/orchestrator.h.

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "gate/alpha_ledger.h"
#include "gate/auto_slices.h"
#include "gate/decision.h"
#include "gate/slices.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/test_scores.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Run;
using registry::Step;
using registry::StepState;

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

gate::Rule RuleOf(const GateSpec& spec) {
  return {.better_by = spec.better_by, .confidence = spec.confidence,
          .kind = spec.rule == "not_worse" ? gate::RuleKind::kNotWorse : gate::RuleKind::kBetter, .margin = spec.margin};
}

// The groups of the columns that the spec names: these may keep a candidate out.
Result<gate::SliceReport> JudgeSlicesOf(const TestScores& scores, const gate::Comparison& comparison,
                                        const gate::Sampling& sampling, const Spec& spec) {
  std::vector<gate::SliceInput> inputs;
  for (const TestScores::Column& column : scores.columns)
    for (const gate::RowSlice& slice : gate::CommonSlices(column.Feature()))
      inputs.push_back(gate::PickSlice(slice.name, column.margin, comparison, sampling, slice.rows));
  return gate::JudgeSlices(inputs, {.min_rows = spec.test.min_rows, .confidence = spec.gate.confidence,
                                    .shown = {.seed = spec.train.seed}});
}

// Where the candidate does worst, found by a tree over those columns: shown, and keeps nothing out.
Result<gate::SliceReport> FindSegments(const TestScores& scores, const gate::Comparison& comparison,
                                       const gate::Sampling& sampling, const Spec& spec) {
  std::vector<gate::Feature> features;
  for (const TestScores::Column& column : scores.columns) features.push_back(column.Feature());
  std::vector<gate::SliceInput> inputs;
  if (!features.empty())
    for (const gate::RowSlice& segment :
         gate::WorstSegments(comparison.gain, sampling, features, {.min_rows = spec.test.min_rows, .seed = spec.train.seed}))
      inputs.push_back(gate::PickSlice(segment.name, 0, comparison, sampling, segment.rows));
  return gate::JudgeSlices(inputs, {.min_rows = spec.test.min_rows, .confidence = spec.gate.confidence,
                                    .shown = {.seed = spec.train.seed}});
}

Json SlicesJson(const gate::SliceReport& report) {
  Json list = Json::array();
  for (const gate::SliceOutcome& slice : report.slices)
    list.push_back({{"name", slice.name}, {"state", gate::SliceStateName(slice.state)}, {"rows", slice.rows}, {"units", slice.units},
                    {"wins", slice.wins}, {"losses", slice.losses}, {"margin", slice.margin}, {"difference", slice.difference},
                    {"interval", {NumberOrNull(slice.interval_low), NumberOrNull(slice.interval_high)}}, {"test", slice.test},
                    {"p_worse", slice.p_worse}, {"p_adjusted", slice.p_adjusted},
                    {"detectable_loss", NumberOrNull(slice.detectable_loss)}});
  return list;
}

// What the look has cost and what is left, for the report.
Json LookJson(const registry::HoldoutEpoch& epoch, const registry::HoldoutLook& look) {
  const auto budget = gate::BudgetAfter(look.budget, look.look);
  return {{"epoch", epoch.number}, {"look", look.look}, {"level", look.alpha}, {"spent", budget.spent}, {"left", budget.left},
          {"next_level", budget.next_level}, {"rows", epoch.rows}, {"after_push", epoch.after_push},
          {"until_push", epoch.until_push}};
}

// The decision report of docs/formats.md.
Json MakeReport(const gate::Decision& decision, const Json& tested, std::optional<std::int64_t> opponent_version,
                std::int64_t now_us) {
  return {{"verdict", gate::VerdictName(decision.verdict)}, {"promotes", decision.promotes}, {"reason", decision.reason},
          {"metric", tested.at("metric")}, {"higher_is_better", tested.value("higher_is_better", true)},
          {"candidate", tested.at("candidate")}, {"opponent", tested.at("opponent")},
          {"opponent_kind", tested.at("opponent_kind")},
          {"opponent_version", opponent_version ? Json(*opponent_version) : Json()},
          {"difference", decision.difference},
          {"interval", {NumberOrNull(decision.interval_low), NumberOrNull(decision.interval_high)}},
          {"confidence", decision.confidence}, {"alpha", decision.alpha}, {"p_value", decision.p_value},
          {"test", decision.test}, {"rows", decision.rows}, {"wins", decision.wins}, {"losses", decision.losses},
          {"rule", decision.rule == gate::RuleKind::kNotWorse ? "not_worse" : "better"}, {"better_by", decision.better_by},
          {"margin", decision.margin}, {"interval_method", decision.interval_method}, {"units", decision.units}, {"forced", false},
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
  RATCHET_ASSIGN(const TestScores scores, ReadTestScores(blobs_.PathOf(scores_blob), at.spec->test));
  RATCHET_ASSIGN(gate::PerRow per_row, gate::PerRowFromName(tested.value("per_row", "")));
  RATCHET_ASSIGN(const auto comparison,
                 gate::CompareScores({.per_row = per_row, .candidate = scores.candidate, .opponent = scores.opponent}));
  const gate::Rule rule = RuleOf(at.spec->gate);
  RATCHET_ASSIGN(const auto epoch, EpochOf(run, *test));
  const gate::Look look = epoch ? gate::LookUnder(rule, epoch->looks + 1) : gate::Look{};
  const gate::Sampling sampling{.group = scores.group, .weight = {}, .time = {}};
  RATCHET_ASSIGN(gate::Decision decision, gate::Decide(comparison, sampling, rule, look, {.seed = at.spec->train.seed}));
  RATCHET_ASSIGN(const gate::SliceReport slices, JudgeSlicesOf(scores, comparison, sampling, *at.spec));
  RATCHET_ASSIGN(const gate::SliceReport segments, FindSegments(scores, comparison, sampling, *at.spec));
  decision = gate::WithSlices(std::move(decision), slices);
  registry::DecisionInput input{.report = MakeReport(decision, tested, opponent_version, now_us_),
                                .verdict = std::string(gate::VerdictName(decision.verdict)),
                                .score = tested.at("candidate"), .opponent = tested.at("opponent"),
                                .p_value = decision.p_value, .opponent_kind = tested.at("opponent_kind"),
                                .opponent_version = opponent_version, .rows = decision.rows, .scores = scores_blob,
                                .promotes = decision.promotes};
  input.report["slices"] = SlicesJson(slices);
  input.report["segments"] = SlicesJson(segments);
  input.report["group_by"] = at.spec->test.group_by ? Json(*at.spec->test.group_by) : Json();
  if (!epoch) return input;
  input.look = {.epoch = epoch->number, .look = look.number, .alpha = decision.alpha, .budget = 1 - rule.confidence};
  input.report["holdout"] = LookJson(*epoch, *input.look);
  return input;
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
