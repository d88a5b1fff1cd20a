#include "gate/step_down.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

double Chance(std::int64_t differing, std::int64_t wins) {
  return std::tgamma(static_cast<double>(differing) + 1) / std::tgamma(static_cast<double>(wins) + 1) /
         std::tgamma(static_cast<double>(differing - wins) + 1) * std::exp2(-static_cast<double>(differing));
}

TEST(StepDown, ByHolmIsWhatItWas) {
  const std::vector<TestedP> tests{{.p = 0.04}, {.p = 0.01, .differing = 9}, {.p = 0.03}, {.p = 0.5}};
  const std::vector<double> adjusted = AdjustByHolm(tests);
  const double wanted[] = {0.09, 0.04, 0.09, 0.5};
  for (size_t i = 0; i < tests.size(); ++i) EXPECT_DOUBLE_EQ(adjusted[i], wanted[i]) << i;
}

TEST(McnemarSize, IsTheChanceOfSoSmallAPWhenBothAreEqual) {
  for (std::int64_t differing : {0, 1, 5, 12, 30})
    for (double p : {1e-12, 0.001, 0.03125, 0.04, 0.2, 0.5, 0.9, 1.0}) {
      double chance = 0;
      for (std::int64_t wins = 0; wins <= differing; ++wins)
        if (McnemarP({100, wins, differing - wins}) <= p) chance += Chance(differing, wins);
      EXPECT_NEAR(McnemarSize(differing, p), chance, 1e-12) << differing << " " << p;
    }
}

TEST(AdjustStepDown, IsHolmsWherePMayTakeAnyValue) {
  std::vector<TestedP> tests = {{.p = 0.03}, {.p = 0.001}, {.p = 0.02}, {.p = 0.6}};
  EXPECT_EQ(AdjustStepDown(tests), (std::vector<double>{0.06, 0.004, 0.06, 0.6}));
  EXPECT_TRUE(AdjustStepDown({}).empty());
}

TEST(AdjustStepDown, LeavesToOthersWhatAnExactTestCannotUse) {
  // Four differing rows give no p below 1/16, so they take nothing from the test of a hundred.
  double p = McnemarP({1'000, 62, 38});
  std::vector<TestedP> tests = {{p, 100}, {1, 4}, {1, 4}, {1, 0}};
  EXPECT_DOUBLE_EQ(AdjustStepDown(tests)[0], p);
}

TEST(AdjustStepDown, LiesBetweenPAndHolms) {
  std::mt19937_64 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<TestedP> exact, any;
    for (int i = 0; i < 8; ++i) {
      auto differing = static_cast<std::int64_t>(random() % 60);
      auto wins = static_cast<std::int64_t>(random()) % (differing + 1);
      wins = wins < 0 ? -wins : wins;
      exact.push_back({McnemarP({100, wins, differing - wins}), differing});
      any.push_back({exact.back().p});
    }
    std::vector<double> ours = AdjustStepDown(exact), holm = AdjustStepDown(any);
    for (size_t i = 0; i < exact.size(); ++i) {
      EXPECT_GE(ours[i], exact[i].p);
      EXPECT_LE(ours[i], holm[i] * (1 + 1e-12));
    }
  }
}

// Every outcome of three independent tests that are all true, with its chance.
TEST(AdjustStepDown, RefutesATrueHypothesisWithProbabilityAlphaAtMost) {
  double more = 0;
  for (double alpha : {0.05, 0.2}) {
    double any = 0, any_by_holm = 0;
    for (std::int64_t a = 0; a <= 13; ++a)
      for (std::int64_t b = 0; b <= 17; ++b)
        for (std::int64_t c = 0; c <= 22; ++c) {
          std::vector<TestedP> exact = {{McnemarP({50, a, 13 - a}), 13}, {McnemarP({50, b, 17 - b}), 17},
                                        {McnemarP({50, c, 22 - c}), 22}};
          std::vector<TestedP> holm = {{exact[0].p}, {exact[1].p}, {exact[2].p}};
          double chance = Chance(13, a) * Chance(17, b) * Chance(22, c);
          if (std::ranges::min(AdjustStepDown(exact)) <= alpha) any += chance;
          if (std::ranges::min(AdjustStepDown(holm)) <= alpha) any_by_holm += chance;
        }
    EXPECT_LE(any, alpha);
    EXPECT_GE(any, any_by_holm);
    more += any - any_by_holm;
  }
  EXPECT_GT(more, 0.01);
}

// Rows in two columns' slices at once, and in one cell the candidate is worse while both slices through it are even.
TEST(AdjustStepDown, KeepsAlphaWhereSlicesOverlap) {
  std::mt19937_64 random(2);
  std::bernoulli_distribution differs(0.15), worse(0.8), better(0.2);
  constexpr int kTrials = 3'000;
  constexpr double kAlpha = 0.05;
  int blamed = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::int64_t count[4][2] = {};  // rows 0, 1 and columns 2, 3 of a table of cells; wins and losses
    for (int i = 0; i < 1'200; ++i) {
      if (!differs(random)) continue;
      int row = i % 2, column = i / 2 % 2;
      bool loses = row == column ? worse(random) : better(random);
      ++count[row][loses], ++count[2 + column][loses];
    }
    std::vector<TestedP> tests;
    for (auto& c : count) tests.push_back({McnemarP({600, c[1], c[0]}), c[0] + c[1]});
    blamed += std::ranges::min(AdjustStepDown(tests)) <= kAlpha;
  }
  EXPECT_LE(blamed, kTrials * kAlpha + 4 * std::sqrt(kTrials * kAlpha * (1 - kAlpha)));
}

}  // namespace
}  // namespace ratchet::gate
