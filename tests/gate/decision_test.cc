#include "gate/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/gate/reference_values.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;

struct Rows {
  PerRow per_row = PerRow::kCorrect;
  std::vector<double> candidate, opponent;
  PairedScores Scores() const { return {per_row, candidate, opponent}; }
  Rows Swapped() const { return {per_row, opponent, candidate}; }
};

Rows ShareRows(int both, int wins, int losses, int neither) {
  Rows rows;
  auto add = [&](int count, double candidate, double opponent) {
    rows.candidate.insert(rows.candidate.end(), static_cast<size_t>(count), candidate);
    rows.opponent.insert(rows.opponent.end(), static_cast<size_t>(count), opponent);
  };
  add(both, 1, 1);
  add(wins, 1, 0);
  add(losses, 0, 1);
  add(neither, 0, 0);
  return rows;
}

// Rows of any kind; `lead` shifts the candidate for the better.
Rows RandomRows(PerRow per_row, int count, double lead, std::mt19937_64& random) {
  Rows rows{.per_row = per_row};
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  for (int i = 0; i < count; ++i) {
    if (per_row == PerRow::kCorrect) {
      rows.candidate.push_back(uniform(random) < 0.7 + lead);
      rows.opponent.push_back(uniform(random) < 0.7);
    } else {
      double shared = std::fabs(normal(random));
      rows.candidate.push_back(std::max(0.0, shared + std::fabs(normal(random)) - lead));
      rows.opponent.push_back(shared + std::fabs(normal(random)));
    }
  }
  return rows;
}

// For tests that look at many verdicts.
constexpr Shown kNoResampling{.most_draws = 0};

constexpr PerRow kAllKinds[] = {PerRow::kCorrect, PerRow::kAbsoluteError, PerRow::kSquaredError, PerRow::kLogLoss};

