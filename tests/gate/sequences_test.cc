#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "gate/mean_sequence.h"
#include "gate/rate_sequence.h"

namespace ratchet::gate {
namespace {

double Uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

double Choose(int n, int k) {
  double ways = 1;
  for (int i = 0; i < k; ++i) ways = ways * (n - i) / (i + 1);
  return ways;
}

// What the evidence is worth on average after n trials that hit with probability p.
template <typename Evidence>
double Expected(int n, double p, const Evidence& evidence) {
  double sum = 0;
  for (int k = 0; k <= n; ++k) sum += Choose(n, k) * std::pow(p, k) * std::pow(1 - p, n - k) * std::exp(evidence(Hits{k, n}));
  return sum;
}

TEST(RateEvidence, IsWorthOneOnAverageWhereTheHypothesisHolds) {
  for (double p : {0.01, 0.05, 0.3, 0.5, 0.9})
    for (int n : {1, 2, 7, 30}) {
      EXPECT_NEAR(Expected(n, p, [&](Hits hits) { return LogEvidenceAgainst(hits, p); }), 1, 1e-9) << p << " " << n;
      EXPECT_NEAR(Expected(n, p, [&](Hits hits) { return LogEvidenceAbove(hits, p); }), 1, 1e-9) << p << " " << n;
    }
}

TEST(RateEvidence, AboveIsWorthLessWhereTheRateIsLower) {
  for (double p : {0.05, 0.3, 0.9})
    EXPECT_LT(Expected(20, 0.8 * p, [&](Hits hits) { return LogEvidenceAbove(hits, p); }), 1) << p;
}

TEST(RateEvidence, BeginsAtOneAndNeverGoesAstray) {
  EXPECT_EQ(LogEvidenceAbove({}, 0.1), 0);
  EXPECT_EQ(AnytimeP(0), 1);
  EXPECT_EQ(AnytimeP(-5), 1);
  for (Hits hits : {Hits{0, 1'000'000'000}, Hits{1'000'000'000, 1'000'000'000}, Hits{1, 1'000'000'000}})
    EXPECT_FALSE(std::isnan(LogEvidenceAbove(hits, 0.01))) << hits.hits;
  EXPECT_LT(LogEvidenceAbove({0, 1'000'000'000}, 0.01), 0);
  EXPECT_GT(LogEvidenceAbove({20'000'000, 1'000'000'000}, 0.01), 1000);
}

TEST(RateBounds, EndWhereTheEvidenceReachesItsLimit) {
  for (Hits hits : {Hits{3, 40}, Hits{500, 1000}, Hits{12, 100'000}}) {
    const Bounds bounds = RateBounds(hits, 0.05);
    EXPECT_NEAR(LogEvidenceAgainst(hits, bounds.low), std::log(20), 1e-6);
    EXPECT_NEAR(LogEvidenceAgainst(hits, bounds.high), std::log(20), 1e-6);
  }
  EXPECT_EQ(RateBounds({0, 50}, 0.05).low, 0);
  EXPECT_EQ(RateBounds({50, 50}, 0.05).high, 1);
  EXPECT_EQ(RateBounds({}, 0.05).high, 1);
}

// Of many watches at every trial the share that ever misses.
TEST(RateBounds, MissTheTruthInFewWatchesHoweverOftenOneLooks) {
  constexpr int kWatches = 600, kTrials = 1500;
  std::mt19937_64 random(5);
  for (double p : {0.02, 0.5}) {
    int missed = 0;
    for (int watch = 0; watch < kWatches; ++watch) {
      Hits hits;
      bool out = false;
      while (!out && hits.trials < kTrials) {
        ++hits.trials;
        hits.hits += Uniform(random) < p ? 1 : 0;
        out = LogEvidenceAgainst(hits, p) >= std::log(1 / 0.05);
      }
      missed += out ? 1 : 0;
    }
    EXPECT_LE(missed, 0.05 * kWatches) << p;
    EXPECT_GT(missed, 0) << p << ": a bound that is never missed is wider than it need be";
  }
}

TEST(Latencies, CountOnlyWhatIsSurelySlower) {
  const LatencyBuckets buckets{{100, 90}, {200, 8}, {400, 2}};
  EXPECT_EQ(SlowerThan(buckets, 100).hits, 10);
  EXPECT_EQ(SlowerThan(buckets, 150).hits, 2);  // those in the bucket of 150 may be faster
  EXPECT_EQ(SlowerThan(buckets, 400).hits, 0);
  EXPECT_EQ(SlowerThan(buckets, 100).trials, 100);
  EXPECT_EQ(QuantileOf(buckets, 0.9), 100);
  EXPECT_EQ(QuantileOf(buckets, 0.99), 400);
  EXPECT_EQ(QuantileOf({}, 0.99), 0);
}

TEST(QuantileBounds, HoldTheQuantileOfEveryLook) {
  constexpr int kWatches = 300, kTrials = 2000;
  std::mt19937_64 random(7);
  int missed = 0;
  double width = 0;
  for (int watch = 0; watch < kWatches; ++watch) {
    LatencyBuckets buckets;
    bool out = false;
    for (int i = 0; i < kTrials; ++i) {
      ++buckets[static_cast<std::int64_t>(std::ceil(1000 * Uniform(random)))];
      if (i % 50 != 0) continue;
      const Bounds bounds = QuantileBounds(buckets, 0.9, 0.05);
      out = out || bounds.low > 900 || bounds.high < 900;
    }
    const Bounds last = QuantileBounds(buckets, 0.9, 0.05);
    width += (last.high - last.low) / kWatches;
    missed += out ? 1 : 0;
  }
  EXPECT_LE(missed, 0.05 * kWatches);
  EXPECT_LT(width, 80);  // of 1000, after 2000 requests; the best fixed-n interval has about 27
}

TEST(QuantileBounds, AreOpenWhileLittleIsKnown) {
  const Bounds bounds = QuantileBounds({{100, 3}}, 0.99, 0.05);
  EXPECT_EQ(bounds.low, 0);
  EXPECT_TRUE(std::isinf(bounds.high));
}

TEST(MeanSequence, MissesTheMeanInFewWatches) {
  constexpr int kWatches = 500, kNumbers = 1200;
  std::mt19937_64 random(11);
  int missed = 0;
  for (int watch = 0; watch < kWatches; ++watch) {
    MeanSequence sequence(-2, 6, 0.05);
    for (int i = 0; i < kNumbers; ++i) sequence.Add(Uniform(random) < 0.1 ? 6 * Uniform(random) : -2 * Uniform(random));
    // The intersection of all intervals misses where any of them did.
    const double mean = 0.1 * 3 + 0.9 * -1;
    missed += sequence.bounds().low > mean || sequence.bounds().high < mean ? 1 : 0;
  }
  EXPECT_LE(missed, 0.05 * kWatches);
}

TEST(MeanSequence, NarrowsWithTheSpreadNotWithTheRange) {
  MeanSequence quiet(0, 100, 0.05), wild(0, 100, 0.05);
  std::mt19937_64 random(3);
  for (int i = 0; i < 4000; ++i) {
    quiet.Add(10 + Uniform(random));
    wild.Add(Uniform(random) < 0.105 ? 100 : 0);
  }
  EXPECT_LT(quiet.bounds().high - quiet.bounds().low, 1.0);
  EXPECT_GT(wild.bounds().high - wild.bounds().low, 2.0);
  EXPECT_NEAR(quiet.mean(), 10.5, 0.1);
  EXPECT_LE(quiet.bounds().low, 10.5);
  EXPECT_GE(quiet.bounds().high, 10.5);
}

TEST(MeanSequence, TakesWhatIsOutsideForTheEnd) {
  MeanSequence sequence(0, 1, 0.05);
  sequence.Add(7);
  EXPECT_EQ(sequence.mean(), 1);
  EXPECT_LE(sequence.bounds().high, 1);
}

}  // namespace
}  // namespace ratchet::gate
