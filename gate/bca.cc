#include "gate/bca.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gate/distributions.h"
#include "gate/mean_test.h"

namespace ratchet::gate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kLeastResamples = 2'000;
constexpr double kResamplesBeyondEachEnd = 100;

struct Totals {
  double weight = 0, sum = 0, mean = 0;
};

Totals TotalsOf(std::span<const Unit> units) {
  long double weight = 0, sum = 0;
  for (const Unit& unit : units) {
    weight += unit.weight;
    sum += unit.sum;
  }
  return {static_cast<double>(weight), static_cast<double>(sum), static_cast<double>(sum / weight)};
}

// Σ d³ / (6 (Σ d²)^1.5) of d = mean − mean without the unit; 0 where nothing varies.
double JackknifeAcceleration(std::span<const Unit> units, const Totals& totals) {
  long double center = 0, squares = 0, cubes = 0;
  auto without = [&](const Unit& unit) {
    return (static_cast<long double>(totals.sum) - unit.sum) / (static_cast<long double>(totals.weight) - unit.weight);
  };
  for (const Unit& unit : units) center += without(unit);
  center /= static_cast<long double>(units.size());
  for (const Unit& unit : units) {
    long double d = center - without(unit);
    squares += d * d;
    cubes += d * d * d;
  }
  return squares > 0 ? static_cast<double>(cubes / (6 * std::pow(squares, 1.5L))) : 0;
}

// Sums over one resample of `count` of the values. One 64-bit draw gives two indices: 32 bits each by multiplication,
// whose bias is below count / 2³². Two sums, so that one addition need not wait for the other.
template <typename Value>
Value DrawSum(std::span<const Value> values, std::mt19937_64& random) {
  const std::uint64_t count = values.size();
  Value even{}, odd{};
  for (std::uint64_t i = 0; i + 1 < count; i += 2) {
    std::uint64_t bits = random();
    even += values[((bits >> 32) * count) >> 32];
    odd += values[((bits & 0xffffffffU) * count) >> 32];
  }
  if (count % 2 == 1) even += values[((random() >> 32) * count) >> 32];
  even += odd;
  return even;
}

struct UnitSum {
  double weight = 0, sum = 0;
  void operator+=(const UnitSum& other) {
    weight += other.weight;
    sum += other.sum;
  }
};

// Means of resamples, sorted. Where all weigh alike only the sums need be added.
std::vector<double> ResampledMeans(std::span<const Unit> units, std::int64_t resamples, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> means(static_cast<size_t>(resamples));
  double weight = units.front().weight;
  if (std::ranges::all_of(units, [&](const Unit& unit) { return unit.weight == weight; })) {
    std::vector<double> sums;
    for (const Unit& unit : units) sums.push_back(unit.sum);
    double all = weight * static_cast<double>(units.size());
    for (double& mean : means) mean = DrawSum<double>(sums, random) / all;
  } else {
    std::vector<UnitSum> sums;
    for (const Unit& unit : units) sums.push_back({unit.weight, unit.sum});
    for (double& mean : means) {
      UnitSum drawn = DrawSum<UnitSum>(sums, random);
      mean = drawn.sum / drawn.weight;
    }
  }
  std::ranges::sort(means);
  return means;
}

// Φ⁻¹ of the share below `mean`, equal ones counted half; kept off the ends.
double BiasCorrection(const std::vector<double>& sorted, double mean) {
  auto [first, last] = std::ranges::equal_range(sorted, mean);
  double below = static_cast<double>(first - sorted.begin()), equal = static_cast<double>(last - first);
  double count = static_cast<double>(sorted.size());
  double share = std::clamp((below + equal / 2) / count, 0.5 / count, 1 - 0.5 / count);
  return -NormalQuantileAbove(share);
}

// Linear between the order statistics, the i-th of n at i / (n + 1).
double SortedQuantile(const std::vector<double>& sorted, double share) {
  double last = static_cast<double>(sorted.size() - 1);
  double at = std::clamp(share * static_cast<double>(sorted.size() + 1) - 1, 0.0, last);
  double floor = std::floor(at);
  auto index = static_cast<size_t>(floor);
  if (floor == last) return sorted.back();
  return sorted[index] + (at - floor) * (sorted[index + 1] - sorted[index]);
}

