#include "gate/live_metric.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gate/metrics.h"

namespace ratchet::gate {
namespace {

TEST(LiveMetric, AgreesWithTheGateOnWhichSideIsBetter) {
  int known = 0;
  for (const Metric& metric : KnownMetrics()) {
    const auto live = FindLiveMetric(metric.name);
    if (!live) continue;
    ++known;
    EXPECT_EQ(live->higher_is_better, metric.higher_is_better) << metric.name;
  }
  EXPECT_EQ(known, 4);
  EXPECT_FALSE(FindLiveMetric("no such metric"));
}

TEST(LiveMetric, ScoresARowAsTheTestStepDoes) {
  EXPECT_DOUBLE_EQ(LogLossScore(0.5), std::log(2.0));
  EXPECT_DOUBLE_EQ(LogLossScore(0), -std::log(1e-15));
  EXPECT_DOUBLE_EQ(LogLossScore(2), 0);
  EXPECT_DOUBLE_EQ(ErrorScore(RowScoring::kAbsoluteError, 1, 4), 3);
  EXPECT_DOUBLE_EQ(ErrorScore(RowScoring::kSquaredError, 4, 1), 9);
  EXPECT_DOUBLE_EQ(LiveFigureOfMean(*FindLiveMetric("rmse"), 9), 3);
  EXPECT_DOUBLE_EQ(LiveFigureOfMean(*FindLiveMetric("mae"), 9), 9);
}

TEST(LiveMetric, IsWorseBelowItsLimitOrAboveWhereLowerIsBetter) {
  EXPECT_TRUE(IsWorse(*FindLiveMetric("accuracy"), 0.87, 0.88));
  EXPECT_FALSE(IsWorse(*FindLiveMetric("accuracy"), 0.88, 0.88));
  EXPECT_TRUE(IsWorse(*FindLiveMetric("mae"), 0.89, 0.88));
  EXPECT_FALSE(IsWorse(*FindLiveMetric("mae"), 0.88, 0.88));
}

}  // namespace
}  // namespace ratchet::gate
