// The decision over comparisons: levels of looks, both rules, groups, weights, times and the interval that is shown.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gate/alpha_ledger.h"
#include "gate/decision.h"
#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

Comparison Shares(int wins, int losses, int ties) {
  Comparison comparison{.candidate = 0.8 + static_cast<double>(wins - losses) / (wins + losses + ties), .opponent = 0.8,
                        .zero_one = true};
  comparison.gain.insert(comparison.gain.end(), static_cast<size_t>(wins), 1);
  comparison.gain.insert(comparison.gain.end(), static_cast<size_t>(losses), -1);
  comparison.gain.insert(comparison.gain.end(), static_cast<size_t>(ties), 0);
  return comparison;
}

Comparison Normals(int rows, double mean, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(mean, 1);
  Comparison comparison{.candidate = 1 - mean, .opponent = 1};
  for (int i = 0; i < rows; ++i) comparison.gain.push_back(normal(random));
  return comparison;
}

TEST(Decide, AsksMoreOfALaterLook) {
  Comparison comparison = Shares(260, 200, 1'540);
  double p = McnemarP({2'000, 260, 200});
  ASSERT_NEAR(p, 0.003, 0.001);
  Decision first = Decide(comparison, {}, {}, LookUnder({}, 1)).value();
  EXPECT_EQ(first.verdict, Verdict::kBetter);
  EXPECT_NEAR(first.alpha, LevelOfLook(0.05, 1), 1e-15);
  EXPECT_EQ(first.p_value, p);
  Decision tenth = Decide(comparison, {}, {}, LookUnder({}, 10)).value();
  EXPECT_EQ(tenth.verdict, Verdict::kInconclusive);
  EXPECT_FALSE(tenth.promotes);
  EXPECT_LE(tenth.lower_bound, 0);
  EXPECT_LT(tenth.lower_bound, first.lower_bound);
  EXPECT_GT(tenth.rows_needed.value(), 1'000);
  EXPECT_THAT(tenth.reason, HasSubstr("look 10 at these rows and so judged at level 0.000304"));
  // What is shown to people does not depend on the look.
  EXPECT_EQ(first.interval_low, tenth.interval_low);
  EXPECT_EQ(first.interval_high, tenth.interval_high);
}

TEST(Decide, JudgesBy1e8AndBelowWithoutLosingDigits) {
  Decision d = Decide(Shares(400, 150, 20'000), {}, {}, LookUnder({}, 3'000)).value();
  EXPECT_LT(d.alpha, 1e-8);
  EXPECT_LT(d.p_value, 1e-25);
  EXPECT_EQ(d.verdict, Verdict::kBetter);
  EXPECT_GT(d.lower_bound, 0);
}

TEST(Decide, PromotesARefreshThatIsProvenToLoseLessThanTheMargin) {
  Rule rule{.kind = RuleKind::kNotWorse, .margin = 0.01};
  Decision same = Decide(Shares(300, 310, 19'390), {}, rule).value();
  EXPECT_EQ(same.verdict, Verdict::kNotWorse);
  EXPECT_TRUE(same.promotes);
  EXPECT_GT(same.lower_bound, -0.01);
  EXPECT_EQ(same.test, "tango_score");
  EXPECT_THAT(same.reason, HasSubstr("not worse by more than the margin of 0.01, it is worse by 0.0005"));
  Decision small = Decide(Shares(30, 31, 939), {}, rule).value();
  EXPECT_EQ(small.verdict, Verdict::kInconclusive);
  EXPECT_GT(small.rows_needed.value(), 1'000);
  EXPECT_THAT(small.reason, HasSubstr("not proven to be within the margin of 0.01"));
  Decision worse = Decide(Shares(30, 60, 910), {}, rule).value();
  EXPECT_EQ(worse.verdict, Verdict::kWorse);
  EXPECT_FALSE(worse.promotes);
  EXPECT_THAT(worse.reason, HasSubstr("worse by 0.03, no less than the margin of 0.01"));
}

TEST(Decide, HoldsTheMarginOverGainsOfAnyKind) {
  Rule rule{.kind = RuleKind::kNotWorse, .margin = 0.1};
  EXPECT_EQ(Decide(Normals(5'000, 0, 1), {}, rule)->verdict, Verdict::kNotWorse);
  EXPECT_EQ(Decide(Normals(50, 0, 1), {}, rule)->verdict, Verdict::kInconclusive);
  EXPECT_EQ(Decide(Normals(5'000, -0.3, 1), {}, rule)->verdict, Verdict::kWorse);
}

// Each user's ten rows say the same: 20 users, not 200 rows.
TEST(Decide, DoesNotCountRepeatedRowsOfAUserAsEvidence) {
  std::vector<std::uint64_t> user;
  Comparison repeated{.candidate = 0.6, .opponent = 0.5, .zero_one = true};
  for (std::uint64_t u = 0; u < 20; ++u)
    for (int row = 0; row < 10; ++row) {
      user.push_back(u);
      repeated.gain.push_back(u < 6 ? 1 : u < 10 ? -1 : 0);
    }
  Decision naive = Decide(repeated, {}, {}).value(), grouped = Decide(repeated, {.group = user}, {}).value();
  EXPECT_EQ(naive.test, "mcnemar_exact");
  EXPECT_EQ(naive.verdict, Verdict::kBetter);
  EXPECT_EQ(grouped.test, "clustered_t");
  EXPECT_EQ(grouped.verdict, Verdict::kInconclusive);
  EXPECT_EQ(grouped.units, 20);
  EXPECT_GT(grouped.p_value, 0.2);
  EXPECT_GT(grouped.interval_high - grouped.interval_low, 2 * (naive.interval_high - naive.interval_low));
  EXPECT_THAT(grouped.reason, HasSubstr("on 200 rows of 20 groups"));
  EXPECT_GT(*grouped.rows_needed, 200);
}

TEST(Decide, IsTheUngroupedTestWhenAllGroupsDiffer) {
  Comparison comparison = Shares(60, 40, 900);
  std::vector<std::uint64_t> different(1'000);
  for (std::uint64_t i = 0; i < different.size(); ++i) different[i] = i * 31 % 1'009;
  Decision one = Decide(comparison, {}, {}).value(), other = Decide(comparison, {.group = different}, {}).value();
  EXPECT_EQ(other.test, "mcnemar_exact");
  EXPECT_EQ(one.p_value, other.p_value);
  EXPECT_EQ(one.reason, other.reason);
}

TEST(Decide, CannotTellWhenAllRowsAreOfOneGroup) {
  std::vector<std::uint64_t> same(1'000, 5);
  for (double mean : {0.5, -0.5}) {
    Decision d = Decide(Normals(1'000, mean, 2), {.group = same}, {}).value();
    EXPECT_EQ(d.verdict, Verdict::kInconclusive);
    EXPECT_EQ(d.test, "none");
    EXPECT_EQ(d.p_value, 1);
    EXPECT_EQ(d.units, 1);
    EXPECT_TRUE(std::isinf(d.lower_bound));
    EXPECT_TRUE(std::isinf(d.interval_high));
    EXPECT_FALSE(d.rows_needed);
    EXPECT_THAT(d.reason, HasSubstr("there is nothing to measure chance by"));
  }
}

TEST(Decide, WeighsRows) {
  Comparison comparison{.candidate = 0.5, .opponent = 0.5, .zero_one = true};
  std::vector<double> weight;
  for (int i = 0; i < 400; ++i) {
    comparison.gain.push_back(i % 4 == 0 ? 1 : i % 4 == 1 ? -1 : 0);
    weight.push_back(i % 4 == 0 ? 5 : 1);
  }
  EXPECT_EQ(Decide(comparison, {}, {})->verdict, Verdict::kNotBetter);
  Decision weighed = Decide(comparison, {.weight = weight}, {}).value();
  EXPECT_DOUBLE_EQ(weighed.difference, 0.5);
  EXPECT_EQ(weighed.test, "clustered_t");
  EXPECT_EQ(weighed.verdict, Verdict::kBetter);
  std::ranges::fill(weight, 0.25);
  EXPECT_EQ(Decide(comparison, {.weight = weight}, {})->test, "mcnemar_exact");
}

TEST(Decide, RefusesWeightsOfZeroOnlyAndBelow) {
  Comparison comparison = Shares(1, 0, 1);
  std::vector<double> zeros = {0, 0}, negative = {1, -1}, three = {1, 1, 1};
  EXPECT_THAT(Decide(comparison, {.weight = zeros}, {}).error().Message(), HasSubstr("all weights are 0"));
  EXPECT_THAT(Decide(comparison, {.weight = negative}, {}).error().Message(), HasSubstr("row 2 has -1 as its weight"));
  EXPECT_THAT(Decide(comparison, {.weight = three}, {}).error().Message(), HasSubstr("there are 3 weights for 2 rows"));
}

// A random walk of gains: neighbours agree, so that a t of single rows would be far too sure.
TEST(Decide, TakesTimesThatFollowEachOtherForLessEvidence) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  Comparison comparison{.candidate = 1, .opponent = 1};
  std::vector<std::int64_t> time;
  double level = 0;
  for (int t = 0; t < 300; ++t) {
    level = 0.9 * level + normal(random);
    comparison.gain.push_back(0.6 + level);
    time.push_back(t);
  }
  Decision rows = Decide(comparison, {}, {}).value(), times = Decide(comparison, {.time = time, .horizon = 12}, {}).value();
  EXPECT_EQ(times.test, "diebold_mariano");
  EXPECT_EQ(times.interval_method, "test");
  EXPECT_GT(times.interval_high - times.interval_low, 2 * (rows.interval_high - rows.interval_low));
  EXPECT_GT(times.p_value, rows.p_value);
  Decision too_far = Decide(comparison, {.time = time, .horizon = 151}, {}).value();
  EXPECT_EQ(too_far.verdict, Verdict::kInconclusive);
  EXPECT_EQ(too_far.test, "none");
}

TEST(Decide, SaysHowTheIntervalWasMade) {
  EXPECT_EQ(Decide(Normals(400, 0.1, 4), {}, {})->interval_method, "bca");
  EXPECT_EQ(Decide(Normals(60'000, 0.1, 4), {}, {})->interval_method, "abc");
  Decision alike = Decide(Shares(0, 0, 100), {}, {}).value();
  EXPECT_EQ(alike.interval_method, "test");
  EXPECT_LT(alike.interval_low, 0);
  EXPECT_GT(alike.interval_high, 0);
  EXPECT_TRUE(std::isfinite(alike.interval_high));
}

// Rare losses pull BCa's interval one way and Student's t the other.
TEST(Decide, ShowsNoEndNearerThanTheTestSaysUnlessRowsAreRightOrWrong) {
  std::mt19937_64 random(8);
  std::lognormal_distribution<double> loss;
  Comparison skewed{.candidate = 2, .opponent = 1};
  for (int i = 0; i < 300; ++i) skewed.gain.push_back(-loss(random));
  Decision bca = Decide(skewed, {}, {}).value();
  Decision low = Decide(skewed, {}, {.confidence = 0.975}, {}, {.most_draws = 0}).value();  // its bound is one-sided
  EXPECT_EQ(bca.interval_method, "bca");
  EXPECT_LE(bca.interval_low, low.lower_bound);
  EXPECT_LT(bca.interval_low, bca.difference);
  EXPECT_GT(bca.interval_high, bca.difference);
  Comparison shares = Shares(60, 40, 900);
  Decision right = Decide(shares, {}, {}).value();
  EXPECT_GT(right.interval_low, Decide(shares, {}, {.confidence = 0.975})->lower_bound);
}

TEST(Decide, IsTheSameBitsForTheSameSeedAndTheSameVerdictForAnother) {
  Comparison comparison = Normals(500, 0.1, 5);
  Decision one = Decide(comparison, {}, {}, {}, {.seed = 1}).value();
  Decision again = Decide(comparison, {}, {}, {}, {.seed = 1}).value();
  Decision other = Decide(comparison, {}, {}, {}, {.seed = 2}).value();
  EXPECT_EQ(one.reason, again.reason);
  EXPECT_EQ(one.interval_low, again.interval_low);
  EXPECT_NE(one.interval_low, other.interval_low);
  EXPECT_EQ(one.p_value, other.p_value);
  EXPECT_EQ(one.lower_bound, other.lower_bound);
}

TEST(Decide, DoesNotMindTheOrderOfGroupedRows) {
  std::mt19937_64 random(6);
  Comparison comparison = Normals(600, 0.05, 6), shuffled = comparison;
  std::vector<std::uint64_t> group(600), moved(600);
  std::vector<double> weight(600), carried(600);
  std::vector<size_t> order(600);
  for (size_t i = 0; i < 600; ++i) {
    group[i] = random() % 40;
    weight[i] = 1 + static_cast<double>(random() % 7) / 3;
    order[i] = i;
  }
  std::ranges::shuffle(order, random);
  for (size_t i = 0; i < 600; ++i) {
    shuffled.gain[i] = comparison.gain[order[i]];
    moved[i] = 77 - group[order[i]];  // other names, the same groups
    carried[i] = weight[order[i]];
  }
  Decision one = Decide(comparison, {.group = group, .weight = weight}, {}).value();
  Decision other = Decide(shuffled, {.group = moved, .weight = carried}, {}).value();
  EXPECT_EQ(one.reason, other.reason);
  EXPECT_EQ(one.p_value, other.p_value);
  EXPECT_EQ(one.interval_high, other.interval_high);
}

TEST(Decide, HasADefinedOutcomeForOneRowAndForTiesEverywhere) {
  Decision win = Decide(Shares(1, 0, 0), {}, {}).value();
  EXPECT_EQ(win.verdict, Verdict::kInconclusive);
  EXPECT_EQ(win.p_value, 0.5);
  EXPECT_THAT(win.reason, HasSubstr("about 4 further rows would settle it"));
  Decision ties = Decide(Shares(0, 0, 500), {}, {}).value();
  EXPECT_EQ(ties.verdict, Verdict::kNotBetter);
  EXPECT_THAT(ties.reason, HasSubstr("not better, the two are equal"));
  Comparison flat{.candidate = 2, .opponent = 2, .gain = std::vector<double>(50, 0.0)};
  EXPECT_EQ(Decide(flat, {}, {})->verdict, Verdict::kNotBetter);
}

TEST(Decide, RefusesImpossibleComparisonsRulesAndLooks) {
  const double nan = std::nan("");
  Comparison half{.zero_one = true, .gain = {1, 0.5}}, none, with_nan{.gain = {1, nan}};
  Comparison huge{.gain = {1e300, -1e300}};
  Comparison good = Shares(1, 1, 1);
  struct Case {
    Comparison comparison;
    Rule rule;
    Look look;
    std::string says;
  };
  const Case cases[] = {
      {half, {}, {}, "row 2 gains 0.5, but rows that are right or wrong gain -1, 0 or 1"},
      {none, {}, {}, "there are no rows"},
      {with_nan, {}, {}, "row 2 has nan as its gain"},
      {good, {.kind = RuleKind::kNotWorse}, {}, "the rule is not_worse and there is no margin"},
      {good, {.margin = -1}, {}, "margin is not a number of at least 0"},
      {good, {.kind = RuleKind::kNotWorse, .margin = nan}, {}, "margin is not a number of at least 0"},
      {good, {}, {.number = 1, .level = 0.7}, "the level of the look is out of range"},
      {good, {}, {.number = -1}, "the level of the look is out of range"},
  };
  for (const Case& c : cases) {
    auto decision = Decide(c.comparison, {}, c.rule, c.look);
    ASSERT_FALSE(decision) << c.says;
    EXPECT_EQ(decision.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(decision.error().Message(), HasSubstr(c.says));
  }
  EXPECT_TRUE(Decide(huge, {}, {}));  // large, but its spread is a number
}

}  // namespace
}  // namespace ratchet::gate
