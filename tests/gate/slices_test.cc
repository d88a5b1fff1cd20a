#include "gate/slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

SliceInput Shares(std::string name, int wins, int losses, int ties, double margin = 0) {
  SliceInput slice{.name = std::move(name), .margin = margin, .comparison = {.zero_one = true}};
  auto& gain = slice.comparison.gain;
  gain.insert(gain.end(), static_cast<size_t>(wins), 1);
  gain.insert(gain.end(), static_cast<size_t>(losses), -1);
  gain.insert(gain.end(), static_cast<size_t>(ties), 0);
  return slice;
}

TEST(JudgeSlices, CallsWorseOnlyWhatIsProven) {
  std::vector<SliceInput> slices = {Shares("north", 20, 60, 420), Shares("south", 40, 50, 410), Shares("east", 60, 20, 420)};
  SliceReport report = JudgeSlices(slices, {}).value();
  EXPECT_EQ(report.slices[0].state, SliceState::kWorse);
  EXPECT_EQ(report.slices[1].state, SliceState::kHolds);
  EXPECT_EQ(report.slices[2].state, SliceState::kHolds);
  EXPECT_TRUE(report.any_worse);
  EXPECT_DOUBLE_EQ(report.slices[0].difference, -0.08);
  EXPECT_DOUBLE_EQ(report.slices[0].p_worse, McnemarP({500, 60, 20}));
  EXPECT_EQ(report.slices[0].test, "mcnemar_exact");
  EXPECT_EQ(report.reason, "Proven worse beyond the margin: north by 0.08.");
}

TEST(JudgeSlices, StepsDownByWhatExactTestsCanUse) {
  std::vector<SliceInput> slices = {Shares("a", 20, 34, 900), Shares("b", 20, 44, 900), Shares("c", 20, 38, 900),
                                    Shares("d", 30, 20, 900)};
  SliceReport report = JudgeSlices(slices, {}).value();
  double a = McnemarP({954, 34, 20}), b = McnemarP({964, 44, 20}), c = McnemarP({958, 38, 20}), d = McnemarP({950, 20, 30});
  ASSERT_LT(b, c);
  ASSERT_LT(c, a);
  auto chance = [](double p, std::vector<std::int64_t> differing) {
    double sum = 0;
    for (std::int64_t rows : differing) sum += McnemarSize(rows, p);
    return sum;
  };
  EXPECT_DOUBLE_EQ(report.slices[1].p_adjusted, chance(b, {64, 58, 54, 50}));
  EXPECT_LT(report.slices[1].p_adjusted, 4 * b);
  EXPECT_DOUBLE_EQ(report.slices[2].p_adjusted, std::max(report.slices[1].p_adjusted, chance(c, {58, 54, 50})));
  EXPECT_DOUBLE_EQ(report.slices[0].p_adjusted, std::max(report.slices[2].p_adjusted, chance(a, {54, 50})));
  EXPECT_DOUBLE_EQ(report.slices[3].p_adjusted, d);
  EXPECT_EQ(report.slices[1].state, SliceState::kWorse);
  // Below 5 % alone, not among four.
  EXPECT_LT(a, 0.05);
  EXPECT_EQ(report.slices[0].state, SliceState::kHolds);
}

TEST(JudgeSlices, ForgivesALossWithinTheMargin) {
  std::vector<SliceInput> strict = {Shares("a", 20, 60, 920)}, lenient = {Shares("a", 20, 60, 920, 0.03)};
  std::vector<SliceInput> far = {Shares("a", 20, 160, 820, 0.03)};
  EXPECT_TRUE(JudgeSlices(strict, {})->any_worse);
  EXPECT_FALSE(JudgeSlices(lenient, {})->any_worse);
  EXPECT_TRUE(JudgeSlices(far, {})->any_worse);
  EXPECT_EQ(JudgeSlices(far, {})->slices[0].test, "tango_score");
}

TEST(JudgeSlices, ListsSmallSlicesInsteadOfPassingThem) {
  std::vector<SliceInput> slices = {Shares("tiny", 0, 30, 20), Shares("none", 0, 0, 0), Shares("big", 5, 5, 190)};
  SliceReport report = JudgeSlices(slices, {.min_rows = 100}).value();
  EXPECT_EQ(report.slices[0].state, SliceState::kTooSmall);
  EXPECT_EQ(report.slices[0].rows, 50);
  EXPECT_DOUBLE_EQ(report.slices[0].difference, -0.6);  // shown all the same
  EXPECT_EQ(report.slices[0].p_adjusted, 1);
  EXPECT_TRUE(std::isinf(report.slices[0].detectable_loss));
  EXPECT_EQ(report.slices[1].state, SliceState::kTooSmall);
  EXPECT_EQ(report.slices[1].rows, 0);
  EXPECT_FALSE(report.any_worse);
  EXPECT_EQ(report.reason, "None of 1 slices is proven worse; too small to tell: tiny, none.");
  // What is not tested costs the others nothing.
  std::vector<SliceInput> alone = {slices[2]};
  EXPECT_EQ(JudgeSlices(alone, {.min_rows = 100})->slices[0].p_adjusted, report.slices[2].p_adjusted);
}

