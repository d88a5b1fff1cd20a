#pragma once

#include <cstdint>
#include <span>

#include "gate/sampling.h"

// One-sided tests of "the gain is at most g" where the gain is a mean over independent observations, and the lower
// bounds that come from turning each test round. Upper bounds are the lower bounds of the mirrored estimate, negated.
// p-values are never 0: what is too small for a double is the least normal double, about 2.2e-308.
namespace ratchet::gate {

struct MeanEstimate {
  std::int64_t units = 0;  // independent observations, ≥ 1
  double mean = 0;
  double standard_error = 0;  // 0 = all observations gain alike, or there is one only
  double degrees = 0;         // of freedom of Student's t, > 0 where standard_error is
  // Of the observations. Below 0 (rare, large losses) Student's t alone says "better" too often, since a sample may
  // hold none of the losses; the tests then take the larger p of it and of Hall's transformation of it (Hall 1992, JRSS B
  // 54:221–228), which corrects for skewness to second order. 0 where unknown or of no matter.
  double skewness = 0;
};

// The mean of observations, with the error of their sums that does not care how rows correlate within one (Liang and
// Zeger 1986) and the corrections that few or unequal ones need: each residual is scaled as in CR2 and the degrees are
// Satterthwaite's (Bell and McCaffrey 2002, Survey Methodology 28:169–181). Observations of equal weight have units − 1
// degrees and the common error; the degrees are fewer where few weigh much. One row each is Student's paired t.
// `scale` ≥ 0 is the size of the scores that the gains are differences of, so that their rounding is not taken for spread.
MeanEstimate EstimateMean(std::span<const Unit> units, double scale = 0);

// The mean of observations in the order of time, for Diebold and Mariano's test: the error allows for autocorrelation by
// the equal-weighted cosine estimate of the long-run variance, the mean of the squares of the first ForecastCosines cosine
// sums of the residuals; Student's t then has just as many degrees (Müller 2007, J. Econometrics 141:1331–1352; Lazarus,
// Lewis, Stock and Watson 2018, J. Business & Economic Statistics 36:541–559). With fewer than kFewCosines, which discrete
// gains can make vanish by chance, it is at least that of independent observations. The error is infinite where the horizon
// is more than half of the observations.
MeanEstimate EstimateForecastMean(std::span<const Unit> units, int horizon, double scale = 0);

// ⌊0.4 units^⅔⌋ as Lazarus et al. advise, but at most units / (3 horizon), so that errors that overlap over horizon − 1
// steps bias the variance by no more than some 3 %, and from 1 to kMostCosines, beyond which Student's t is the normal.
std::int64_t ForecastCosines(std::int64_t units, int horizon);
inline constexpr std::int64_t kFewCosines = 4, kMostCosines = 128;

MeanEstimate Mirrored(const MeanEstimate& estimate);

// Gain ≤ `gain`: Student's t of the mean. With no spread there is no t; the exact sign test speaks instead: every
// observation above `gain` has p = 2^−units, otherwise 1.
double MeanP(const MeanEstimate& estimate, double gain);

// The least gain that MeanP does not refute at `alpha` ≤ 0.5; minus infinity where observations without spread are too
// few to refute any.
double MeanLowerBound(const MeanEstimate& estimate, double alpha);

// Observations in all that would make MeanP ≤ alpha with the given power if the estimate is the truth, by the normal
// approximation. The mean must exceed `gain`.
double MeanUnitsForPower(const MeanEstimate& estimate, double gain, double alpha, double power);

}  // namespace ratchet::gate
