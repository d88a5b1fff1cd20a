#include "pipeline/judge.h"

#include <cmath>

#include "gate/alpha_ledger.h"
#include "gate/auto_slices.h"
#include "gate/slices.h"
#include "pipeline/soundness.h"
#include "pipeline/tested_rows.h"
#include "pipeline/unscorable.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;

Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

gate::Rule RuleOf(const GateSpec& spec, gate::Method method) {
  return {.better_by = spec.better_by, .confidence = spec.confidence,
          .kind = spec.rule == "not_worse" ? gate::RuleKind::kNotWorse : gate::RuleKind::kBetter, .margin = spec.margin,
          .method = method};
}

// The groups of the columns that the spec names: these may keep a candidate out.
Result<gate::SliceReport> JudgeSlicesOf(const TestScores& scores, const TestedRows& rows, const gate::Comparison& comparison,
                                        const gate::Sampling& sampling, const Case& at) {
  std::vector<gate::SliceInput> inputs;
  for (const TestScores::Column& column : scores.columns)
    for (const gate::RowSlice& slice : gate::CommonSlices(column.Feature()))
      inputs.push_back(rows.Slice(slice.name, column.margin, comparison, sampling, slice.rows));
  return gate::JudgeSlices(inputs, {.min_rows = at.test.min_rows, .confidence = at.gate.confidence,
                                    .shown = {.seed = at.seed}, .method = at.method});
}

// Where the candidate does worst, found by a tree over those columns: shown, and keeps nothing out.
Result<gate::SliceReport> FindSegments(const TestScores& scores, const TestedRows& rows, const gate::Comparison& comparison,
                                       const gate::Sampling& sampling, const Case& at) {
  std::vector<gate::Feature> features;
  for (const TestScores::Column& column : scores.columns) features.push_back(column.Feature());
  std::vector<gate::SliceInput> inputs;
  if (!features.empty())
    for (const gate::RowSlice& segment :
         gate::WorstSegments(comparison.gain, sampling, features, {.min_rows = at.test.min_rows, .seed = at.seed}))
      inputs.push_back(rows.Slice(segment.name, 0, comparison, sampling, segment.rows));
  return gate::JudgeSlices(inputs, {.min_rows = at.test.min_rows, .confidence = at.gate.confidence,
                                    .shown = {.seed = at.seed}, .method = at.method});
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
Json MakeReport(const gate::Decision& decision, const Json& tested, bool higher_is_better, std::optional<std::int64_t> opponent_version,
                std::int64_t now_us) {
  return {{"verdict", gate::VerdictName(decision.verdict)}, {"promotes", decision.promotes}, {"reason", decision.reason},
          {"metric", tested.at("metric")}, {"higher_is_better", higher_is_better},
          {"candidate", tested.value("candidate", decision.candidate)}, {"opponent", tested.value("opponent", decision.opponent)},
          {"opponent_kind", tested.at("opponent_kind")},
          {"opponent_version", opponent_version ? Json(*opponent_version) : Json()},
          {"difference", decision.difference},
          {"interval", {NumberOrNull(decision.interval_low), NumberOrNull(decision.interval_high)}},
          {"lower_bound", NumberOrNull(decision.lower_bound)},
          {"confidence", decision.confidence}, {"alpha", decision.alpha}, {"p_value", decision.p_value},
          {"test", decision.test}, {"rows", decision.rows}, {"wins", decision.wins}, {"losses", decision.losses},
          {"rule", decision.rule == gate::RuleKind::kNotWorse ? "not_worse" : "better"}, {"better_by", decision.better_by},
          {"margin", decision.margin}, {"interval_method", decision.interval_method}, {"units", decision.units}, {"forced", false},
          {"rows_needed", decision.rows_needed ? Json(*decision.rows_needed) : Json()}, {"decided_at", now_us}};
}

}  // namespace

// What CaseOf needs beside the rest of the report.
void AddBasis(const Case& at, Json& report) {
  report["basis"] = {{"tested", at.tested}, {"test", TestToJson(at.test)}, {"gate", GateToJson(at.gate)}, {"seed", at.seed},
                     {"method", static_cast<std::int64_t>(at.method)}};
  if (at.route_epoch) report["route_epoch"] = *at.route_epoch;
}

