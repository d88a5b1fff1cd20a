#include "gate/mean_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/gate/reference_groups.h"
#include "tests/gate/reference_values.h"

namespace ratchet::gate {
namespace {

void ExpectRelative(double actual, double wanted, double tolerance) {
  EXPECT_NEAR(actual, wanted, tolerance * std::fabs(wanted) + 1e-320);
}

MeanEstimate OfRows(std::int64_t rows, double mean, double deviation, double skewness = 0) {
  double n = static_cast<double>(rows);
  return {.units = rows, .mean = mean, .standard_error = deviation / std::sqrt(n), .degrees = n - 1, .skewness = skewness};
}

TEST(MeanP, EqualsTheReference) {
  for (const auto& c : reference::kMeans) {
    SCOPED_TRACE(testing::Message() << c.rows << " rows, mean " << c.mean << ", skewness " << c.skewness);
    ExpectRelative(MeanP(OfRows(c.rows, c.mean, c.deviation, c.skewness), c.gain), c.p, 1e-7);
  }
}

TEST(MeanLowerBound, EqualsTheReference) {
  for (const auto& c : reference::kMeanBounds)
    EXPECT_NEAR(MeanLowerBound(OfRows(c.rows, c.mean, c.deviation, c.skewness), c.alpha), c.bound, 1e-9)
        << c.rows << " " << c.alpha << " " << c.skewness;
}

TEST(MeanLowerBound, IsMeanPTurnedRound) {
  for (double skewness : {-30.0, -3.0, -0.2, 0.0, 5.0})
    for (double alpha : {0.3, 0.05, 1e-4, 1e-9}) {
      MeanEstimate estimate = OfRows(900, 0.2, 1.3, skewness);
      ExpectRelative(MeanP(estimate, MeanLowerBound(estimate, alpha)), alpha, 1e-6);
    }
}

TEST(MeanP, TellsPValuesFarBelow1e8) {
  EXPECT_LT(MeanP(OfRows(100'000, 0.2, 1.0), 0), 1e-300);
  EXPECT_GT(MeanP(OfRows(100'000, 0.2, 1.0), 0), 0);
}

TEST(MeanP, IsTheSignTestWhenAllObservationsGainAlike) {
  EXPECT_DOUBLE_EQ(MeanP({.units = 10, .mean = 0.5}, 0), std::exp2(-10));
  EXPECT_EQ(MeanP({.units = 10, .mean = 0.5}, 0.5), 1);
  EXPECT_EQ(MeanP({.units = 10, .mean = -0.5}, 0), 1);
  EXPECT_EQ(MeanP({.units = 5000, .mean = 0.5}, 0), std::numeric_limits<double>::min());
}

TEST(MeanLowerBound, IsOpenWhenObservationsThatGainAlikeAreTooFew) {
  EXPECT_EQ(MeanLowerBound({.units = 4, .mean = 0.5}, 0.05), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(MeanLowerBound({.units = 5, .mean = 0.5}, 0.05), 0.5);
}

TEST(EstimateMean, HasTheErrorAndDegreesOfBellAndMcCaffrey) {
  for (const auto& c : reference::kGrouped) {
    Units units = SumUnits(c.gain, {.group = c.group, .weight = c.weight}).value();
    MeanEstimate estimate = EstimateMean(units.units);
    ExpectRelative(estimate.mean, c.mean, 1e-12);
    ExpectRelative(estimate.standard_error, c.error, 1e-9);
    ExpectRelative(estimate.degrees, c.degrees, 1e-9);
  }
}

TEST(EstimateMean, HasOneDegreeLessThanGroupsOfEqualSize) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<double> gain;
  std::vector<std::uint64_t> group;
  for (std::uint64_t i = 0; i < 90; ++i) {
    gain.push_back(normal(random));
    group.push_back(i % 9);
  }
  MeanEstimate estimate = EstimateMean(SumUnits(gain, {.group = group})->units);
  EXPECT_NEAR(estimate.degrees, 8, 1e-9);
  EXPECT_EQ(estimate.units, 9);
}

TEST(EstimateMean, IsTheUngroupedOneWhenAllGroupsDiffer) {
  std::mt19937_64 random(4);
  std::exponential_distribution<double> exponential;
  std::vector<double> gain;
  std::vector<std::uint64_t> group;
  for (std::uint64_t i = 0; i < 300; ++i) {
    gain.push_back(1 - exponential(random));
    group.push_back(i * 7919 % 1000);
  }
  Units grouped = SumUnits(gain, {.group = group}).value(), single = SumUnits(gain, {}).value();
  EXPECT_TRUE(grouped.plain);
  MeanEstimate one = EstimateMean(grouped.units), other = EstimateMean(single.units);
  EXPECT_EQ(one.standard_error, other.standard_error);
  EXPECT_EQ(one.degrees, other.degrees);
  long double mean = 0, squares = 0;
  for (double g : gain) mean += g / 300;
  for (double g : gain) squares += (g - mean) * (g - mean);
  EXPECT_NEAR(one.standard_error, static_cast<double>(std::sqrt(squares / 299 / 300)), 1e-14);
  EXPECT_NEAR(one.degrees, 299, 1e-9);
  EXPECT_LT(one.skewness, -1);  // −2 in the population
}

TEST(EstimateForecastMean, EqualsTheCosineEstimate) {
  for (const auto& c : reference::kTimed) {
    Units units = SumUnits(c.gain, {.time = c.time}).value();
    MeanEstimate estimate = EstimateForecastMean(units.units, c.horizon);
    ExpectRelative(estimate.mean, c.mean, 1e-11);
    ExpectRelative(estimate.standard_error, c.error, 1e-9);
    ExpectRelative(estimate.degrees, c.degrees, 1e-12);
  }
}

TEST(EstimateForecastMean, IsOpenWhenTheHorizonIsAsLongAsTheRows) {
  std::vector<Unit> units = {{1, 0.3}, {1, 0.1}, {1, -0.2}, {1, 0.4}};
  EXPECT_TRUE(std::isinf(EstimateForecastMean(units, 4).standard_error));
  EXPECT_TRUE(std::isfinite(EstimateForecastMean(units, 2).standard_error));
}

// One cosine sees nothing of gains that are the same forwards and backwards.
TEST(EstimateForecastMean, IsNotSurerOfFewTimesThanOfIndependentRows) {
  std::vector<Unit> units = {{1, 1}, {1, 2}, {1, 1}};
  MeanEstimate estimate = EstimateForecastMean(units, 1);
  EXPECT_NEAR(estimate.standard_error, std::sqrt(2.0 / 3) / 3, 1e-12);
  EXPECT_EQ(estimate.degrees, 1);
  EXPECT_GT(MeanP(estimate, 0), 0.05);
}

TEST(ForecastCosines, AreFewerForLongHorizonsAndNeverMoreThanAreOfUse) {
  EXPECT_EQ(ForecastCosines(1, 1), 1);
  EXPECT_EQ(ForecastCosines(200, 3), 13);
  EXPECT_EQ(ForecastCosines(200, 12), 5);
  EXPECT_EQ(ForecastCosines(200, 100), 1);
  EXPECT_EQ(ForecastCosines(1'000'000, 1), kMostCosines);
}

// False promotions at level 5 %: what the test is for. Four standard deviations of a binomial above and below.
template <typename Draw>
double RefutedShare(int trials, double alpha, const Draw& draw) {
  int refuted = 0;
  for (int trial = 0; trial < trials; ++trial) refuted += MeanP(draw(), 0) <= alpha;
  return static_cast<double>(refuted) / trials;
}

TEST(MeanP, KeepsItsLevelOverFewUnequalGroups) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  auto draw = [&] {
    std::vector<Unit> units;
    for (int g = 0; g < 12; ++g) {
      double rows = std::ceil(10 * std::exp(normal(random))), level = 0.5 * normal(random);
      units.push_back({rows, rows * level + std::sqrt(rows) * normal(random)});
    }
    return EstimateMean(units);
  };
  double share = RefutedShare(8'000, 0.05, draw);
  EXPECT_LT(share, 0.05 + 4 * std::sqrt(0.05 * 0.95 / 8'000));
  EXPECT_GT(share, 0.02);
}

TEST(MeanP, KeepsItsLevelWhereLossesAreRareAndLarge) {
  std::mt19937_64 random(6);
  std::bernoulli_distribution loss(0.01);
  int plain = 0, trials = 4'000;
  auto draw = [&] {
    std::vector<Unit> units;
    std::uniform_real_distribution<double> noise(0.0, 0.02);
    for (int i = 0; i < 1'000; ++i) units.push_back({1, noise(random) - (loss(random) ? 1.0 : 0.0)});
    MeanEstimate estimate = EstimateMean(units);
    MeanEstimate unguarded = estimate;
    unguarded.skewness = 0;
    plain += MeanP(unguarded, 0) <= 0.01;
    return estimate;
  };
  double guarded = RefutedShare(trials, 0.01, draw);
  EXPECT_LT(guarded, 0.01 + 4 * std::sqrt(0.01 * 0.99 / trials));
  EXPECT_GT(plain, 0.02 * trials);  // Student's t alone would not keep it
}

TEST(MeanP, KeepsItsLevelOverCorrelatedForecasts) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  auto draw = [&] {
    std::vector<Unit> units;
    double before[2] = {normal(random), normal(random)};
    for (int t = 0; t < 200; ++t) {  // errors of three steps ahead overlap over two
      double now = normal(random);
      units.push_back({1, now + before[0] + before[1]});
      before[1] = before[0];
      before[0] = now;
    }
    return EstimateForecastMean(units, 3);
  };
  double share = RefutedShare(6'000, 0.05, draw);
  EXPECT_LT(share, 0.05 + 4 * std::sqrt(0.05 * 0.95 / 6'000));  // Newey and West's own choice of lags gives 0.07, Student's t 0.17
  EXPECT_GT(share, 0.03);
}

}  // namespace
}  // namespace ratchet::gate
