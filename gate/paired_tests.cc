#include "gate/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gate/distributions.h"

namespace ratchet::gate {
namespace {

namespace bm = boost::math;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kBisections = 200;  // more than the bits of a double

// Variance of one row's gain (−1, 0 or 1) under the likeliest shares whose gain is `gain`.
double ScoreVariance(const ShareCounts& counts, double gain) {
  double rows = static_cast<double>(counts.rows), wins = static_cast<double>(counts.wins);
  double losses = static_cast<double>(counts.losses);
  double a = 2 * rows;
  double b = -wins - losses + (2 * rows - wins + losses) * gain;
  double c = -losses * gain * (1 - gain);
  double loss_share = (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
  return std::max(0.0, 2 * loss_share + gain * (1 - gain));
}

double ScoreStatistic(const ShareCounts& counts, double gain) {
  double rows = static_cast<double>(counts.rows);
  double excess = static_cast<double>(counts.wins - counts.losses) - rows * gain - 1;
  double spread = std::sqrt(rows * ScoreVariance(counts, gain));
  if (spread > 0) return excess / spread;
  return excess > 0 ? kInfinity : -kInfinity;
}

double ScoreLowerBound(const ShareCounts& counts, double alpha) {
  double wanted = NormalQuantileAbove(alpha);
  double refuted = -1, kept = 1;  // the statistic falls as the gain rises
  if (ScoreStatistic(counts, refuted) <= wanted) return refuted;
  for (int i = 0; i < kBisections; ++i) {
    double middle = (refuted + kept) / 2;
    (ScoreStatistic(counts, middle) >= wanted ? refuted : kept) = middle;
  }
  return refuted;
}

}  // namespace

double McnemarP(const ShareCounts& counts) {
  if (counts.wins == 0) return 1;
  Binomial chance(static_cast<double>(counts.wins + counts.losses), 0.5);
  return SafeP(bm::cdf(bm::complement(chance, static_cast<double>(counts.wins - 1))));
}

double McnemarSize(std::int64_t differing, double p) {
  if (p >= 1) return 1;
  auto p_of = [&](std::int64_t wins) { return McnemarP({differing, wins, differing - wins}); };
  std::int64_t above = 0, within = differing + 1;  // wins whose p is above `p`, and at most that
  while (within - above > 1) {
    std::int64_t middle = above + (within - above) / 2;
    (p_of(middle) <= p ? within : above) = middle;
  }
  return within > differing ? 0 : p_of(within);
}

double ShareP(const ShareCounts& counts, double gain) {
  if (gain == 0) return McnemarP(counts);
  if (gain >= 1) return 1;
  double statistic = ScoreStatistic(counts, gain);
  double p = std::isinf(statistic) ? (statistic > 0 ? 0.0 : 1.0) : bm::cdf(bm::complement(Normal(), statistic));
  return gain > 0 ? std::max(SafeP(p), McnemarP(counts)) : SafeP(p);
}

double ShareLowerBound(const ShareCounts& counts, double alpha) {
  double bound = ScoreLowerBound(counts, alpha);
  bool above_zero = McnemarP(counts) <= alpha;
  return above_zero ? std::max(bound, std::numeric_limits<double>::min()) : std::min(bound, 0.0);
}

double ShareRowsForPower(const ShareCounts& counts, double gain, double alpha, double power) {
  double rows = static_cast<double>(counts.rows);
  double discordant = static_cast<double>(counts.wins + counts.losses) / rows;
  double observed = static_cast<double>(counts.wins - counts.losses) / rows;
  double spread_if_null = std::sqrt(ScoreVariance(counts, gain));
  double spread_if_true = std::sqrt(std::max(0.0, discordant - observed * observed));
  double root = (NormalQuantileAbove(alpha) * spread_if_null + NormalQuantileAbove(1 - power) * spread_if_true) /
                (observed - gain);
  // However lopsided, fewer differing rows than this cannot reach alpha in the exact test.
  double least = std::ceil(-std::log2(alpha)) / discordant;
  return std::max(root * root, least);
}

}  // namespace ratchet::gate