double BcaEnd(const std::vector<double>& sorted, double bias, double acceleration, double z) {
  double shifted = bias + z;
  return SortedQuantile(sorted, NormalBelow(bias + shifted / (1 - acceleration * shifted)));
}

Interval Resampled(std::span<const Unit> units, const Totals& totals, std::int64_t resamples, std::uint64_t seed,
                   double z) {
  std::vector<double> sorted = ResampledMeans(units, resamples, seed);
  double acceleration = JackknifeAcceleration(units, totals);
  double bias = BiasCorrection(sorted, totals.mean);
  return {BcaEnd(sorted, bias, acceleration, -z), BcaEnd(sorted, bias, acceleration, z), IntervalMethod::kBca, resamples};
}

// The mean is a ratio of two sums over the units, so all derivatives are in closed form. For units of equal weight the
// terms in `tilt` vanish.
Interval Analytic(std::span<const Unit> units, const Totals& totals, double z) {
  const long double n = static_cast<long double>(units.size()), mean_weight = totals.weight / n;
  long double squares = 0, cubes = 0, bias = 0, tilt = 0, pull = 0;
  for (const Unit& unit : units) {
    long double influence = (unit.sum - totals.mean * unit.weight) / mean_weight;
    squares += influence * influence;
    cubes += influence * influence * influence;
    bias -= 2 * (unit.weight - mean_weight) * influence / mean_weight;
    tilt += influence * unit.weight;
    pull += influence * unit.sum;
  }
  long double error = std::sqrt(squares) / n;
  long double acceleration = cubes / (6 * std::pow(squares, 1.5L));
  long double direction = 1 / (n * n * error);  // of the shares, per influence
  tilt *= direction;
  pull *= direction;
  long double curvature = -tilt / mean_weight;
  double gamma = static_cast<double>(bias / (2 * n * n) / error - curvature);
  double z0 = -NormalQuantileAbove(2 * NormalBelow(static_cast<double>(acceleration)) * NormalBelow(-gamma));
  auto end = [&](double quantile) {
    double w = z0 + quantile, a = static_cast<double>(acceleration);
    long double step = w / ((1 - a * w) * (1 - a * w));
    return static_cast<double>((totals.sum / n + step * pull) / (mean_weight + step * tilt));
  };
  return {end(-z), end(z), IntervalMethod::kAbc, 0};
}

// What stands for the normal quantile; see the header.
double ExpandedQuantile(std::span<const Unit> units, const Totals& totals, double confidence) {
  MeanEstimate estimate = EstimateMean(units);
  double tail = (1 - confidence) / 2;
  if (estimate.standard_error == 0) return NormalQuantileAbove(tail);
  long double squares = 0;
  for (const Unit& unit : units) {
    long double residual = unit.sum - totals.mean * unit.weight;
    squares += residual * residual;
  }
  double bootstrap_error = static_cast<double>(std::sqrt(squares) / totals.weight);
  double t = boost::math::quantile(boost::math::complement(StudentsT(estimate.degrees), tail));
  return t * estimate.standard_error / bootstrap_error;
}

bool HasSpread(std::span<const Unit> units, const Totals& totals) {
  return units.size() > 1 && std::ranges::any_of(units, [&](const Unit& unit) {
           return std::fabs(unit.sum - totals.mean * unit.weight) > 1e-14 * std::fabs(unit.sum);
         });
}

}  // namespace

std::string_view IntervalMethodName(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::kBca:
      return "bca";
    case IntervalMethod::kAbc:
      return "abc";
    case IntervalMethod::kNone:
      return "none";
  }
  return "none";
}

Interval BcaInterval(std::span<const Unit> units, const BcaOptions& options) {
  Totals totals = TotalsOf(units);
  if (!HasSpread(units, totals)) return {-kInfinity, kInfinity, IntervalMethod::kNone, 0};
  double z = ExpandedQuantile(units, totals, options.confidence);
  double wanted = std::ceil(kResamplesBeyondEachEnd / ((1 - options.confidence) / 2));
  double resamples = std::max(wanted, static_cast<double>(kLeastResamples));
  if (resamples * static_cast<double>(units.size()) > static_cast<double>(options.most_draws))
    return Analytic(units, totals, z);
  return Resampled(units, totals, static_cast<std::int64_t>(resamples), options.seed, z);
}

}  // namespace ratchet::gate
