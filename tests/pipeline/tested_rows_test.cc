#include "pipeline/tested_rows.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "lake/pack.h"
#include "pipeline/judge.h"

namespace ratchet::pipeline {
namespace {

using lake::ColumnType;
using registry::Json;
using testing::ElementsAre;
using testing::HasSubstr;

// Two classes; the candidate ranks all pairs right, the opponent none, and both answer "yes" for every row.
TestScores TwoClasses() {
  TestScores scores;
  scores.form = TestScores::Form::kClasses;
  scores.target_class = {0, 1, 0, 1};
  scores.candidate_answers = {.predicted = {1, 1, 1, 1}, .target_probability = {0.4, 0.9, 0.3, 0.8},
                              .predicted_probability = {0.6, 0.9, 0.7, 0.8}, .square_sum = {0.52, 0.82, 0.58, 0.68},
                              .positive_probability = {0.6, 0.9, 0.7, 0.8}, .prediction = {}};
  scores.opponent_answers = {.predicted = {1, 1, 1, 1}, .target_probability = {0.1, 0.6, 0.2, 0.7},
                             .predicted_probability = {0.9, 0.6, 0.8, 0.7}, .square_sum = {0.82, 0.52, 0.68, 0.58},
                             .positive_probability = {0.9, 0.6, 0.8, 0.7}, .prediction = {}};
  return scores;
}

Json ResultOf(const char* metric) {
  return {{"metric", metric}, {"evidence", "classes"}, {"classes", 2}, {"class_names", {"no", "yes"}}, {"opponent_kind", "live"}};
}

TEST(TestedRows, ComparesByTheMetricThatTheTestWasOf) {
  const TestScores scores = TwoClasses();
  const std::tuple<const char*, double, double> kFigures[] = {
      {"accuracy", 0.5, 0.5}, {"roc_auc", 1, 0}, {"macro_f1", 1 / 3.0, 1 / 3.0}, {"brier", 0.225, 0.425}};
  for (const auto& [metric, candidate, opponent] : kFigures) {
    const auto rows = TestedRows::Of(scores, ResultOf(metric));
    ASSERT_TRUE(rows) << metric;
    const auto comparison = rows->Compare();
    ASSERT_TRUE(comparison) << metric << comparison.error().Message();
    EXPECT_NEAR(comparison->candidate, candidate, 1e-12) << metric;
    EXPECT_NEAR(comparison->opponent, opponent, 1e-12) << metric;
  }
}

TEST(TestedRows, ComputesAnAreaUnderACurveAnewForEachSlice) {
  TestScores scores = TwoClasses();
  scores.opponent_answers.positive_probability = {0.5, 0.6, 0.8, 0.7};
  const auto rows = TestedRows::Of(scores, ResultOf("roc_auc"));
  const auto whole = rows->Compare();
  ASSERT_TRUE(whole);
  EXPECT_NEAR(whole->opponent, 0.5, 1e-12);
  const std::vector<std::uint32_t> first{0, 1}, last{2, 3}, one_class{0, 2};
  EXPECT_NEAR(rows->Slice("first", 0, *whole, {}, first).comparison.opponent, 1, 1e-12);
  EXPECT_NEAR(rows->Slice("last", 0, *whole, {}, last).comparison.opponent, 0, 1e-12);
  const auto untold = gate::JudgeSlices({{rows->Slice("one", 0, *whole, {}, one_class)}}, {.min_rows = 2, .shown = {.most_draws = 0}});
  ASSERT_TRUE(untold) << untold.error().Message();
  EXPECT_EQ(untold->slices[0].state, gate::SliceState::kCannotTell);
  EXPECT_EQ(untold->slices[0].rows, 2);
}

TEST(TestedRows, ReportsWhatBothSidesGetWrong) {
  const TestScores scores = TwoClasses();
  const auto report = TestedRows::Of(scores, ResultOf("accuracy"))->ClassReport();
  ASSERT_TRUE(report);
  EXPECT_EQ((*report)["classes"], (Json{"no", "yes"}));
  const Json& candidate = (*report)["candidate"];
  EXPECT_EQ(candidate["confusion"], (Json{{0, 2}, {0, 2}}));
  EXPECT_EQ(candidate["per_class"][1], (Json{{"support", 2}, {"predicted", 4}, {"precision", 0.5}, {"recall", 1}, {"f1", 2.0 / 3}}));
  EXPECT_EQ(candidate["per_class"][0]["precision"], nullptr);
  EXPECT_EQ(candidate["reliability"].size(), 15u);
  // Each row is a bin of its own: two are right.
  EXPECT_NEAR(candidate["expected_calibration_error"], (0.6 + 0.1 + 0.7 + 0.2) / 4, 1e-9);
}

TEST(TestedRows, ReportsNoClassesOfNumbersAndOfTooMany) {
  TestScores numbers;
  numbers.form = TestScores::Form::kNumbers;
  numbers.target_number = {1, 3};
  numbers.candidate_answers.prediction = {1, 2};
  numbers.opponent_answers.prediction = {2, 1};
  const auto rows = TestedRows::Of(numbers, {{"metric", "wape"}, {"evidence", "numbers"}, {"opponent_kind", "mean"}});
  ASSERT_TRUE(rows);
  EXPECT_NEAR(rows->Compare()->candidate, 0.25, 1e-12);
  EXPECT_NEAR(rows->Compare()->opponent, 0.75, 1e-12);
  EXPECT_FALSE(rows->higher_is_better());
  EXPECT_EQ(*rows->ClassReport(), nullptr);
  const TestScores scores = TwoClasses();
  Json many = ResultOf("accuracy");
  many.erase("class_names");
  EXPECT_EQ(*TestedRows::Of(scores, many)->ClassReport(), nullptr);
}

TEST(TestedRows, RefusesScoresOfAnotherKindThanTheResult) {
  const TestScores scores = TwoClasses();
  EXPECT_EQ(TestedRows::Of(scores, {{"metric", "mae"}, {"evidence", "numbers"}}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(TestedRows::Of(scores, {{"metric", "accuracy"}, {"per_row", "correct"}}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(TestedRows::Of(scores, ResultOf("ndcg@5")).error().code, ErrorCode::kNotFound);
}

TEST(TestedRows, SaysWhichClassesAnAreaUnderACurveLacks) {
  TestScores scores = TwoClasses();
  scores.target_class = {1, 1, 1, 1};
  const auto compared = TestedRows::Of(scores, ResultOf("roc_auc"))->Compare();
  ASSERT_FALSE(compared);
  EXPECT_EQ(compared.error().code, ErrorCode::kInvalid);
}

// A decision of before there was evidence is made again from its two columns.
TEST(TestedRows, ReadsTheScoresOfOlderTests) {
  TestScores scores;
  scores.candidate = {1, 1, 0, 1};
  scores.opponent = {1, 0, 0, 0};
  const Json tested = {{"metric", "accuracy"}, {"per_row", "correct"}, {"higher_is_better", true}, {"candidate", 0.75},
                       {"opponent", 0.25}, {"opponent_kind", "live"}};
  const auto judged = JudgeCase(scores, {.tested = tested, .opponent_version = 1, .test = {}, .gate = {}, .seed = 1, .epoch = {}});
  ASSERT_TRUE(judged) << judged.error().Message();
  EXPECT_EQ(judged->score, 0.75);
  EXPECT_FALSE(judged->report.contains("class_report"));
}

class EvidencePack : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(testing::TempDir()) + "ratchet-evidence-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Write(const lake::Schema& schema, const std::vector<lake::Row>& rows) {
    const std::string path = folder_ + "/scores.pack";
    auto writer = lake::PackWriter::Create(path, schema).value();
    for (const lake::Row& row : rows) EXPECT_TRUE(writer->Add(row));
    EXPECT_TRUE(writer->Finish());
    return path;
  }
  std::string folder_;
};

TEST_F(EvidencePack, OfNumbersIsReadBesideItsSlices) {
  const std::string path = Write({{{"test:target", ColumnType::kReal, {}}, {"candidate:prediction", ColumnType::kReal, {}},
                                   {"opponent:prediction", ColumnType::kReal, {}}, {"town", ColumnType::kText, {}}}},
                                 {{1.0, 2.0, 3.0, std::string("Bonn")}, {4.0, 5.0, 6.0, std::string("Trier")}});
  const auto scores = ReadTestScores(path, {.slices = {{.column = "town"}}});
  ASSERT_TRUE(scores) << scores.error().Message();
  EXPECT_EQ(scores->form, TestScores::Form::kNumbers);
  EXPECT_THAT(scores->target_number, ElementsAre(1, 4));
  EXPECT_THAT(scores->candidate_answers.prediction, ElementsAre(2, 5));
  EXPECT_THAT(scores->opponent_answers.prediction, ElementsAre(3, 6));
  EXPECT_THAT(scores->columns.at(0).code, ElementsAre(0, 1));
}

TEST_F(EvidencePack, ThatLacksAColumnIsCorrupt) {
  const std::string path = Write({{{"test:target", ColumnType::kInteger, {}}, {"candidate:predicted", ColumnType::kInteger, {}}}}, {{std::int64_t{1}, std::int64_t{1}}});
  const auto scores = ReadTestScores(path, {});
  ASSERT_FALSE(scores);
  EXPECT_EQ(scores.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(scores.error().cause, HasSubstr("candidate:p_target"));
}

}  // namespace
}  // namespace ratchet::pipeline
