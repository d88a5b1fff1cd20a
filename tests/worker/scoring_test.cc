#include "worker/scoring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ratchet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

ClassList ListOf(const std::vector<lake::Value>& values) {
  ClassList list;
  for (const auto& value : values) list.Add(value);
  list.Close();
  return list;
}

TEST(CheckMetric, TakesThoseOfTheTaskOnly) {
  for (const char* name : {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "brier", "roc_auc", "pr_auc"}) {
    EXPECT_TRUE(CheckMetric(name, registry::Task::kClassification)) << name;
    EXPECT_FALSE(CheckMetric(name, registry::Task::kRegression)) << name;
  }
  for (const char* name : {"mae", "rmse", "wape", "mape", "smape"}) {
    EXPECT_TRUE(CheckMetric(name, registry::Task::kRegression)) << name;
    EXPECT_FALSE(CheckMetric(name, registry::Task::kClassification)) << name;
  }
  const auto other = CheckMetric("ndcg@10", registry::Task::kRegression);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().hint, HasSubstr("smape"));
}

TEST(ClassList, IsInAnOrderThatDependsOnNoModel) {
  EXPECT_THAT(ListOf({std::string("yes"), std::string("no"), std::string("yes")}).Names(), ElementsAre("no", "yes"));
  const auto list = ListOf({std::string("b"), 2.5, std::int64_t{10}, std::int64_t{-1}});
  EXPECT_THAT(list.Names(), ElementsAre("-1", "10", "2.5", "b"));
  EXPECT_EQ(list.Find(2.5), 2);
  EXPECT_EQ(list.Find(std::string("c")), -1);
}

TEST(ClassList, CutsLongNamesWhereACharacterBegins) {
  const auto names = ListOf({std::string(79, 'a') + "ß"}).Names();
  EXPECT_EQ(names.at(0), std::string(79, 'a'));
}

TEST(ClassOf, TakesWholeRealsForIntegers) {
  const lake::Column column{"t", lake::ColumnType::kReal, {}};
  const lake::ColumnBatch values{.missing = {0, 0, 1}, .reals = {3.0, 3.5, 0.0}};
  EXPECT_EQ(ClassOf(column, values, 0), lake::Value(std::int64_t{3}));
  EXPECT_EQ(ClassOf(column, values, 1), lake::Value(3.5));
  EXPECT_EQ(ClassOf(column, values, 2), lake::Value(std::monostate{}));
}

TEST(CheckTarget, RefusesAColumnThatCannotHoldTheClasses) {
  const registry::Classes texts = std::vector<std::string>{"a"}, integers = std::vector<std::int64_t>{1};
  EXPECT_TRUE(CheckTarget(texts, {"t", lake::ColumnType::kText, {}}));
  EXPECT_TRUE(CheckTarget(integers, {"t", lake::ColumnType::kReal, {}}));
  EXPECT_FALSE(CheckTarget(texts, {"t", lake::ColumnType::kInteger, {}}));
  EXPECT_FALSE(CheckTarget(integers, {"t", lake::ColumnType::kText, {}}));
  EXPECT_FALSE(CheckTarget({}, {"t", lake::ColumnType::kText, {}}));
}

TEST(AddClassAnswers, MapsTheModelsClassesToTheCommonOnes) {
  const auto list = ListOf({std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, std::int64_t{9}});
  const auto map = MapClasses({std::int64_t{3}, std::int64_t{1}}, list);
  EXPECT_THAT(map.common, ElementsAre(2, 0));
  EXPECT_THAT(map.own, ElementsAre(1, -1, 0, -1));
  Answers answers;
  const std::vector<double> probabilities{0.75, 0.25, 0.25, 0.75, 0.5, 0.5, 0.1, 0.9};
  AddClassAnswers(probabilities, map, std::vector<std::int32_t>{2, 3, 0, -1}, answers);
  EXPECT_THAT(answers.predicted, ElementsAre(2, 0, 2));  // of likeliest classes the model's first
  EXPECT_THAT(answers.target_probability, ElementsAre(0.75, 0, 0.5));
  EXPECT_THAT(answers.predicted_probability, ElementsAre(0.75, 0.75, 0.5));
  EXPECT_THAT(answers.square_sum, ElementsAre(0.625, 0.625, 0.5));
  EXPECT_TRUE(answers.positive_probability.empty());
  EXPECT_EQ(answers.non_finite_rows, 0);
}

