#include "worker/scoring.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ratchet::worker {
namespace {

using Index = std::optional<std::int64_t>;
using Number = std::optional<double>;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(ScoreClasses, IsOneWhereTheLikeliestClassIsTheTarget) {
  ScoreColumn column;
  const std::vector<double> probabilities{0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.5, 0.5};
  const std::vector<Index> targets{0, 0, -1, std::nullopt};
  ScoreClasses(Metric::kAccuracy, probabilities, 2, targets, column);
  EXPECT_EQ(column.scores, (std::vector<Number>{1.0, 0.0, 0.0}));
}

TEST(ScoreClasses, BoundsTheLossOfAnUnknownClass) {
  ScoreColumn column;
  ScoreClasses(Metric::kLogLoss, std::vector<double>{0.5, 0.5, 0.5, 0.5}, 2, std::vector<Index>{1, -1}, column);
  EXPECT_NEAR(*column.scores[0], std::log(2), 1e-12);
  EXPECT_NEAR(*column.scores[1], 34.5, 0.1);
}

TEST(Settle, GivesRowsWithoutAFiniteAnswerTheWorstScore) {
  ScoreColumn candidate, opponent;
  ScoreNumbers(Metric::kMae, std::vector<double>{kNan, 3}, std::vector<Number>{1.0, 1.0}, candidate);
  ScoreNumbers(Metric::kMae, std::vector<double>{101, 1}, std::vector<Number>{1.0, 1.0}, opponent);
  EXPECT_EQ(candidate.non_finite_rows, 1);
  Settle(Metric::kMae, candidate, opponent);
  EXPECT_EQ(candidate.scores, (std::vector<Number>{100.0, 2.0}));
  EXPECT_EQ(Summarise(Metric::kMae, candidate), 51.0);
}

TEST(Summarise, TakesTheRootOfTheMeanSquare) {
  ScoreColumn column;
  ScoreNumbers(Metric::kRmse, std::vector<double>{4, 0}, std::vector<Number>{1.0, 4.0}, column);
  EXPECT_EQ(column.scores, (std::vector<Number>{9.0, 16.0}));
  EXPECT_NEAR(Summarise(Metric::kRmse, column), std::sqrt(12.5), 1e-12);
}

TEST(TargetIndexes, MatchesIntegersTextsAndWholeReals) {
  const registry::Classes integers = std::vector<std::int64_t>{3, 5};
  const auto whole =
      TargetIndexes(integers, {"t", lake::ColumnType::kInteger, {}}, {.missing = {0, 0, 1}, .integers = {5, 4, 0}});
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(*whole, (std::vector<Index>{1, -1, std::nullopt}));
  const auto real =
      TargetIndexes(integers, {"t", lake::ColumnType::kReal, {}}, {.missing = {0, 0}, .reals = {3.0, 3.5}});
  ASSERT_TRUE(real.has_value());
  EXPECT_EQ(*real, (std::vector<Index>{0, -1}));
  const registry::Classes texts = std::vector<std::string>{"a", "b"};
  const auto text = TargetIndexes(texts, {"t", lake::ColumnType::kText, {}}, {.missing = {0}, .texts = {"b"}});
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text, (std::vector<Index>{1}));
  EXPECT_FALSE(TargetIndexes(texts, {"t", lake::ColumnType::kReal, {}}, {.missing = {0}, .reals = {1.0}}).has_value());
}

TEST(ParseMetric, KnowsEachMetricForItsTaskOnly) {
  for (const char* name : {"accuracy", "log_loss"}) {
    EXPECT_TRUE(ParseMetric(name, registry::Task::kClassification).has_value()) << name;
    EXPECT_FALSE(ParseMetric(name, registry::Task::kRegression).has_value()) << name;
  }
  EXPECT_TRUE(ParseMetric("rmse", registry::Task::kRegression).has_value());
  EXPECT_FALSE(ParseMetric("f2", registry::Task::kClassification).has_value());
}

}  // namespace
}  // namespace ratchet::worker