TEST(Decide, SaysBetterWithAllItsGroundsWhenWinsFarOutnumberLosses) {
  Decision d = Decide(ShareRows(10'000, 812, 430, 712).Scores(), {}).value();
  EXPECT_EQ(d.verdict, Verdict::kBetter);
  EXPECT_EQ(d.test, "mcnemar_exact");
  EXPECT_EQ(d.rows, 11'954);
  EXPECT_EQ(d.wins, 812);
  EXPECT_EQ(d.losses, 430);
  EXPECT_DOUBLE_EQ(d.candidate, 10'812.0 / 11'954);
  EXPECT_DOUBLE_EQ(d.difference, 382.0 / 11'954);
  EXPECT_NEAR(d.p_value, 5.8909252967476476e-28, 1e-36);
  EXPECT_FALSE(d.rows_needed);
  EXPECT_EQ(d.reason,
            "Candidate 0.9045 against 0.8725 on 11,954 rows: better by 0.03196 (95 % interval 0.02623 to 0.03773, p = "
            "5.89e-28, exact McNemar 812 wins, 430 losses).");
}

TEST(Decide, TellsNoDigitsOfAPValueThatADoubleCanHardlyHold) {
  Decision d = Decide(ShareRows(0, 1'100, 0, 0).Scores(), {}).value();
  EXPECT_LT(d.p_value, 1e-300);
  EXPECT_THAT(d.reason, HasSubstr(", p < 1e-300, exact McNemar 1,100 wins"));
}

TEST(Decide, SaysNotBetterWhenTheEstimateIsNoGain) {
  Decision equal = Decide(ShareRows(50, 5, 5, 40).Scores(), {}).value();
  EXPECT_EQ(equal.verdict, Verdict::kNotBetter);
  EXPECT_THAT(equal.reason, HasSubstr("not better, the two are equal"));
  Decision worse = Decide(ShareRows(50, 2, 5, 43).Scores(), {}).value();
  EXPECT_EQ(worse.verdict, Verdict::kNotBetter);
  EXPECT_THAT(worse.reason, HasSubstr("not better, it is worse by 0.03"));
  Decision same = Decide(ShareRows(50, 0, 0, 50).Scores(), {}).value();
  EXPECT_EQ(same.verdict, Verdict::kNotBetter);
  EXPECT_EQ(same.p_value, 1);
}

TEST(Decide, SaysInconclusiveWithRowsNeededWhenTheLeadMayBeChance) {
  Decision d = Decide(ShareRows(900, 60, 40, 0).Scores(), {.confidence = 0.99}).value();
  EXPECT_EQ(d.verdict, Verdict::kInconclusive);
  // (2.326348·√0.1 + 0.841621·√0.0996)² / 0.02² = 2,506.3 rows in all.
  EXPECT_EQ(d.rows_needed, 1'507);
  EXPECT_THAT(d.reason, HasSubstr("its lead of 0.02 is not proven"));
  EXPECT_THAT(d.reason, HasSubstr("about 1,507 further rows would settle it."));
}

TEST(Decide, AsksForOneMoreRowWhenFourStraightWinsAreOneShort) {
  Decision d = Decide(ShareRows(0, 4, 0, 0).Scores(), {}).value();
  EXPECT_EQ(d.verdict, Verdict::kInconclusive);
  EXPECT_EQ(d.rows_needed, 1);
  EXPECT_EQ(Decide(ShareRows(0, 5, 0, 0).Scores(), {}).value().verdict, Verdict::kBetter);
}

TEST(Decide, ComparesTheGainWithBetterByWhenItIsAsked) {
  Rows rows = ShareRows(10'000, 812, 430, 758);
  EXPECT_EQ(Decide(rows.Scores(), {.better_by = 0.02}).value().verdict, Verdict::kBetter);
  Decision close = Decide(rows.Scores(), {.better_by = 0.03}).value();
  EXPECT_EQ(close.verdict, Verdict::kInconclusive);
  EXPECT_EQ(close.test, "tango_score");
  EXPECT_THAT(close.reason, HasSubstr("is not proven to be more than the 0.03 asked for"));
  Decision below = Decide(rows.Scores(), {.better_by = 0.05}).value();
  EXPECT_EQ(below.verdict, Verdict::kNotBetter);
  EXPECT_THAT(below.reason, HasSubstr("not better, its lead of 0.03183 is not more than the 0.05 asked for"));
}

TEST(Decide, JudgesRmseInItsOwnUnitByTheDeltaMethod) {
  for (const auto& c : reference::kRmse) {
    PairedScores scores{PerRow::kSquaredError, reference::kRmseCandidate, reference::kRmseOpponent};
    Decision d = Decide(scores, {.better_by = c.better_by}).value();
    EXPECT_NEAR(d.difference, c.gain, 1e-12);
    EXPECT_NEAR(d.opponent - d.candidate, c.gain, 1e-12);
    EXPECT_NEAR(d.p_value, c.p, 1e-9);
    EXPECT_EQ(d.test, "paired_t");
  }
}

TEST(Decide, CountsWinsByLowerErrors) {
  Rows rows{PerRow::kAbsoluteError, {1, 2, 3, 4}, {2, 3, 1, 4}};
  Decision d = Decide(rows.Scores(), {}).value();
  EXPECT_EQ(d.wins, 2);
  EXPECT_EQ(d.losses, 1);
  EXPECT_DOUBLE_EQ(d.difference, 0);
}

TEST(Decide, TakesRoundingForNoSpread) {
  Rows rows{.per_row = PerRow::kAbsoluteError};
  for (int i = 0; i < 40; ++i) {
    rows.opponent.push_back(0.1 * i + 0.1);
    rows.candidate.push_back(0.1 * i);
  }
  EXPECT_DOUBLE_EQ(Decide(rows.Scores(), {}).value().p_value, std::exp2(-40));
}

TEST(Decide, AcceptsOneRowButNeverPromotesOnItAtOrdinaryConfidence) {
  for (PerRow per_row : kAllKinds) {
    Rows rows{per_row, {per_row == PerRow::kCorrect ? 1.0 : 0.0}, {per_row == PerRow::kCorrect ? 0.0 : 1.0}};
    Decision d = Decide(rows.Scores(), {}).value();
    EXPECT_EQ(d.verdict, Verdict::kInconclusive) << PerRowName(per_row);
    EXPECT_EQ(d.p_value, 0.5);
    EXPECT_EQ(d.rows_needed, 4);
  }
}

// What holds whatever the data: the verdict follows p, the bounds agree with it, and nothing contradicts.
void ExpectConsistent(const Decision& d) {
  SCOPED_TRACE(d.reason);
  EXPECT_EQ(d.verdict == Verdict::kBetter, d.p_value <= d.alpha);
  EXPECT_EQ(d.verdict == Verdict::kBetter, d.lower_bound > d.better_by);
  EXPECT_LE(d.interval_low, d.difference + 1e-12);
  EXPECT_GE(d.interval_high, d.difference - 1e-12);
  EXPECT_EQ(d.promotes, d.verdict == Verdict::kBetter);
  EXPECT_EQ(d.verdict == Verdict::kInconclusive, d.difference > d.better_by && d.p_value > d.alpha);
  EXPECT_FALSE(d.verdict != Verdict::kInconclusive && d.rows_needed);
  EXPECT_GT(d.p_value, 0);
  EXPECT_LE(d.p_value, 1);
}

TEST(Decide, NeverContradictsItselfOverRandomScoresAndRules) {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 2'000; ++trial) {
    PerRow per_row = kAllKinds[trial % 4];
    double lead = std::uniform_real_distribution<double>(-0.2, 0.3)(random);
    Rows rows = RandomRows(per_row, 1 + static_cast<int>(random() % 300), lead, random);
    Rule rule{.better_by = trial % 3 == 0 ? 0.0 : 0.01 * static_cast<double>(random() % 30),
              .confidence = 0.5 + 0.4999 * static_cast<double>(random() % 100) / 100};
    ExpectConsistent(Decide(rows.Scores(), rule, kNoResampling).value());
  }
}

TEST(Decide, AgreesOnEverySmallTableOfShares) {
  for (int wins = 0; wins <= 12; ++wins)
    for (int losses = 0; losses <= 12; ++losses)
      for (int ties : {0, 1, 30})
        for (double better_by : {0.0, 0.02, 0.3})
          if (wins + losses + ties > 0)
            ExpectConsistent(
                Decide(ShareRows(ties, wins, losses, 0).Scores(), {.better_by = better_by, .confidence = 0.5}, kNoResampling)
                    .value());
}

TEST(Decide, MirrorsWhenCandidateAndOpponentSwap) {
  std::mt19937_64 random(12);
  for (int trial = 0; trial < 400; ++trial) {
    Rows rows = RandomRows(kAllKinds[trial % 4], 5 + static_cast<int>(random() % 200), 0.1, random);
    Decision one = Decide(rows.Scores(), {}, kNoResampling).value();
    Decision other = Decide(rows.Swapped().Scores(), {}, kNoResampling).value();
    EXPECT_NEAR(one.difference, -other.difference, 1e-12);
    EXPECT_NEAR(one.interval_high, -other.interval_low, 1e-9);
    EXPECT_EQ(one.wins, other.losses);
    EXPECT_EQ(one.candidate, other.opponent);
    EXPECT_FALSE(one.verdict == Verdict::kBetter && other.verdict == Verdict::kBetter);
  }
}

TEST(Decide, IsTheSameToTheLastBitWhenRowsAreShuffled) {
  std::mt19937_64 random(13);
  for (PerRow per_row : kAllKinds) {
    Rows rows = RandomRows(per_row, 500, 0.05, random), shuffled = rows;
    std::vector<size_t> order(rows.candidate.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::shuffle(order, random);
    for (size_t i = 0; i < order.size(); ++i) {
      shuffled.candidate[i] = rows.candidate[order[i]];
      shuffled.opponent[i] = rows.opponent[order[i]];
    }
    Decision one = Decide(rows.Scores(), {}).value(), other = Decide(shuffled.Scores(), {}).value();
    EXPECT_EQ(one.p_value, other.p_value);
    EXPECT_EQ(one.interval_low, other.interval_low);
    EXPECT_EQ(one.reason, other.reason);
  }
}

// Candidates whose true gain is just better_by: promoting one is an error, and alpha bounds its rate.
TEST(Decide, PromotesAtMostAlphaOfTwoThousandCandidatesThatAreNotBetter) {
  constexpr int kTrials = 2'000;
  constexpr double kAlpha = 0.05;
  // Four standard deviations of a binomial above alpha.
  const double most = kTrials * kAlpha + 4 * std::sqrt(kTrials * kAlpha * (1 - kAlpha));
  for (PerRow per_row : kAllKinds) {
    std::mt19937_64 random(14);
    int promoted = 0;
    for (int trial = 0; trial < kTrials; ++trial)
      promoted += Decide(RandomRows(per_row, 200, 0, random).Scores(), {}, kNoResampling)->verdict == Verdict::kBetter;
    EXPECT_LE(promoted, most) << PerRowName(per_row);
    EXPECT_GT(promoted, 20) << PerRowName(per_row);  // a test that never fires proves nothing
  }
}

TEST(Decide, PromotesAtMostAlphaWhenTheTrueGainIsJustBetterBy) {
  constexpr int kTrials = 2'000;
  for (int rows : {30, 400}) {
    std::mt19937_64 random(15);
    int promoted = 0;
    for (int trial = 0; trial < kTrials; ++trial)
      promoted += Decide(RandomRows(PerRow::kCorrect, rows, 0.1, random).Scores(), {.better_by = 0.1}, kNoResampling)
                      ->promotes;
    EXPECT_LE(promoted, 100 + 4 * std::sqrt(95)) << rows;
    EXPECT_GT(promoted, 20) << rows;
  }
}

TEST(Decide, PromotesAboutFourInFiveOnceTheRowsNeededHaveCome) {
  constexpr int kRows = 2'507;  // for 6 % wins, 4 % losses, confidence 0.99; see the inconclusive test above
  std::mt19937_64 random(16);
  std::discrete_distribution<int> outcome({0.90, 0.06, 0.04});
  int promoted = 0;
  for (int trial = 0; trial < 500; ++trial) {
    int count[3] = {};
    for (int i = 0; i < kRows; ++i) ++count[outcome(random)];
    promoted +=
        Decide(ShareRows(count[0], count[1], count[2], 0).Scores(), {.confidence = 0.99}, kNoResampling)->promotes;
  }
  EXPECT_NEAR(promoted / 500.0, 0.8, 0.06);
}

TEST(Decide, RefusesImpossibleInput) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  struct Case {
    Rows rows;
    Rule rule;
    std::string says;
  };
  Rows good{PerRow::kCorrect, {1}, {0}};
  const Case cases[] = {
      {{}, {}, "there are no rows"},
      {{PerRow::kCorrect, {1, 0}, {1}}, {}, "the candidate has 2 scores and the opponent 1"},
      {{PerRow::kCorrect, {1, 0.5}, {1, 1}}, {}, "row 2 has 0.5 as its correct score"},
      {{PerRow::kAbsoluteError, {1}, {-0.5}}, {}, "row 1 has -0.5 as its absolute_error score"},
      {{PerRow::kLogLoss, {nan}, {1}}, {}, "row 1 has nan"},
      {{PerRow::kSquaredError, {1}, {infinity}}, {}, "row 1 has inf"},
      {{PerRow::kLogLoss, {1e308, -1e308}, {-1e308, 1e308}}, {}, "too large"},
      {good, {.better_by = -0.1}, "better_by"},
      {good, {.better_by = nan}, "better_by"},
      {good, {.confidence = 1}, "confidence"},
      {good, {.confidence = 0.4}, "confidence"},
      {good, {.confidence = nan}, "confidence"},
  };
  for (const Case& c : cases) {
    auto decision = Decide(c.rows.Scores(), c.rule);
    ASSERT_FALSE(decision) << c.says;
    EXPECT_EQ(decision.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(decision.error().Message(), HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace ratchet::gate
