#include "gate/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace ratchet::gate {
namespace {

TEST(FindMetric, FindsEveryMetricWhoseEvidenceATestKeeps) {
  for (const std::string& name : MetricNames()) {
    auto metric = FindMetric(name);
    ASSERT_TRUE(metric) << name;
    EXPECT_EQ(metric->name, name);
    EXPECT_EQ(metric->higher_is_better, metric->goal == Goal::kHigher) << name;
  }
  EXPECT_EQ(MetricNames(), (std::vector<std::string>{"accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "brier",
                                                      "roc_auc", "pr_auc", "mae", "rmse", "wape", "mape", "smape"}));
}

TEST(FindMetric, SuggestsTheNearNameWhenUnknown) {
  auto metric = FindMetric("acuracy");
  ASSERT_FALSE(metric);
  EXPECT_EQ(metric.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(metric.error().hint, "Did you mean 'accuracy'?");
}

TEST(FindMetric, SaysWhatIsNotKeptForTheOthers) {
  const std::pair<const char*, const char*> kOthers[] = {
      {"mase", "mase is for forecasting and needs the scale of each row's series, which a test does not keep yet"},
      {"coverage", "needs predicted quantiles"},
      {"ndcg@10", "ndcg@10 is for ranking and needs lists as ranked"},
      {"wer", "wer is for transcription and needs transcripts"}};
  for (const auto& [name, cause] : kOthers) {
    auto metric = FindMetric(name);
    ASSERT_FALSE(metric) << name;
    EXPECT_EQ(metric.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(metric.error().cause, testing::HasSubstr(cause));
    EXPECT_THAT(metric.error().hint, testing::HasSubstr("roc_auc"));
  }
}

TEST(KnownMetrics, HaveEachANameOfItsOwnAndADirection) {
  std::set<std::string_view> names;
  for (const Metric& metric : KnownMetrics()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_EQ(metric.higher_is_better, metric.goal == Goal::kHigher) << metric.name;
    EXPECT_EQ(metric.takes_cut_off != CutOff::kNone, metric.task == "ranking") << metric.name;
    EXPECT_FALSE(metric.unit.empty()) << metric.name;
  }
  EXPECT_EQ(names.size(), 23U);
}

TEST(ParseMetric, ReadsWhatMetricTextWrites) {
  for (const Metric& metric : KnownMetrics()) {
    std::string text(metric.name);
    if (metric.takes_cut_off == CutOff::kRequired) text += "@10";
    auto parsed = ParseMetric(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->id, metric.id);
    EXPECT_EQ(MetricText(*parsed), text);
  }
  EXPECT_EQ(ParseMetric("ndcg@10")->cut_off, 10);
  EXPECT_EQ(ParseMetric("mrr@5")->cut_off, 5);
  EXPECT_EQ(ParseMetric("mrr")->cut_off, 0);
}

TEST(ParseMetric, RefusesACutOffThatIsNone) {
  for (const char* text : {"ndcg@0", "ndcg@-1", "ndcg@", "ndcg@ten", "ndcg@1.5", "ndcg@5x", "ndcg@ 5", "ndcg@10001",
                           "ndcg@99999999999999999999", "recall@1@2"}) {
    auto metric = ParseMetric(text);
    ASSERT_FALSE(metric) << text;
    EXPECT_EQ(metric.error().code, ErrorCode::kInvalid) << text;
    EXPECT_THAT(metric.error().cause, testing::HasSubstr("a whole number from 1 to 10000")) << text;
  }
}

TEST(ParseMetric, SaysWhetherThereIsACutOffToGive) {
  EXPECT_EQ(ParseMetric("ndcg").error().hint, "Write, say, ndcg@10.");
  EXPECT_EQ(ParseMetric("accuracy@3").error().hint, "Write accuracy.");
  EXPECT_EQ(ParseMetric("ndgc@10").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ParseMetric("balanced_acuracy").error().hint, "Did you mean 'balanced_accuracy'?");
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
