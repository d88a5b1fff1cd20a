#include "pipeline/look_forecast.h"

#include <gmock/gmock.h>

#include "gate/alpha_ledger.h"
#include "registry/events.h"
#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

using registry::Version;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;

// A decision by accuracy on 2,000 rows, of which candidate and opponent differ on 200.
Version Decided(std::int64_t number, std::optional<std::int64_t> opponent, const std::string& state, double candidate, double against) {
  Version version{.model = "m", .version = number, .shown_state = state};
  version.opponent_version = opponent;
  version.decision = {{"metric", "accuracy"}, {"rows", 2000}, {"units", 2000}, {"wins", 110}, {"losses", 90}, {"test", "mcnemar_exact"},
                      {"candidate", candidate}, {"opponent", against}, {"difference", candidate - against}, {"promotes", state != "rejected"},
                      {"interval", {-0.005, 0.025}}, {"confidence", 0.95}};
  return version;
}

ForecastCase SomeCase() {
  return {.gate = {}, .metric = "accuracy", .live = 2, .epoch = {.number = 1, .rows = 2000, .looks = 3}, .unseen_rows = 0,
          .holdout_share = 0.2, .decided = {Decided(3, 2, "rejected", 0.84, 0.83), Decided(2, 1, "live", 0.83, 0.80)}};
}

TEST(LookForecast, SaysWhatTheNextLookWouldProveFromTheNewestDecisionAgainstTheLiveVersion) {
  const Json forecast = ForecastLook(SomeCase());
  ASSERT_TRUE(forecast.is_object());
  EXPECT_EQ(forecast["look"], 4);
  EXPECT_EQ(forecast["from_version"], 3);
  EXPECT_EQ(forecast["live_score"], 0.83);
  EXPECT_NEAR(forecast["level"].get<double>(), gate::LevelOfLook(0.05, 4), 1e-12);
  EXPECT_NEAR(forecast["detectable_gain"].get<double>(), gate::LeastShareGain(gate::LevelOfLook(0.05, 4), 2000, 0.1), 1e-9);
  EXPECT_NEAR(forecast["realistic_gain"].get<double>(), 0.085, 1e-12) << "half of the error that is left";
  EXPECT_TRUE(forecast["worthwhile"]);
  EXPECT_THAT(forecast["sentence"].get<std::string>(), HasSubstr("would be proven with 80 % power"));
}

TEST(LookForecast, FallsBackOnTheDecisionThatLetTheLiveVersionIn) {
  ForecastCase at = SomeCase();
  at.decided.erase(at.decided.begin());
  const Json forecast = ForecastLook(at);
  EXPECT_EQ(forecast["from_version"], 2);
  EXPECT_EQ(forecast["live_score"], 0.83);
}

// The first version differed from the majority on many more rows than the next candidate will from it.
TEST(LookForecast, TakesADecisionAgainstABaselineForNoMoreThanItIs) {
  ForecastCase at = SomeCase();
  at.decided = {Decided(2, {}, "live", 0.95, 0.5)};
  at.decided[0].decision->update({{"wins", 950}, {"losses", 50}});
  EXPECT_NEAR(ForecastLook(at)["detectable_gain"].get<double>(), gate::LeastShareGain(gate::LevelOfLook(0.05, 4), 2000, 2 * 0.05 * 0.95), 1e-9);
  at.decided[0].decision->update({{"wins", 20}, {"losses", 5}});
  EXPECT_NEAR(ForecastLook(at)["detectable_gain"].get<double>(), gate::LeastShareGain(gate::LevelOfLook(0.05, 4), 2000, 0.0125), 1e-9);
  at.decided[0].decision->update({{"test", "paired_t"}});
  EXPECT_TRUE(ForecastLook(at).is_null());
}

TEST(LookForecast, KnowsNothingOfAnotherMetricOrOfALiveVersionThatWasNeverJudged) {
  ForecastCase at = SomeCase();
  at.metric = "log_loss";
  EXPECT_TRUE(ForecastLook(at).is_null());
  at = SomeCase();
  at.live = 7;
  EXPECT_TRUE(ForecastLook(at).is_null());
  at = SomeCase();
  at.decided.clear();
  EXPECT_TRUE(ForecastLook(at).is_null());
}

TEST(LookForecast, WarnsWhereTheBudgetIsSpentAndNamesHowManyRowsItTakes) {
  ForecastCase at = SomeCase();
  at.epoch.looks = 400;
  at.epoch.rows = 300;
  at.unseen_rows = 120;
  const Json forecast = ForecastLook(at);
  EXPECT_FALSE(forecast["worthwhile"]);
  EXPECT_TRUE(forecast["detectable_gain"].is_null() || forecast["detectable_gain"] > forecast["realistic_gain"]);
  EXPECT_EQ(forecast["rows_to_push"], 880) << "fresh_rows is more than the gain asks for";
  const auto ways = forecast["ways_out"].get<std::vector<std::string>>();
  EXPECT_THAT(ways, Contains(HasSubstr("880 more of them are in the holdout (about 4400 rows in all)")));
  EXPECT_THAT(ways, Contains(HasSubstr("fresh_rows: 120")));
  EXPECT_THAT(ways, Contains(HasSubstr("rotate-holdout")));
  for (const std::string& way : ways) EXPECT_THAT(forecast["sentence"].get<std::string>(), HasSubstr(way));
}