// A model that learned one class only, against a list of two.
TEST(AddClassAnswers, GivesAPositiveClassThatTheModelDoesNotKnowNoProbability) {
  const auto list = ListOf({std::string("no"), std::string("yes")});
  Answers no, yes;
  AddClassAnswers(std::vector<double>{1}, MapClasses({std::string("no")}, list), std::vector<std::int32_t>{1}, no);
  AddClassAnswers(std::vector<double>{1}, MapClasses({std::string("yes")}, list), std::vector<std::int32_t>{1}, yes);
  EXPECT_THAT(no.positive_probability, ElementsAre(0));
  EXPECT_THAT(yes.positive_probability, ElementsAre(1));
}

TEST(AddClassAnswers, HoldsAnAnswerThatIsNotFiniteForCertainAndWrong) {
  const auto list = ListOf({std::int64_t{0}, std::int64_t{1}});
  Answers answers;
  const std::vector<double> probabilities{kNan, 0.5, 0.5, kInfinity, 0.25, 0.75};
  AddClassAnswers(probabilities, MapClasses({std::int64_t{0}, std::int64_t{1}}, list), std::vector<std::int32_t>{0, 1, 1}, answers);
  EXPECT_EQ(answers.non_finite_rows, 2);
  EXPECT_THAT(answers.predicted, ElementsAre(1, 0, 1));
  EXPECT_THAT(answers.target_probability, ElementsAre(0, 0, 0.75));
  EXPECT_THAT(answers.predicted_probability, ElementsAre(1, 1, 0.75));
  EXPECT_THAT(answers.square_sum, ElementsAre(1, 1, 0.625));
  EXPECT_THAT(answers.positive_probability, ElementsAre(1, 0, 0.75));
}

TEST(AddClassAnswers, BoundsWhatIsNoProbabilityButLetsItRank) {
  const auto list = ListOf({std::int64_t{0}, std::int64_t{1}});
  Answers answers;
  AddClassAnswers(std::vector<double>{-3, 4}, MapClasses({std::int64_t{0}, std::int64_t{1}}, list), std::vector<std::int32_t>{1}, answers);
  EXPECT_THAT(answers.target_probability, ElementsAre(1));
  EXPECT_THAT(answers.square_sum, ElementsAre(1));
  EXPECT_THAT(answers.positive_probability, ElementsAre(4));
}

TEST(AddShares, AnswersTheMajorityForEveryRow) {
  Answers answers;
  AddShares(std::vector<double>{0.25, 0.75}, std::vector<std::int32_t>{0, -1, 1}, answers);
  EXPECT_THAT(answers.predicted, ElementsAre(1, 1));
  EXPECT_THAT(answers.target_probability, ElementsAre(0.25, 0.75));
  EXPECT_THAT(answers.positive_probability, ElementsAre(0.75, 0.75));
}

TEST(Settle, GivesRowsWithoutAFiniteAnswerTheLargestErrorOfEitherSide) {
  Answers candidate, opponent;
  const std::vector<double> targets{1, -1, 1};
  AddNumberAnswers(std::vector<double>{kNan, kInfinity, 3}, targets, candidate);
  AddNumberAnswers(std::vector<double>{101, -1, 1}, targets, opponent);
  EXPECT_EQ(candidate.non_finite_rows, 2);
  Settle(targets, candidate, opponent);
  EXPECT_THAT(candidate.prediction, ElementsAre(-99.0, 99.0, 3.0));
  EXPECT_THAT(opponent.prediction, ElementsAre(101.0, -1.0, 1.0));
}

TEST(Settle, MakesSilenceWorseThanAPerfectOpponent) {
  Answers candidate, opponent;
  const std::vector<double> targets{2, 6};
  AddNumberAnswers(std::vector<double>{kNan, kNan}, targets, candidate);
  AddNumberAnswers(std::vector<double>{2, 6}, targets, opponent);
  Settle(targets, candidate, opponent);
  EXPECT_THAT(candidate.prediction, ElementsAre(-2.0, 2.0));
}

TEST(AddNumberAnswers, PassesOverRowsWithoutATarget) {
  Answers answers;
  AddNumberAnswers(std::vector<double>{1, 2, 3}, std::vector<double>{1, kNan, kInfinity}, answers);
  EXPECT_THAT(answers.prediction, ElementsAre(1.0));
}

TEST(TargetNumbers, RefusesTexts) {
  EXPECT_FALSE(TargetNumbers({"t", lake::ColumnType::kText, {}}, {.missing = {0}, .texts = {"b"}}));
  const auto numbers = TargetNumbers({"t", lake::ColumnType::kInteger, {}}, {.missing = {0, 1}, .integers = {4, 0}});
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->at(0), 4.0);
  EXPECT_TRUE(std::isnan(numbers->at(1)));
}

}  // namespace
}  // namespace ratchet::worker
