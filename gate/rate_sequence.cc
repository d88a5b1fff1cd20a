#include "gate/rate_sequence.h"

#include <boost/math/special_functions/beta.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gate/distributions.h"

namespace ratchet::gate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kHalvings = 60;  // of an interval within [0, 1]: as exact as a double

double LogBeta(double a, double b) {
  int sign = 0;  // the reentrant form: lgamma writes a global
  return lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
}

// log of the share of Beta(a, b) above p.
double LogShareAbove(double a, double b, double p) {
  const double share = boost::math::ibetac(a, b, p, QuietMath());
  return share > 0 ? std::log(share) : -kInfinity;
}

// log(p^hits (1 − p)^misses)
double LogLikelihood(Hits hits, double p) {
  const double k = static_cast<double>(hits.hits), misses = static_cast<double>(hits.trials - hits.hits);
  return (k > 0 ? k * std::log(p) : 0) + (misses > 0 ? misses * std::log1p(-p) : 0);
}

double LogMixture(Hits hits) {
  return LogBeta(static_cast<double>(hits.hits) + 0.5, static_cast<double>(hits.trials - hits.hits) + 0.5) - LogBeta(0.5, 0.5);
}

// Where between `inside`, which the evidence lets stand, and `outside`, which it may not, the one turns into the other.
double Edge(Hits hits, double inside, double outside, double log_limit) {
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (inside + outside) / 2;
    (LogEvidenceAgainst(hits, middle) < log_limit ? inside : outside) = middle;
  }
  return outside;
}

}  // namespace

double LogEvidenceAbove(Hits hits, double p) {
  if (hits.trials <= 0) return 0;
  const double a = static_cast<double>(hits.hits) + 0.5, b = static_cast<double>(hits.trials - hits.hits) + 0.5;
  return LogMixture(hits) + LogShareAbove(a, b, p) - LogShareAbove(0.5, 0.5, p) - LogLikelihood(hits, p);
}

double LogEvidenceAgainst(Hits hits, double p) {
  if (hits.trials <= 0) return 0;
  if ((p <= 0 && hits.hits > 0) || (p >= 1 && hits.hits < hits.trials)) return kInfinity;
  return LogMixture(hits) - LogLikelihood(hits, p);
}

double AnytimeP(double log_evidence) { return SafeP(std::exp(-log_evidence)); }

Bounds RateBounds(Hits hits, double alpha) {
  if (hits.trials <= 0) return {};
  const double mean = static_cast<double>(hits.hits) / static_cast<double>(hits.trials), limit = -std::log(alpha);
  Bounds bounds;
  if (hits.hits > 0) bounds.low = Edge(hits, mean, 0, limit);
  if (hits.hits < hits.trials) bounds.high = Edge(hits, mean, 1, limit);
  return bounds;
}

Hits SlowerThan(const LatencyBuckets& buckets, std::int64_t limit_us) {
  Hits slow;
  std::int64_t above_us = 0;  // all of the bucket lie above this
  for (const auto& [bound_us, count] : buckets) {
    slow.trials += count;
    if (above_us >= limit_us) slow.hits += count;
    above_us = bound_us;
  }
  return slow;
}

std::int64_t QuantileOf(const LatencyBuckets& buckets, double q) {
  std::int64_t total = 0, seen = 0;
  for (const auto& [bound_us, count] : buckets) total += count;
  for (const auto& [bound_us, count] : buckets)
    if (seen += count; static_cast<double>(seen) >= q * static_cast<double>(total)) return bound_us;
  return 0;
}

Bounds QuantileBounds(const LatencyBuckets& buckets, double q, double alpha) {
  Bounds bounds{0, kInfinity};
  Hits within;
  for (const auto& [bound_us, count] : buckets) within.trials += count;
  for (const auto& [bound_us, count] : buckets) {
    within.hits += count;
    if (LogEvidenceAgainst(within, q) < -std::log(alpha)) continue;
    const double share = static_cast<double>(within.hits) / static_cast<double>(within.trials);
    if (share < q) bounds.low = static_cast<double>(bound_us);
    if (share <= q) continue;
    bounds.high = static_cast<double>(bound_us);
    break;
  }
  return bounds;
}

}  // namespace ratchet::gate