// A candidate with the realistic gain is then proven: the row count that is named keeps its word.
TEST(LookForecast, TheRowsThatItNamesDo) {
  ForecastCase at = SomeCase();
  for (Version& version : at.decided) version.decision->at("candidate") = version.decision->at("opponent") = 0.99;
  const Json forecast = ForecastLook(at);
  ASSERT_FALSE(forecast["worthwhile"]);
  const std::int64_t rows = forecast["rows_to_push"];
  EXPECT_GT(rows, 1000);
  at.epoch = {.number = 2, .rows = rows, .looks = 0};
  EXPECT_TRUE(ForecastLook(at)["worthwhile"]);
  at.epoch.rows = rows - 1;
  EXPECT_FALSE(ForecastLook(at)["worthwhile"]);
}

TEST(LookForecast, HopesForNoMoreThanTheBestOfTheLastPromotionsOnceThereAreThree) {
  ForecastCase at = SomeCase();
  at.live = 5;
  at.decided = {Decided(5, 4, "live", 0.831, 0.830), Decided(4, 3, "previous", 0.830, 0.828), Decided(3, 2, "retired", 0.828, 0.827)};
  const Json forecast = ForecastLook(at);
  EXPECT_NEAR(forecast["best_recent_gain"].get<double>(), 0.002, 1e-12);
  EXPECT_NEAR(forecast["realistic_gain"].get<double>(), 0.002, 1e-12);
  EXPECT_FALSE(forecast["worthwhile"]);
  at.decided.pop_back();
  EXPECT_TRUE(ForecastLook(at)["best_recent_gain"].is_null()) << "two are too few";
}

TEST(LookForecast, TakesTheSpreadOfOtherMetricsFromTheirInterval) {
  ForecastCase at = SomeCase();
  at.metric = "mae";
  for (Version& version : at.decided) {
    version.decision->update({{"metric", "mae"}, {"test", "paired_t"}, {"candidate", 9.0}, {"opponent", 10.0}, {"interval", {0.804, 1.196}}});
  }
  const Json forecast = ForecastLook(at);
  // The interval's standard error is 0.1 on 2,000 rows, and as many are to come.
  EXPECT_NEAR(forecast["detectable_gain"].get<double>(), gate::LeastMeanGain(gate::LevelOfLook(0.05, 4), 1, 0.1), 1e-4);
  EXPECT_EQ(forecast["live_score"], 10.0);
  EXPECT_NEAR(forecast["realistic_gain"].get<double>(), 5, 1e-12) << "half of the error itself";
}

TEST(LookForecast, CountsTheBarOfTheRule) {
  ForecastCase at = SomeCase();
  const double free = ForecastLook(at)["detectable_gain"];
  at.gate.better_by = 0.01;
  EXPECT_GT(ForecastLook(at)["detectable_gain"].get<double>(), free + 0.009);
  at.gate = {.rule = "not_worse", .margin = 0.05};
  EXPECT_LT(ForecastLook(at)["detectable_gain"].get<double>(), 0) << "even a candidate that is a little worse is proven not worse";
  EXPECT_TRUE(ForecastLook(at)["worthwhile"]);
}

class ForecastOfARun : public OrchestratorTest {
 protected:
  std::vector<Json> Events(std::int64_t run, const std::string& type) {
    std::vector<Json> found;
    auto events = store_->Read([&](Db& db) -> Result<std::vector<registry::Event>> { return registry::EventsAfter(db, 0, 10'000, run); });
    for (const registry::Event& event : *events)
      if (event.type == type) found.push_back(event.data);
    return found;
  }
};

TEST_F(ForecastOfARun, IsToldBeforeItTrains) {
  const std::int64_t first = Submit();
  Ticks();
  EXPECT_TRUE(Events(first, "gate.forecast").empty()) << "nothing is live yet";
  executor_.script["train"] = FakeExecutor::Play::kHang;
  const std::int64_t second = Submit();
  Ticks();
  ASSERT_EQ(Read(second).FindStep("train")->state, StepState::kRunning);
  ASSERT_EQ(Events(second, "gate.forecast").size(), 1u);
  const Json forecast = Read(second).FindStep("validate")->outputs->at("forecast");
  EXPECT_EQ(forecast, Events(second, "gate.forecast")[0]);
  EXPECT_EQ(forecast["look"], 2);
  EXPECT_EQ(forecast["live"], 1);
}

// The fixture's epoch has 50 sealed rows; after many looks no gain could be proven on them.
TEST_F(ForecastOfARun, WarnsWhenTheLooksAreUsedUp) {
  Submit();
  Ticks();
  executor_.candidate_score = 0.5;
  for (int i = 0; i < 30; ++i) {
    Submit();
    Ticks();
  }
  const Json forecast = Read(31).FindStep("validate")->outputs->at("forecast");
  EXPECT_EQ(forecast["look"], 31);
  EXPECT_FALSE(forecast["worthwhile"]) << forecast;
  EXPECT_EQ(forecast["rows_to_push"], 1000);
}

// The cache gives what another run's validation found, and the forecast is this run's own.
TEST_F(ForecastOfARun, IsMadeAnewWhereTheValidationComesFromTheCache) {
  for (int i = 0; i < 3; ++i) {
    Submit(false);
    Ticks();
  }
  ASSERT_TRUE(Read(3).FindStep("validate")->cached_from);
  EXPECT_EQ(Read(3).FindStep("validate")->outputs->at("forecast")["look"], 3);
}

}  // namespace
}  // namespace ratchet::pipeline
