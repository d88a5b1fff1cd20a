#pragma once

#include <cstdint>

// One-sided tests of "the gain is at most g" on paired rows that are right or wrong, and the lower bounds that come from
// turning each test round. A gain is positive where the candidate did better. Upper bounds are the lower bounds of the
// mirrored pair, negated. p-values are never 0: what is too small for a double is the least normal double, about
// 2.2e-308. For gains of any other kind see gate/mean_test.h.
namespace ratchet::gate {

// 0/1 scores: only the rows on which the two differ carry evidence.
struct ShareCounts {
  std::int64_t rows = 0;    // ≥ 1
  std::int64_t wins = 0;    // candidate right, opponent wrong
  std::int64_t losses = 0;  // the other way round
};

// Gain ≤ 0: the exact McNemar test, P(Binomial(wins + losses, 1/2) ≥ wins); no mid-p.
double McnemarP(const ShareCounts& counts);

// The chance of a McnemarP of at most `p` where candidate and opponent differ on so many rows and are equal: the greatest
// value ≤ `p` that the test can take, 0 where there is none. `differing` ≥ 0.
double McnemarSize(std::int64_t differing, double p);

// Gain ≤ `gain`, any gain in [−1, 1]: Tango's score statistic (Tango 1998, Statistics in Medicine 17:891–908) with a
// continuity correction of one row, so that it errs towards keeping the opponent. At gain = 0 it is McnemarP instead,
// and above 0 never less than that.
double ShareP(const ShareCounts& counts, double gain);

// The least gain that ShareP does not refute at `alpha` ≤ 0.5; in [−1, 1].
double ShareLowerBound(const ShareCounts& counts, double alpha);

// Rows in all that would make ShareP ≤ alpha with the given power if the observed shares are the true ones (Connor
// 1987, Biometrics 43:207–211, with the score variance at `gain`). The observed gain must exceed `gain`.
double ShareRowsForPower(const ShareCounts& counts, double gain, double alpha, double power);

}  // namespace ratchet::gate
