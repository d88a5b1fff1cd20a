#include "gate/paired_tests.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/gate/reference_values.h"

namespace ratchet::gate {
namespace {

void ExpectRelative(double actual, double wanted, double tolerance) {
  EXPECT_NEAR(actual, wanted, tolerance * std::fabs(wanted) + 1e-320);
}

TEST(McnemarP, EqualsExactSumsDownTo1e300) {
  for (const auto& c : reference::kMcnemar) {
    SCOPED_TRACE(testing::Message() << c.wins << " wins, " << c.losses << " losses");
    ExpectRelative(McnemarP({.rows = c.wins + c.losses + 5, .wins = c.wins, .losses = c.losses}), c.p, 1e-9);
  }
}

TEST(McnemarP, IsNeverZeroWhenTooSmallForADouble) {
  EXPECT_EQ(McnemarP({.rows = 100'000, .wins = 100'000, .losses = 0}), std::numeric_limits<double>::min());
}

TEST(ShareP, EqualsTheReference) {
  for (const auto& c : reference::kShares) {
    SCOPED_TRACE(testing::Message() << c.rows << " " << c.wins << " " << c.losses << " " << c.gain);
    ExpectRelative(ShareP({c.rows, c.wins, c.losses}, c.gain), c.p, 1e-7);
  }
}

TEST(ShareP, NeverFallsAsTheGainRisesFromZero) {
  for (ShareCounts counts : {ShareCounts{50, 10, 3}, {20, 20, 0}, {44, 3, 9}, {12, 0, 0}, {5, 0, 5}, {900, 31, 30}}) {
    double before = 0;
    for (int step = 0; step <= 100; ++step) {
      double p = ShareP(counts, step / 100.0);
      EXPECT_GE(p, before * (1 - 1e-9)) << counts.rows << " " << counts.wins << " " << counts.losses << " at " << step;
      before = p;
    }
  }
}

TEST(ShareLowerBound, EqualsTheReference) {
  for (const auto& c : reference::kShareBounds)
    EXPECT_NEAR(ShareLowerBound({c.rows, c.wins, c.losses}, c.alpha), c.bound, 1e-9)
        << c.rows << " " << c.wins << " " << c.losses << " " << c.alpha;
}

TEST(ShareRowsForPower, EqualsConnorsFormulaAtZero) {
  // 10 % discordant, gain 2 %: (1.644854·√0.1 + 0.841621·√(0.1 − 0.0004))² / 0.0004.
  double root = 1.6448536269514722 * std::sqrt(0.1) + 0.8416212335729143 * std::sqrt(0.0996);
  EXPECT_NEAR(ShareRowsForPower({1000, 60, 40}, 0, 0.05, 0.8), root * root / 0.0004, 1e-6);
}

}  // namespace
}  // namespace ratchet::gate
