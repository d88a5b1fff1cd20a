#include "gate/bca.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/gate/reference_groups.h"

namespace ratchet::gate {
namespace {

std::vector<Unit> Exponentials(int count, std::uint64_t seed, bool unequal = false) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> exponential;
  std::vector<Unit> units;
  for (int i = 0; i < count; ++i) {
    double weight = unequal ? 1 + static_cast<double>(random() % 9) : 1;
    units.push_back({weight, weight * (exponential(random) - 1)});
  }
  std::sort(units.begin(), units.end());
  return units;
}

TEST(BcaInterval, EqualsAbcByNumericDerivativesWhereResamplingIsTooDear) {
  for (const auto& c : reference::kGrouped) {
    Units units = SumUnits(c.gain, {.group = c.group, .weight = c.weight}).value();
    Interval interval = BcaInterval(units.units, {.most_draws = 0});
    EXPECT_EQ(interval.method, IntervalMethod::kAbc);
    EXPECT_NEAR(interval.low, c.abc_low, 1e-5);
    EXPECT_NEAR(interval.high, c.abc_high, 1e-5);
  }
}

TEST(BcaInterval, IsTheSameBitsForTheSameSeed) {
  auto units = Exponentials(200, 1);
  Interval one = BcaInterval(units, {.seed = 9}), same = BcaInterval(units, {.seed = 9});
  Interval other = BcaInterval(units, {.seed = 10});
  EXPECT_EQ(one.method, IntervalMethod::kBca);
  EXPECT_GE(one.resamples, 2'000);
  EXPECT_EQ(one.low, same.low);
  EXPECT_EQ(one.high, same.high);
  EXPECT_NE(one.low, other.low);
}

TEST(BcaInterval, AgreesWithAbcToAFewPercentOfItsWidth) {
  for (bool unequal : {false, true}) {
    auto units = Exponentials(1'000, 2, unequal);
    Interval bca = BcaInterval(units, {.most_draws = 1'000'000'000});
    Interval abc = BcaInterval(units, {.most_draws = 0});
    double width = abc.high - abc.low;
    EXPECT_NEAR(bca.low, abc.low, 0.03 * width);
    EXPECT_NEAR(bca.high, abc.high, 0.03 * width);
  }
}

TEST(BcaInterval, LeansTowardsTheLongTail) {
  auto units = Exponentials(60, 3);
  double mean = WeightedMean(units);
  Interval interval = BcaInterval(units, {});
  EXPECT_GT(interval.high - mean, 1.1 * (mean - interval.low));
}

TEST(BcaInterval, ResamplesTheEndsOftenEnoughAtHighConfidence) {
  Interval interval = BcaInterval(Exponentials(50, 4), {.confidence = 0.999});
  EXPECT_EQ(interval.resamples, 200'000);
}

TEST(BcaInterval, IsOpenWhereNothingVaries) {
  std::vector<Unit> alike(30, Unit{1, 0.1});
  EXPECT_EQ(BcaInterval(alike, {}).method, IntervalMethod::kNone);
  EXPECT_TRUE(std::isinf(BcaInterval(std::vector<Unit>{{1, 0.5}}, {}).high));
}

// Coverage of the true mean, 0, by 95 % intervals; four standard deviations of a binomial around what theory gives.
TEST(BcaInterval, CoversTheTruthAboutAsOftenAsItSays) {
  constexpr int kTrials = 1'000;
  for (std::int64_t most_draws : {std::int64_t{0}, std::int64_t{40'000'000}}) {
    int covered = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      auto units = Exponentials(100, 100 + static_cast<std::uint64_t>(trial));
      Interval interval = BcaInterval(units, {.most_draws = most_draws});
      covered += interval.low <= 0 && interval.high >= 0;
    }
    EXPECT_NEAR(static_cast<double>(covered) / kTrials, 0.943, 0.029) << most_draws;
  }
}

}  // namespace
}  // namespace ratchet::gate
