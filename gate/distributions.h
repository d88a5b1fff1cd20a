#pragma once

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

// The distributions behind the tests, without exceptions. Included by sources of this room only: Boost.Math is slow to
// compile.
namespace ratchet::gate {

// Errors come back as NaN or infinity; SafeP turns them into "no evidence".
using QuietMath = boost::math::policies::policy<
    boost::math::policies::domain_error<boost::math::policies::errno_on_error>,
    boost::math::policies::pole_error<boost::math::policies::errno_on_error>,
    boost::math::policies::overflow_error<boost::math::policies::errno_on_error>,
    boost::math::policies::evaluation_error<boost::math::policies::errno_on_error>>;
using Binomial = boost::math::binomial_distribution<double, QuietMath>;
using Normal = boost::math::normal_distribution<double, QuietMath>;
using StudentsT = boost::math::students_t_distribution<double, QuietMath>;

// In [least normal double, 1]; NaN is 1.
inline double SafeP(double p) {
  return std::isnan(p) ? 1 : std::clamp(p, std::numeric_limits<double>::min(), 1.0);
}

inline double NormalBelow(double z) { return boost::math::cdf(Normal(), z); }
inline double NormalAbove(double z) { return boost::math::cdf(boost::math::complement(Normal(), z)); }
// The z with this much of the normal distribution above it, 0 < tail < 1.
inline double NormalQuantileAbove(double tail) {
  return boost::math::quantile(boost::math::complement(Normal(), tail));
}

}  // namespace ratchet::gate
