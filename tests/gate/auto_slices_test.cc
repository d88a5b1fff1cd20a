#include "gate/auto_slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gate/slices.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

std::vector<std::string> NamesOf(const std::vector<RowSlice>& slices) {
  std::vector<std::string> names;
  for (const RowSlice& slice : slices) names.push_back(slice.name);
  return names;
}

TEST(CommonSlices, AreTheCategoriesThatHaveRowsMostFirst) {
  std::vector<std::uint32_t> code = {0, 2, 2, 0, 2, 2};
  auto slices = CommonSlices({.name = "region", .categories = {"north", "south", "east"}, .code = code});
  EXPECT_EQ(NamesOf(slices), (std::vector<std::string>{"region = east", "region = north"}));
  EXPECT_EQ(slices[0].rows, (std::vector<std::uint32_t>{1, 2, 4, 5}));
}

TEST(CommonSlices, PutRareCategoriesTogether) {
  std::vector<std::uint32_t> code;
  std::vector<std::string> categories;
  for (std::uint32_t c = 0; c < 60; ++c) {
    categories.push_back(std::to_string(c));
    code.insert(code.end(), c < 50 ? 3 : 1, c);
  }
  auto slices = CommonSlices({.name = "c", .categories = categories, .code = code});
  ASSERT_EQ(slices.size(), kMostCategories + 1);
  EXPECT_EQ(slices.back().name, "c = any other");
  EXPECT_EQ(slices.back().rows.size(), 10U);
  size_t rows = 0;
  for (const RowSlice& slice : slices) rows += slice.rows.size();
  EXPECT_EQ(rows, code.size());
}

TEST(CommonSlices, AreTheQuartilesOfANumberAndItsMissingValues) {
  std::vector<double> price;
  for (int i = 1; i <= 100; ++i) price.push_back(i);
  price.push_back(std::nan(""));
  auto slices = CommonSlices({.name = "price", .number = price});
  EXPECT_EQ(NamesOf(slices), (std::vector<std::string>{"price <= 25", "25 < price <= 50", "50 < price <= 75", "price > 75",
                                                       "price is missing"}));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(slices[i].rows.size(), 25U) << slices[i].name;
  EXPECT_EQ(slices[4].rows, (std::vector<std::uint32_t>{100}));
}

TEST(CommonSlices, AreFewerWhereNumbersRepeat) {
  std::vector<double> flat(40, 3.0), empty;
  EXPECT_EQ(NamesOf(CommonSlices({.name = "x", .number = flat})), (std::vector<std::string>{"x is there"}));
  EXPECT_TRUE(CommonSlices({.name = "x", .number = empty}).empty());
}

// Right but for a corner: region east with a price above 70 loses.
struct Shop {
  std::vector<double> gain, price, noise;
  std::vector<std::uint32_t> region;
  std::vector<std::uint64_t> user;
  std::vector<Feature> Features() const {
    return {{.name = "region", .categories = {"north", "south", "east"}, .code = region},
            {.name = "price", .number = price},
            {.name = "noise", .number = noise}};
  }
  Comparison Whole() const { return {.candidate = 1, .opponent = 1, .gain = gain}; }
};

Shop Sell(int rows, double loss, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(0, 100);
  Shop shop;
  for (int i = 0; i < rows; ++i) {
    shop.region.push_back(static_cast<std::uint32_t>(random() % 3));
    shop.price.push_back(uniform(random));
    shop.noise.push_back(normal(random));
    shop.user.push_back(random() % 400);
    bool corner = shop.region.back() == 2 && shop.price.back() > 70;
    shop.gain.push_back(normal(random) - (corner ? loss : 0));
  }
  return shop;
}

TEST(WorstSegments, FindTheCornerThatLosesAndProveItOnOtherRows) {
  Shop shop = Sell(12'000, 0.6, 1);
  auto features = shop.Features();
  auto segments = WorstSegments(shop.gain, {}, features, {});
  ASSERT_FALSE(segments.empty());
  EXPECT_THAT(segments[0].name, HasSubstr("region = east"));
  EXPECT_THAT(segments[0].name, HasSubstr("price > "));
  int in_corner = 0;
  for (std::uint32_t row : segments[0].rows) in_corner += shop.region[row] == 2 && shop.price[row] > 65;
  EXPECT_GT(in_corner, 0.95 * static_cast<double>(segments[0].rows.size()));
  EXPECT_GT(in_corner, 400);  // about half of the 1,200 rows of the corner
  std::vector<SliceInput> slices = {PickSlice(segments[0].name, 0, shop.Whole(), {}, segments[0].rows)};
  SliceReport report = JudgeSlices(slices, {}).value();
  EXPECT_EQ(report.slices[0].state, SliceState::kWorse);
  EXPECT_NEAR(report.slices[0].difference, -0.6, 0.2);
}

// The search must not make its own evidence: what is found in noise is blamed no more often than alpha.
TEST(WorstSegments, FoundInNoiseAreRarelyBlamed) {
  int blamed = 0, found = 0;
  constexpr int kTrials = 1'500;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    Shop shop = Sell(2'000, 0, 100 + trial);
    auto features = shop.Features();
    std::vector<SliceInput> slices;
    for (const RowSlice& segment : WorstSegments(shop.gain, {}, features, {}))
      slices.push_back(PickSlice(segment.name, 0, shop.Whole(), {}, segment.rows));
    found += !slices.empty();
    blamed += JudgeSlices(slices, {.shown = {.most_draws = 0}})->any_worse;
  }
  EXPECT_GT(found, 20);
  EXPECT_LE(blamed, found * 0.05 + 4 * std::sqrt(found * 0.05 * 0.95));  // on the rows of the search it were nearly all
}

TEST(WorstSegments, KeepGroupsWholeAndRowsToTheirHalf) {
  Shop shop = Sell(12'000, 0.6, 3);
  auto features = shop.Features();
  auto segments = WorstSegments(shop.gain, {.group = shop.user}, features, {.min_rows = 200});
  ASSERT_FALSE(segments.empty());
  std::vector<bool> seen(400);
  for (const RowSlice& segment : segments) {
    EXPECT_GE(segment.rows.size(), 200U);
    EXPECT_TRUE(std::ranges::is_sorted(segment.rows));
    for (std::uint32_t row : segment.rows) seen[shop.user[row]] = true;
  }
  // Users of the growing half never show: about 200 of 400 do.
  EXPECT_NEAR(static_cast<double>(std::ranges::count(seen, true)), 200, 45);
}

TEST(WorstSegments, AreTheSameForTheSameSeed) {
  Shop shop = Sell(4'000, 0.6, 4);
  auto features = shop.Features();
  auto one = WorstSegments(shop.gain, {}, features, {.seed = 5}), same = WorstSegments(shop.gain, {}, features, {.seed = 5});
  ASSERT_EQ(NamesOf(one), NamesOf(same));
  EXPECT_EQ(one[0].rows, same[0].rows);
}

TEST(WorstSegments, AreNoneWithoutFeaturesRowsOrLosses) {
  Shop shop = Sell(1'000, 0, 5);
  auto features = shop.Features();
  EXPECT_TRUE(WorstSegments(shop.gain, {}, {}, {}).empty());
  EXPECT_TRUE(WorstSegments({}, {}, {}, {}).empty());
  EXPECT_TRUE(WorstSegments(shop.gain, {}, features, {.min_rows = 600}).empty());
  std::vector<double> gains(shop.gain.size(), 0.5);
  EXPECT_TRUE(WorstSegments(gains, {}, features, {}).empty());
}

}  // namespace
}  // namespace ratchet::gate
