// Kept decisions made again, those of earlier ways of computing too.
#include "pipeline/explain.h"

#include <gmock/gmock.h>

#include <random>

namespace ratchet::pipeline {
namespace {

using gate::Method;
using registry::Json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TestScores::Column Regions(size_t rows) {
  TestScores::Column column{.name = "region", .margin = 0, .categories = {"east", "north", "west"}, .code = {}, .number = {}};
  for (size_t row = 0; row < rows; ++row) column.code.push_back(static_cast<std::uint32_t>(row * 7 % 3));
  return column;
}

// Predictions whose errors have heavy tails, where the resampled interval and the test's are not alike.
TestScores Numbers() {
  std::mt19937_64 chance(11);
  auto spread = [&] { return static_cast<double>(chance() % 1000) / 1000; };
  TestScores scores;
  scores.form = TestScores::Form::kNumbers;
  for (int row = 0; row < 240; ++row) {
    scores.target_number.push_back(10 + spread());
    scores.candidate_answers.prediction.push_back(10 + spread());
    scores.opponent_answers.prediction.push_back(9.6 + spread() + (row % 40 == 0 ? 30 : 0));
  }
  scores.columns = {Regions(240)};
  return scores;
}

// Three classes, of which the last is rare, and regions of few rows, which the candidate does worse in.
TestScores Classes() {
  std::mt19937_64 chance(12);
  TestScores scores;
  scores.form = TestScores::Form::kClasses;
  auto answer = [&](TestScores::Answers& side, std::int32_t target, int right_of_ten) {
    const bool right = static_cast<int>(chance() % 10) < right_of_ten;
    side.predicted.push_back(right ? target : (target + 1) % 3);
    side.target_probability.push_back(right ? 0.8 : 0.1);
    side.predicted_probability.push_back(0.8);
    side.square_sum.push_back(0.66);
  };
  for (int row = 0; row < 600; ++row) {
    const std::int32_t target = row % 60 == 0 ? 2 : row % 2;
    scores.target_class.push_back(target);
    answer(scores.candidate_answers, target, target == 2 ? 10 : 8);
    answer(scores.opponent_answers, target, target == 2 ? 3 : 7);
  }
  scores.columns = {Regions(600)};
  return scores;
}

Json Tested(const TestScores& scores) {
  if (scores.form == TestScores::Form::kNumbers) return {{"metric", "mae"}, {"evidence", "numbers"}, {"opponent_kind", "live"}};
  return {{"metric", "balanced_accuracy"}, {"evidence", "classes"}, {"classes", 3}, {"class_names", {"a", "b", "c"}}, {"opponent_kind", "live"}};
}

// As the registry has it: through text.
Json Keep(const TestScores& scores, Method method) {
  const auto judged = JudgeCase(scores, {.tested = Tested(scores), .opponent_version = 1, .test = {.slices = {{.column = "region"}}, .min_rows = 20},
                                         .gate = {}, .seed = 3, .epoch = {}, .decided_at = 7, .method = method});
  EXPECT_TRUE(judged) << judged.error().Message();
  return judged ? Json::parse(judged->report.dump()) : Json();
}

Json WithoutMethod(Json report) {
  report["basis"].erase("method");
  return report;
}

Explained Explain(const Json& report, const TestScores& scores) {
  auto explained = ExplainDecision(report, [&](const TestSpec&) -> Result<TestScores> { return scores; });
  EXPECT_TRUE(explained) << explained.error().Message();
  return explained.value_or(Explained{});
}

TEST(Explain, MakesADecisionAgainByTheMethodThatItNames) {
  for (const TestScores& scores : {Numbers(), Classes()})
    for (const Method method : {Method::kFirst, Method::kSecond}) {
      SCOPED_TRACE(static_cast<int>(method));
      const Explained made = Explain(Keep(scores, method), scores);
      EXPECT_THAT(made.differences, ElementsAre());
      EXPECT_TRUE(made.same_decision);
      EXPECT_EQ(made.method, method);
      EXPECT_TRUE(made.method_named);
    }
}

TEST(Explain, TheMethodsAreNotTheSame) {
  const Json first = Keep(Numbers(), Method::kFirst), second = Keep(Numbers(), Method::kSecond);
  EXPECT_NE(first["interval"], second["interval"]);
  EXPECT_EQ(first["p_value"], second["p_value"]) << "of a mean over rows only what is shown has changed";
  const Json rare = Keep(Classes(), Method::kFirst), spread = Keep(Classes(), Method::kSecond);
  EXPECT_LT(rare["p_value"], spread["p_value"]) << "a rare class was taken for a sure one";
}

TEST(Explain, FindsTheMethodOfADecisionOfBeforeMethodsHadNames) {
  for (const TestScores& scores : {Numbers(), Classes()})
    for (const Method method : {Method::kFirst, Method::kSecond}) {
      SCOPED_TRACE(static_cast<int>(method));
      const Explained made = Explain(WithoutMethod(Keep(scores, method)), scores);
      EXPECT_THAT(made.differences, ElementsAre());
      EXPECT_EQ(made.method, method);
      EXPECT_FALSE(made.method_named);
    }
}

TEST(Explain, TellsASentenceThatReadsOtherwiseFromADecisionThatIsOther) {
  Json report = Keep(Numbers(), Method::kSecond);
  report["reason"] = "As it was put in other days.";
  Explained made = Explain(report, Numbers());
  EXPECT_THAT(made.differences, ElementsAre("reason"));
  EXPECT_TRUE(made.same_decision);
  report["p_value"] = 0.25;
  made = Explain(WithoutMethod(report), Numbers());
  EXPECT_THAT(made.differences, Contains("p_value"));
  EXPECT_FALSE(made.same_decision);
  EXPECT_EQ(made.method, gate::kNewestMethod) << "none gives it";
}

TEST(Explain, TakesTheMethodThatGivesTheDecisionWhereNoneGivesEverySentence) {
  Json report = WithoutMethod(Keep(Classes(), Method::kFirst));
  report["reason"] = "As it was put in other days.";
  const Explained made = Explain(report, Classes());
  EXPECT_EQ(made.method, Method::kFirst);
  EXPECT_TRUE(made.same_decision);
  EXPECT_THAT(made.differences, ElementsAre("reason"));
}

TEST(Explain, RefusesAMethodOfALaterRatchet) {
  Json report = Keep(Numbers(), Method::kSecond);
  report["basis"]["method"] = 99;
  const auto made = ExplainDecision(report, [](const TestSpec&) -> Result<TestScores> { return Numbers(); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(made.error().Message(), HasSubstr("method 99"));
}

}  // namespace
}  // namespace ratchet::pipeline