TEST(JudgeSlices, SaysWhatASliceThatHoldsIsWorth) {
  std::vector<SliceInput> slices = {Shares("a", 10, 10, 180), Shares("b", 500, 500, 9'000)};
  SliceReport report = JudgeSlices(slices, {}).value();
  // (1.96 + 0.84) · √0.1 / √rows, nearly.
  EXPECT_NEAR(report.slices[0].detectable_loss, 2.8016 * std::sqrt(0.1 / 200), 0.003);
  EXPECT_NEAR(report.slices[1].detectable_loss, 2.8016 * std::sqrt(0.1 / 10'000), 0.0003);
}

TEST(JudgeSlices, JudgesByGroups) {
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  Comparison whole{.candidate = 1, .opponent = 1};
  std::vector<std::uint64_t> group;
  std::vector<std::uint32_t> even;
  double level = 0;
  for (std::uint32_t row = 0; row < 2'000; ++row) {
    if (row % 100 == 0) level = normal(random) - 0.05;
    whole.gain.push_back(level + 0.1 * normal(random));
    group.push_back(row / 100);
    if (row % 2 == 0) even.push_back(row);
  }
  std::vector<SliceInput> by_row = {PickSlice("even", 0, whole, {}, even)};
  std::vector<SliceInput> by_group = {PickSlice("even", 0, whole, {.group = group}, even)};
  SliceReport rows = JudgeSlices(by_row, {}).value(), groups = JudgeSlices(by_group, {}).value();
  EXPECT_EQ(rows.slices[0].rows, 1'000);
  EXPECT_EQ(groups.slices[0].units, 20);
  EXPECT_DOUBLE_EQ(rows.slices[0].difference, groups.slices[0].difference);
  EXPECT_TRUE(rows.any_worse);
  EXPECT_FALSE(groups.any_worse);
  EXPECT_EQ(groups.slices[0].test, "clustered_t");
}

TEST(JudgeSlices, CannotTellWhereASliceIsOneGroup) {
  SliceInput slice = Shares("one user", 0, 150, 50);
  slice.group.assign(200, 3);
  std::vector<SliceInput> slices = {slice};
  SliceReport report = JudgeSlices(slices, {}).value();
  EXPECT_EQ(report.slices[0].state, SliceState::kCannotTell);
  EXPECT_FALSE(report.any_worse);
  EXPECT_THAT(report.reason, HasSubstr("one group only, so nothing to tell chance by: one user"));
}

TEST(JudgeSlices, TakesASliceWithoutWeightForEmpty) {
  SliceInput slice = Shares("weightless", 0, 150, 50);
  slice.weight.assign(200, 0);
  std::vector<SliceInput> slices = {slice};
  EXPECT_EQ(JudgeSlices(slices, {})->slices[0].state, SliceState::kTooSmall);
}

TEST(JudgeSlices, RefusesImpossibleInputByTheNameOfTheSlice) {
  std::vector<SliceInput> bad_gain = {Shares("a", 1, 1, 200)}, bad_margin = {Shares("b", 1, 1, 200, -0.1)};
  bad_gain[0].comparison.gain[3] = std::nan("");
  std::vector<SliceInput> good = {Shares("a", 1, 1, 200)};
  EXPECT_THAT(JudgeSlices(bad_gain, {}).error().Message(), HasSubstr("slice a: row 4 has nan as its gain"));
  EXPECT_THAT(JudgeSlices(bad_margin, {}).error().Message(), HasSubstr("slice b: margin is not a number"));
  EXPECT_THAT(JudgeSlices(good, {.min_rows = 0}).error().Message(), HasSubstr("min_rows"));
  EXPECT_THAT(JudgeSlices(good, {.confidence = 1}).error().Message(), HasSubstr("confidence"));
  EXPECT_TRUE(JudgeSlices({}, {})->reason.empty());
}

TEST(JudgeSlices, BlamesNoneOfTenSlicesThatAreEqualButForAlpha) {
  std::mt19937_64 random(7);
  std::discrete_distribution<int> outcome({0.9, 0.05, 0.05});
  constexpr int kTrials = 2'000;
  int blamed = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<SliceInput> slices;
    for (int s = 0; s < 10; ++s) {
      int count[3] = {};
      for (int i = 0; i < 300; ++i) ++count[outcome(random)];
      slices.push_back(Shares("s", count[1], count[2], count[0]));
    }
    blamed += JudgeSlices(slices, {.shown = {.most_draws = 0}})->any_worse;
  }
  EXPECT_LE(blamed, kTrials * 0.05 + 4 * std::sqrt(kTrials * 0.05 * 0.95));
  EXPECT_GT(blamed, 10);
}

TEST(WithSlices, KeepsOutACandidateThatIsBetterOnTheWholeAndProvenWorseInAPart) {
  Comparison whole = Shares("", 300, 100, 1'000).comparison;
  Decision decision = Decide(whole, {}, {}).value();
  ASSERT_TRUE(decision.promotes);
  std::vector<SliceInput> bad = {Shares("north", 20, 60, 420)}, good = {Shares("north", 60, 20, 420)};
  Decision blocked = WithSlices(decision, JudgeSlices(bad, {}).value());
  EXPECT_FALSE(blocked.promotes);
  EXPECT_EQ(blocked.verdict, Verdict::kBetter);
  EXPECT_THAT(blocked.reason, HasSubstr(". Proven worse beyond the margin: north by 0.08."));
  EXPECT_TRUE(WithSlices(decision, JudgeSlices(good, {}).value()).promotes);
}

}  // namespace
}  // namespace ratchet::gate
