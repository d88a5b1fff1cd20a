#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "gate/sampling.h"

// What the interval that is shown is made of (gate/shown_interval.h): bias-corrected and accelerated bootstrap of the mean
// gain (Efron 1987, JASA 82:171–185), resampling whole observations, so groups where there are groups. The verdict does not
// rest on it. Resampling makes intervals too narrow where observations are few or of unequal weight; so the normal quantile in
// it is replaced by that of Student's t at the degrees of EstimateMean, times the ratio of its error to the bootstrap's
// ("expanded", Hesterberg 2015, The American Statistician 69:371–386).
namespace ratchet::gate {

struct BcaOptions {
  double confidence = 0.95;  // two-sided, equal tails, in (0, 1)
  std::uint64_t seed = 1;    // the same seed, observations and options give the same bits
  // Draws of observations that may be spent: 40 million are about 0.1 s.
  std::int64_t most_draws = 40'000'000;
};

enum class IntervalMethod {
  kBca,   // resampled
  kAbc,   // the same interval without resampling, to second order: for so many observations that resampling is too slow
  kNone,  // no spread to resample; the interval is open
};
std::string_view IntervalMethodName(IntervalMethod method);  // "bca", "abc", "none"

struct Interval {
  double low = 0, high = 0;
  IntervalMethod method = IntervalMethod::kNone;
  std::int64_t resamples = 0;
};

// At least 100 resamples are expected beyond each end; where that many would cost more than most_draws the answer is
// DiCiccio and Efron's ABC interval (1992, Biometrika 79:231–245). Its error against BCa falls with the number of
// observations and is below 1 % of the width from some 1,000 on. For units in time order (`Units::timed`) the bootstrap
// of single units would be wrong: use the test's own interval. `units` not empty.
Interval BcaInterval(std::span<const Unit> units, const BcaOptions& options);

}  // namespace ratchet::gate
