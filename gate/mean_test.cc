#include "gate/mean_test.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "gate/distributions.h"

namespace ratchet::gate {
namespace {

namespace bm = boost::math;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Spread below this share of the observations' own size is rounding, not evidence.
constexpr long double kRoundingShare = 1e-14L;

// Sums over observations of what the estimates need; residual = sum − mean · weight.
struct Residuals {
  long double mean = 0, weight = 0;
  long double largest = 0;  // of |sum| and |mean · weight|
  long double squares = 0, cubes = 0;
};

Residuals SumResiduals(std::span<const Unit> units) {
  Residuals r;
  long double sum = 0;
  for (const Unit& unit : units) {
    r.weight += unit.weight;
    sum += unit.sum;
  }
  r.mean = sum / r.weight;
  for (const Unit& unit : units) {
    long double fitted = r.mean * unit.weight, residual = unit.sum - fitted;
    r.largest = std::max({r.largest, std::fabs(static_cast<long double>(unit.sum)), std::fabs(fitted)});
    r.squares += residual * residual;
    r.cubes += residual * residual * residual;
  }
  return r;
}

bool IsSpread(const Residuals& r, size_t units, double scale) {
  if (units < 2) return false;
  long double largest = std::max(r.largest, scale * r.weight / static_cast<long double>(units));
  return std::sqrt(r.squares / static_cast<long double>(units - 1)) > kRoundingShare * largest;
}

double SkewnessOf(const Residuals& r, size_t units) {
  long double n = static_cast<long double>(units);
  return static_cast<double>(r.cubes / n / std::pow(r.squares / n, 1.5L));
}

// Σ residual_t cos(π wave (t + ½) / n). Within a block each cosine is turned from the one before.
long double CosineSum(std::span<const double> residual, std::int64_t wave) {
  constexpr size_t kBlock = 256;
  const double step = std::numbers::pi * static_cast<double>(wave) / static_cast<double>(residual.size());
  const double turn_cosine = std::cos(step), turn_sine = std::sin(step);
  long double sum = 0;
  for (size_t first = 0; first < residual.size(); first += kBlock) {
    double cosine = std::cos(step * (static_cast<double>(first) + 0.5));
    double sine = std::sin(step * (static_cast<double>(first) + 0.5));
    double part = 0;
    for (double value : residual.subspan(first, std::min(kBlock, residual.size() - first))) {
      part += value * cosine;
      double next = cosine * turn_cosine - sine * turn_sine;
      sine = sine * turn_cosine + cosine * turn_sine;
      cosine = next;
    }
    sum += part;
  }
  return sum;
}

// The statistic that is tested: t itself, or less where rare losses make t too bold. Both rise with t.
double GuardedT(const MeanEstimate& e, double t) {
  if (e.skewness >= 0) return t;
  double scale = e.skewness / std::sqrt(static_cast<double>(e.units));
  double hall = (std::pow(1 + scale * t / 3, 3) - 1) / scale + scale / 6;
  return std::min(t, hall);
}

// GuardedT turned round.
double TOfGuarded(const MeanEstimate& e, double guarded) {
  if (e.skewness >= 0) return guarded;
  double scale = e.skewness / std::sqrt(static_cast<double>(e.units));
  double t = 3 / scale * (std::cbrt(1 + scale * (guarded - scale / 6)) - 1);
  return std::max(t, guarded);
}

}  // namespace

MeanEstimate EstimateMean(std::span<const Unit> units, double scale) {
  Residuals r = SumResiduals(units);
  MeanEstimate estimate{.units = static_cast<std::int64_t>(units.size()), .mean = static_cast<double>(r.mean)};
  if (!IsSpread(r, units.size(), scale)) return estimate;
  // With h the share of the weight: error² = Σ residual²/(1 − h) / weight². Under equal, independent rows the residuals'
  // covariances are h_g [g = l] − h_g h_l, which gives Satterthwaite's degrees as below.
  long double variance = 0, shares = 0, crossed = 0, crossed_alike = 0;
  for (const Unit& unit : units) {
    long double h = unit.weight / r.weight, residual = unit.sum - r.mean * unit.weight;
    long double crossing = h * h / (1 - h);
    variance += residual * residual / (1 - h);
    shares += h * h;
    crossed += crossing;
    crossed_alike += crossing * crossing;
  }
  estimate.standard_error = static_cast<double>(std::sqrt(variance) / r.weight);
  estimate.degrees = static_cast<double>(1 / (shares + crossed * crossed - crossed_alike));
  estimate.skewness = SkewnessOf(r, units.size());
  return estimate;
}

std::int64_t ForecastCosines(std::int64_t units, int horizon) {
  double n = static_cast<double>(units);
  double most = std::min(0.4 * std::pow(n, 2.0 / 3), n / (3.0 * horizon));
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(most), 1, kMostCosines);
}

MeanEstimate EstimateForecastMean(std::span<const Unit> units, int horizon, double scale) {
  Residuals r = SumResiduals(units);
  std::int64_t n = static_cast<std::int64_t>(units.size()), cosines = ForecastCosines(n, horizon);
  MeanEstimate estimate{.units = n, .mean = static_cast<double>(r.mean)};
  if (!IsSpread(r, units.size(), scale)) return estimate;
  std::vector<double> residual;
  residual.reserve(units.size());
  for (const Unit& unit : units) residual.push_back(static_cast<double>(unit.sum - r.mean * unit.weight));
  long double squares = 0;
  for (std::int64_t wave = 1; wave <= cosines; ++wave) {
    long double sum = CosineSum(residual, wave);
    squares += sum * sum;
  }
  long double variance = 2 * squares / static_cast<long double>(cosines);
  if (cosines < kFewCosines) variance = std::max(variance, r.squares);
  // So long a horizon leaves nothing to judge by.
  if (2 * std::int64_t{horizon} > n || !(variance > 0))
    return {.units = n, .mean = estimate.mean, .standard_error = kInfinity, .degrees = 1};
  estimate.standard_error = static_cast<double>(std::sqrt(variance) / r.weight);
  estimate.degrees = static_cast<double>(cosines);
  return estimate;
}

MeanEstimate Mirrored(const MeanEstimate& estimate) {
  MeanEstimate mirrored = estimate;
  mirrored.mean = -estimate.mean;
  mirrored.skewness = -estimate.skewness;
  return mirrored;
}

double MeanP(const MeanEstimate& estimate, double gain) {
  double excess = estimate.mean - gain;
  if (estimate.standard_error == 0) return excess > 0 ? SafeP(std::exp2(-static_cast<double>(estimate.units))) : 1;
  double t = GuardedT(estimate, excess / estimate.standard_error);
  return SafeP(bm::cdf(bm::complement(StudentsT(estimate.degrees), t)));
}

double MeanLowerBound(const MeanEstimate& estimate, double alpha) {
  if (estimate.standard_error == 0)
    return std::exp2(-static_cast<double>(estimate.units)) <= alpha ? estimate.mean : -kInfinity;
  double quantile = bm::quantile(bm::complement(StudentsT(estimate.degrees), alpha));
  return estimate.mean - TOfGuarded(estimate, quantile) * estimate.standard_error;
}

double MeanUnitsForPower(const MeanEstimate& estimate, double gain, double alpha, double power) {
  if (estimate.standard_error == 0) return std::ceil(-std::log2(alpha));
  double root = (NormalQuantileAbove(alpha) + NormalQuantileAbove(1 - power)) * estimate.standard_error /
                (estimate.mean - gain);
  return root * root * static_cast<double>(estimate.units);
}

}  // namespace ratchet::gate
