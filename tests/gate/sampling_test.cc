#include "gate/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

const std::vector<double> kGain = {1, 2, 4, 8};

TEST(SumUnits, SumsRowsOfOneGroup) {
  std::vector<std::uint64_t> group = {7, 3, 7, 3};
  Units units = SumUnits(kGain, {.group = group}).value();
  EXPECT_EQ(units.units, (std::vector<Unit>{{2, 5}, {2, 10}}));
  EXPECT_EQ(units.rows, 4);
  EXPECT_FALSE(units.plain);
}

TEST(SumUnits, IsPlainWithoutGroupsWithAllDifferentOnesAndWithEqualWeights) {
  std::vector<std::uint64_t> different = {9, 8, 7, 6};
  std::vector<double> equal(4, 2.5), unequal = {1, 1, 1, 2};
  EXPECT_TRUE(SumUnits(kGain, {})->plain);
  EXPECT_TRUE(SumUnits(kGain, {.group = different})->plain);
  EXPECT_TRUE(SumUnits(kGain, {.weight = equal})->plain);
  EXPECT_EQ(SumUnits(kGain, {.weight = equal})->units, SumUnits(kGain, {})->units);
  EXPECT_FALSE(SumUnits(kGain, {.weight = unequal})->plain);
}

TEST(SumUnits, LeavesOutRowsOfNoWeight) {
  std::vector<double> weight = {1, 0, 3, 0};
  Units units = SumUnits(kGain, {.weight = weight}).value();
  EXPECT_EQ(units.rows, 2);
  EXPECT_EQ(units.units, (std::vector<Unit>{{1, 1}, {3, 12}}));
  EXPECT_DOUBLE_EQ(WeightedMean(units.units), 13.0 / 4);
}

TEST(SumUnits, PutsTimesInOrderAndRowsOfOneTimeTogether) {
  std::vector<std::int64_t> time = {30, -5, 30, 10};
  Units units = SumUnits(kGain, {.time = time}).value();
  EXPECT_EQ(units.units, (std::vector<Unit>{{1, 2}, {1, 8}, {2, 5}}));
  EXPECT_TRUE(units.timed);
}

TEST(SumUnits, RefusesWhatCannotBeSummedInWordsForPeople) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> with_nan = {1, nan}, two = {1, 2}, negative = {1, -1}, zeros = {0, 0}, endless = {1, infinity},
                            huge = {1e308, 1e308}, heavy = {1e10, 1};
  const std::vector<std::uint64_t> three = {1, 2, 3}, groups = {1, 1};
  const std::vector<std::int64_t> times = {1, 2}, one_time = {1};
  struct Case {
    std::span<const double> gain;
    Sampling sampling;
    std::string says;
  };
  const Case cases[] = {
      {{}, {}, "there are no rows. Push rows that fall into the holdout"},
      {with_nan, {}, "row 2 has nan as its gain"},
      {two, {.group = three}, "there are 3 groups for 2 rows"},
      {two, {.weight = kGain}, "there are 4 weights for 2 rows"},
      {two, {.time = one_time}, "there are 1 times for 2 rows"},
      {two, {.weight = negative}, "row 2 has -1 as its weight"},
      {two, {.weight = with_nan}, "row 2 has nan as its weight"},
      {two, {.weight = endless}, "row 2 has inf as its weight"},
      {two, {.weight = zeros}, "all weights are 0"},
      {huge, {.weight = heavy}, "too large"},
      {two, {.group = groups, .time = times}, "both a group and a time"},
      {two, {.time = times, .horizon = 0}, "the horizon is 0"},
  };
  for (const Case& c : cases) {
    auto units = SumUnits(c.gain, c.sampling);
    ASSERT_FALSE(units) << c.says;
    EXPECT_EQ(units.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(units.error().Message(), HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace ratchet::gate