Result<Judged> JudgeCase(const TestScores& scores, const Case& at) {
  RATCHET_ASSIGN(const TestedRows rows, TestedRows::Of(scores, at.tested, at.method));
  RATCHET_ASSIGN(const auto comparison, rows.Compare());
  const gate::Rule rule = RuleOf(at.gate, at.method);
  const gate::Look look = at.epoch ? gate::LookUnder(rule, at.epoch->looks + 1) : gate::Look{};
  const gate::Sampling sampling{.group = scores.group, .weight = {}, .time = {}};
  Judged judged;
  RATCHET_ASSIGN(judged.decision, gate::Decide(comparison, sampling, rule, look, {.seed = at.seed}));
  RATCHET_ASSIGN(const gate::SliceReport slices, JudgeSlicesOf(scores, rows, comparison, sampling, at));
  RATCHET_ASSIGN(const gate::SliceReport segments, FindSegments(scores, rows, comparison, sampling, at));
  judged.decision = gate::WithSlices(std::move(judged.decision), slices);
  judged.decision = WithSoundness(std::move(judged.decision), scores, at.tested, at.test.budgets);
  if (at.unscorable.is_object()) judged.decision.reason += ResetSentence(at.unscorable);
  judged.report = MakeReport(judged.decision, at.tested, rows.higher_is_better(), at.opponent_version, at.decided_at);
  judged.score = judged.report["candidate"];
  judged.opponent = judged.report["opponent"];
  judged.report["slices"] = SlicesJson(slices);
  judged.report["segments"] = SlicesJson(segments);
  RATCHET_ASSIGN(Json class_report, rows.ClassReport());
  if (!class_report.is_null()) judged.report["class_report"] = std::move(class_report);
  if (Json serving = ServingReport(at.tested, at.test.budgets); !serving.is_null()) judged.report["serving"] = std::move(serving);
  judged.report["group_by"] = at.test.group_by ? Json(*at.test.group_by) : Json();
  if (at.tested.contains("leakage")) judged.report["leakage"] = at.tested["leakage"];
  if (at.unscorable.is_object()) judged.report[kLiveUnscorable] = at.unscorable;
  AddBasis(at, judged.report);
  if (!at.epoch) return judged;
  judged.look = {.epoch = at.epoch->number, .look = look.number, .alpha = judged.decision.alpha, .budget = 1 - rule.confidence};
  judged.report["holdout"] = LookJson(*at.epoch, *judged.look);
  return judged;
}

Result<Case> CaseOf(const Json& report) {
  if (!report.contains("basis"))
    return Fail(ErrorCode::kNotFound, "make the decision again", "", "its report is of before what it rests on was kept");
  const Json& basis = report["basis"];
  const std::int64_t number = basis.value("method", static_cast<std::int64_t>(gate::kNewestMethod));
  const auto method = gate::MethodOf(number);
  if (!method)
    return Fail(ErrorCode::kNotFound, "make the decision again", "", "it was made by method " + std::to_string(number) + ", which is not known here",
                "Ask the Ratchet that made it, or a newer one");
  // The two sections as the spec's own grammar reads them.
  RATCHET_ASSIGN(const Spec spec, SpecFromJson({{"model", "m"}, {"data", {{"dataset", "d"}, {"target", "t"}}},
                                                {"train", {{"command", {"c"}}}}, {"test", basis.at("test")}, {"gate", basis.at("gate")}}));
  Case at{.tested = basis.at("tested"), .opponent_version = {}, .test = spec.test, .gate = spec.gate, .seed = basis.at("seed"),
          .epoch = {}, .decided_at = report.at("decided_at"), .unscorable = report.value(kLiveUnscorable, Json()), .method = *method};
  if (const Json epoch = report.value("route_epoch", Json()); epoch.is_number()) at.route_epoch = epoch;
  if (const Json opponent = report.value("opponent_version", Json()); opponent.is_number()) at.opponent_version = opponent;
  if (!report.contains("holdout")) return at;
  const Json& held = report["holdout"];
  at.epoch = registry::HoldoutEpoch{.number = held.at("epoch"), .after_push = held.at("after_push"), .until_push = held.at("until_push"),
                                    .rows = held.at("rows"), .looks = held.at("look").get<std::int64_t>() - 1};
  return at;
}

}  // namespace ratchet::pipeline
