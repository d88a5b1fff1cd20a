#pragma once

#include <cstdint>
#include <map>

// How often something happens, judged as often as one likes: bounds and evidence that hold at all looks together, so that
// a watch may look at every request and stop when it wants. All of it rests on two counts, whatever the order in which
// the trials came.
namespace ratchet::gate {

struct Hits {
  std::int64_t hits = 0, trials = 0;  // 0 ≤ hits ≤ trials
};

struct Bounds {
  double low = 0, high = 1;
};

// Logarithm of the evidence against "each trial, whatever came before, hits with probability at most p", 0 < p < 1: the mean
// likelihood ratio over Jeffreys' prior of the probabilities above p. Under the hypothesis it is a nonnegative
// supermartingale that begins at 1, so it ever reaches 1/alpha with probability at most alpha (Ville 1939; Robbins 1970, Ann.
// Math. Statist. 41:1397–1409; Howard, Ramdas, McAuliffe and Sekhon 2021, Ann. Statist. 49:1055–1080).
// Two arms between which chance divides the trials, p of them to the first: with hits = events of the first arm and trials
// = events of both, it is evidence that the first arm has more of them, however the rate of both goes up and down
// together (Lindon and Malek 2022, NeurIPS 35).
double LogEvidenceAbove(Hits hits, double p);

// The same against "each trial hits with probability p", either way. It reaches 1/alpha where the shares that arrived are
// not those that were asked for (sample ratio mismatch, the two-category case of Lindon and Malek 2022).
double LogEvidenceAgainst(Hits hits, double p);

// The smallest level at which evidence of that size would have spoken: min(1, 1/evidence). A p-value for any number of looks.
double AnytimeP(double log_evidence);

// A confidence sequence for the probability of a hit: all of its intervals together miss it with probability at most alpha.
Bounds RateBounds(Hits hits, double alpha);

// Latencies by buckets: upper bound in microseconds → how many lie above the bound before it and not above this one.
using LatencyBuckets = std::map<std::int64_t, std::int64_t>;

// How many lie above `limit_us`; those of the bucket that holds the limit count as not above, so it is never too many.
Hits SlowerThan(const LatencyBuckets& buckets, std::int64_t limit_us);

// The bucket bound at the quantile q, 0 < q < 1; 0 where there are none.
std::int64_t QuantileOf(const LatencyBuckets& buckets, double q);

// A confidence sequence for the quantile q (Howard and Ramdas 2022, Bernoulli 28:1704–1728, for one quantile by the mixture
// above): whether a latency is at most the true quantile is a trial that hits with probability q. In microseconds, on bucket
// bounds; `high` is infinite while nothing bounds it.
Bounds QuantileBounds(const LatencyBuckets& buckets, double q, double alpha);

}  // namespace ratchet::gate
