#include "pipeline/soundness.h"

#include <gmock/gmock.h>

#include "pipeline/judge.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Forty rows of two classes, of which the opponent gets half and the candidate all.
TestScores Scores() {
  TestScores scores;
  scores.form = TestScores::Form::kClasses;
  for (int row = 0; row < 40; ++row) {
    const std::int32_t target = row % 2;
    scores.target_class.push_back(target);
    scores.candidate_answers.predicted.push_back(target);
    scores.opponent_answers.predicted.push_back(1);
    for (auto* side : {&scores.candidate_answers, &scores.opponent_answers}) {
      side->target_probability.push_back(0.9);
      side->predicted_probability.push_back(0.9);
      side->square_sum.push_back(0.82);
      side->positive_probability.push_back(0.9);
    }
  }
  return scores;
}

Json Tested() {
  return {{"metric", "accuracy"}, {"evidence", "classes"}, {"classes", 2}, {"class_names", {"no", "yes"}}, {"opponent_kind", "live"},
          {"metrics", {{"non_finite_rows", 0}}},
          {"serving", {{"rows", 40}, {"rounds", 3}, {"p50_latency_us", 900}, {"p99_latency_us", 31200}, {"load_us", 5}, {"memory_bytes", 300 << 20},
                       {"memory_growth_bytes", 1 << 20}, {"bundle_bytes", 2000}, {"largest_difference", 1e-8}, {"inputs_differ", true}, {"took_ms", 7}}}};
}

Case CaseWith(const BudgetSpec& budgets, Json tested = Tested()) {
  TestSpec test;
  test.budgets = budgets;
  return {.tested = std::move(tested), .opponent_version = 1, .test = test, .gate = {}, .seed = 1, .epoch = {}};
}

TEST(Soundness, LetsACandidateWithinItsBudgetsPass) {
  const auto judged = JudgeCase(Scores(), CaseWith({.p50_latency_us = 900, .p99_latency_us = 50'000, .bundle_bytes = 2000, .memory_bytes = 1LL << 30}));
  ASSERT_TRUE(judged) << judged.error().Message();
  EXPECT_TRUE(judged->decision.promotes);
  EXPECT_THAT(judged->decision.reason, Not(HasSubstr("budget")));
  const Json& serving = judged->report["serving"];
  EXPECT_EQ(serving["p99_latency_us"], 31200);
  EXPECT_EQ(serving["largest_difference"], 1e-8);
  ASSERT_EQ(serving["budgets"].size(), 4u);
  EXPECT_EQ(serving["budgets"][1], (Json{{"name", "p99_latency"}, {"unit", "us"}, {"limit", 50'000}, {"measured", 31200}, {"holds", true}}));
}

TEST(Soundness, KeepsOutWhatBreaksABudgetAndSaysByHowMuch) {
  const auto judged = JudgeCase(Scores(), CaseWith({.p50_latency_us = 899, .p99_latency_us = 20'000, .bundle_bytes = 1999, .memory_bytes = 200 << 20}));
  ASSERT_TRUE(judged) << judged.error().Message();
  EXPECT_FALSE(judged->decision.promotes);
  EXPECT_EQ(judged->decision.verdict, gate::Verdict::kBetter);
  EXPECT_EQ(judged->report["promotes"], false);
  EXPECT_THAT(judged->report["reason"].get<std::string>(),
              AllOf(HasSubstr("the median of its latency is 900 us, and test.budgets.p50_latency allows 899 us."),
                    HasSubstr("the 99th percentile of its latency is 31.2 ms, and test.budgets.p99_latency allows 20 ms."),
                    HasSubstr("the size of its bundle is 1.953 KiB, and test.budgets.bundle_size allows"),
                    HasSubstr("the memory of the process that serves it is 300 MiB, and test.budgets.memory allows 200 MiB.")));
  for (const Json& budget : judged->report["serving"]["budgets"]) EXPECT_EQ(budget["holds"], false) << budget;
}

TEST(Soundness, KeepsOutWhatWasNotMeasuredWhereThereIsABudget) {
  for (const Json& serving : {Json(), Json("fast"), Json::object(), Json{{"p99_latency_us", "no number"}}, Json{{"p99_latency_us", -1}}}) {
    Json tested = Tested();
    tested["serving"] = serving;
    const auto judged = JudgeCase(Scores(), CaseWith({.p99_latency_us = 20'000}, tested));
    ASSERT_TRUE(judged) << serving;
    EXPECT_FALSE(judged->decision.promotes) << serving;
    EXPECT_THAT(judged->decision.reason, HasSubstr("test.budgets.p99_latency is set, and the test has not measured it."));
    EXPECT_EQ(judged->report["serving"]["budgets"][0]["measured"], nullptr);
  }
}

TEST(Soundness, AsksNothingOfATestOfBeforeItWasMeasured) {
  Json tested = Tested();
  tested.erase("serving");
  const auto judged = JudgeCase(Scores(), CaseWith({}, tested));
  ASSERT_TRUE(judged);
  EXPECT_TRUE(judged->decision.promotes);
  EXPECT_FALSE(judged->report.contains("serving"));
}

TEST(Soundness, KeepsOutACandidateWithAnswersThatAreNotFinite) {
  Json tested = Tested();
  tested["metrics"]["non_finite_rows"] = 1;
  const auto judged = JudgeCase(Scores(), CaseWith({}, tested));
  ASSERT_TRUE(judged);
  EXPECT_FALSE(judged->decision.promotes);
  EXPECT_THAT(judged->decision.reason, HasSubstr("It has no finite answer to 1 holdout row, so it is not released."));
}

TEST(Soundness, KeepsOutACandidateThatAnswersAllRowsAlike) {
  TestScores scores = Scores();
  scores.candidate_answers.predicted.assign(40, 1);
  for (int row = 0; row < 40; row += 2) scores.candidate_answers.target_probability[static_cast<size_t>(row)] = 0.1;
  scores.opponent_answers.predicted.assign(40, 0);
  for (int row = 1; row < 40; ++row) scores.target_class[static_cast<size_t>(row)] = 1;
  const auto judged = JudgeCase(scores, CaseWith({}));
  ASSERT_TRUE(judged) << judged.error().Message();
  EXPECT_EQ(judged->decision.verdict, gate::Verdict::kBetter);
  EXPECT_FALSE(judged->decision.promotes);
  EXPECT_THAT(judged->decision.reason, HasSubstr("gives every row the same answer"));

  Json alike = Tested();
  alike["serving"]["inputs_differ"] = false;
  EXPECT_TRUE(JudgeCase(scores, CaseWith({}, alike))->decision.promotes) << "all rows ask the same";
  scores.candidate_answers.positive_probability[7] = 0.8;
  EXPECT_TRUE(JudgeCase(scores, CaseWith({}))->decision.promotes);
}

TEST(Soundness, IsMadeAgainFromTheReportAlone) {
  const auto judged = JudgeCase(Scores(), CaseWith({.p99_latency_us = 20'001, .memory_bytes = 77}));
  ASSERT_TRUE(judged);
  const auto kept = CaseOf(Json::parse(judged->report.dump()));
  ASSERT_TRUE(kept) << kept.error().Message();
  EXPECT_EQ(JudgeCase(Scores(), *kept)->report.dump(), judged->report.dump());
}

}  // namespace
}  // namespace ratchet::pipeline
