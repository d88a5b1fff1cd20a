#include "gate/metrics.h"

#include <gtest/gtest.h>

namespace ratchet::gate {
namespace {

TEST(FindMetric, FindsEveryKnownMetricByItsName) {
  for (const std::string& name : MetricNames()) {
    auto metric = FindMetric(name);
    ASSERT_TRUE(metric) << name;
    EXPECT_EQ(metric->name, name);
    EXPECT_EQ(metric->higher_is_better, metric->per_row == PerRow::kCorrect) << name;
  }
  EXPECT_EQ(MetricNames(), (std::vector<std::string>{"accuracy", "log_loss", "mae", "rmse"}));
}

TEST(FindMetric, SuggestsTheNearNameWhenUnknown) {
  auto metric = FindMetric("acuracy");
  ASSERT_FALSE(metric);
  EXPECT_EQ(metric.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(metric.error().hint, "Did you mean 'accuracy'?");
}

TEST(FigureOfMean, IsTheRootForRmseOnly) {
  EXPECT_EQ(FigureOfMean(FindMetric("rmse")->aggregate, 9.0), 3.0);
  EXPECT_EQ(FigureOfMean(FindMetric("mae")->aggregate, 9.0), 9.0);
}

TEST(PerRowFromName, IsTheInverseOfPerRowName) {
  for (PerRow per_row : {PerRow::kCorrect, PerRow::kAbsoluteError, PerRow::kSquaredError, PerRow::kLogLoss})
    EXPECT_EQ(PerRowFromName(PerRowName(per_row)).value(), per_row);
  EXPECT_EQ(PerRowFromName("corect").error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace ratchet::gate
