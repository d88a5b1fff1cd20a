#include "gate/alpha_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

TEST(LevelOfLook, FallsWithTheSquareOfTheLook) {
  EXPECT_NEAR(LevelOfLook(0.05, 1), 0.030396355092701331, 1e-16);
  EXPECT_NEAR(LevelOfLook(0.05, 10), 0.00030396355092701331, 1e-18);
}

TEST(LevelOfLook, SumsToAlphaOverAllLooks) {
  double sum = 0;
  constexpr std::int64_t kLooks = 2'000'000;
  for (std::int64_t k = kLooks; k >= 1; --k) sum += LevelOfLook(0.05, k);
  EXPECT_LT(sum, 0.05);
  EXPECT_NEAR(sum, 0.05, 0.05 * 6 / (std::numbers::pi * std::numbers::pi) / kLooks * 1.001);
}

TEST(BudgetAfter, AddsUpLookByLook) {
  double spent = 0;
  for (std::int64_t looks = 0; looks <= 300; ++looks) {
    AlphaBudget budget = BudgetAfter(0.05, looks);
    EXPECT_NEAR(budget.spent, spent, 1e-14) << looks;
    EXPECT_NEAR(budget.spent + budget.left, 0.05, 1e-15);
    EXPECT_EQ(budget.next_level, LevelOfLook(0.05, looks + 1));
    EXPECT_GT(budget.left, 0);
    spent += LevelOfLook(0.05, looks + 1);
  }
}

TEST(LeastMeanGain, IsFoundFourTimesInFive) {
  // (z at 0.001 + z at 0.2) / √400 with deviation 2.
  EXPECT_NEAR(LeastMeanGain(0.001, 400, 2), (3.0902323061678132 + 0.8416212335729143) * 2 / 20, 1e-12);
}

TEST(LeastShareGain, TurnsRoundTheRowsForPower) {
  for (double level : {0.03, 1e-4, 1e-8}) {
    double gain = LeastShareGain(level, 20'000, 0.1);
    ShareCounts counts{.rows = 1'000'000, .wins = std::lround(5e5 * (0.1 + gain)), .losses = std::lround(5e5 * (0.1 - gain))};
    EXPECT_NEAR(ShareRowsForPower(counts, 0, level, 0.8), 20'000, 20);
  }
}

TEST(LeastShareGain, IsOutOfReachWithTooFewDifferingRows) {
  EXPECT_EQ(LeastShareGain(1e-9, 100, 0.1), 1);   // 10 differing rows reach 2^−10 at best
  EXPECT_LT(LeastShareGain(1e-2, 100, 0.1), 0.11);
}

TEST(LeastShareGain, IsPromotedAboutFourTimesInFive) {
  std::mt19937_64 random(8);
  double level = LevelOfLook(0.05, 10), gain = LeastShareGain(level, 2'000, 0.1);
  std::discrete_distribution<int> outcome({0.9, (0.1 + gain) / 2, (0.1 - gain) / 2});
  int found = 0;
  for (int trial = 0; trial < 1'000; ++trial) {
    std::int64_t count[3] = {};
    for (int i = 0; i < 2'000; ++i) ++count[outcome(random)];
    found += McnemarP({2'000, count[1], count[2]}) <= level;
  }
  EXPECT_NEAR(found / 1000.0, 0.8, 0.06);
}

TEST(ForeseeShareLook, SaysBeforeTrainingThatNoRealisticGainCanBeFound) {
  LookForecast fresh = ForeseeShareLook(BudgetAfter(0.05, 0), 20'000, 0.1, 0.02);
  EXPECT_TRUE(fresh.worthwhile);
  EXPECT_EQ(fresh.look, 1);
  EXPECT_THAT(fresh.sentence, HasSubstr("Look 1 at these 20000 rows is judged at level 0.03"));
  LookForecast spent = ForeseeShareLook(BudgetAfter(0.05, 200), 2'000, 0.1, 0.02);
  EXPECT_FALSE(spent.worthwhile);
  EXPECT_GT(spent.least_gain, 0.03);
  EXPECT_THAT(spent.sentence, HasSubstr("no more than 0.02 can be hoped for: push fresh rows before training"));
}

TEST(ForeseeMeanLook, SpeaksOfTheSpreadThatIsKnown) {
  EXPECT_TRUE(ForeseeMeanLook(BudgetAfter(0.05, 3), 10'000, 1.0, 0.1).worthwhile);
  EXPECT_FALSE(ForeseeMeanLook(BudgetAfter(0.05, 3), 10'000, 5.0, 0.1).worthwhile);
}

}  // namespace
}  // namespace ratchet::gate
