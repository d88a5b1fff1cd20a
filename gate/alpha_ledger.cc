#include "gate/alpha_ledger.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/math/special_functions/trigamma.hpp>
#include <cmath>
#include <numbers>

#include "gate/distributions.h"
#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

constexpr double kPower = 0.8;
constexpr int kBisections = 100;
constexpr double kShareOfFirst = 6 / (std::numbers::pi * std::numbers::pi);

LookForecast Foresee(const AlphaBudget& budget, std::int64_t units, double least_gain, double realistic_gain) {
  LookForecast forecast{.look = budget.looks + 1,
                        .level = budget.next_level,
                        .least_gain = least_gain,
                        .worthwhile = least_gain <= realistic_gain};
  forecast.sentence = fmt::format(
      "Look {} at these {} rows is judged at level {:.2g}: a true gain of {:.3g} or more would be proven with 80 % "
      "power{}.",
      forecast.look, units, forecast.level, least_gain,
      forecast.worthwhile ? "" : fmt::format(", but no more than {:.3g} can be hoped for: push fresh rows before "
                                              "training", realistic_gain));
  return forecast;
}

}  // namespace

double LevelOfLook(double alpha, std::int64_t look) {
  double k = static_cast<double>(look);
  return alpha * kShareOfFirst / (k * k);
}

AlphaBudget BudgetAfter(double alpha, std::int64_t looks) {
  // The trigamma function is the tail Σ 1/k² over k > looks.
  double left = alpha * kShareOfFirst * boost::math::trigamma(static_cast<double>(looks) + 1);
  return {.alpha = alpha, .looks = looks, .spent = looks == 0 ? 0 : alpha - left, .left = looks == 0 ? alpha : left,
          .next_level = LevelOfLook(alpha, looks + 1)};
}

double LeastMeanGain(double level, double units, double standard_deviation, double power) {
  return (NormalQuantileAbove(level) + NormalQuantileAbove(1 - power)) * standard_deviation / std::sqrt(units);
}

double LeastShareGain(double level, std::int64_t rows, double differing, double power) {
  double z = NormalQuantileAbove(level), z_power = NormalQuantileAbove(1 - power);
  double n = static_cast<double>(rows);
  // Fewer differing rows than this cannot reach the level, however they fall.
  if (differing * n < std::ceil(-std::log2(level))) return 1;
  auto suffices = [&](double gain) {
    double root = (z * std::sqrt(differing) + z_power * std::sqrt(std::max(0.0, differing - gain * gain))) / gain;
    return root * root <= n;
  };
  if (!suffices(differing)) return 1;
  double missed = 0, found = differing;
  for (int i = 0; i < kBisections; ++i) {
    double middle = (missed + found) / 2;
    (suffices(middle) ? found : missed) = middle;
  }
  return found;
}

double SpreadOfInterval(double low, double high, double confidence, double units) {
  return (high - low) / 2 / NormalQuantileAbove((1 - confidence) / 2) * std::sqrt(units);
}

LookForecast ForeseeShareLook(const AlphaBudget& budget, std::int64_t rows, double differing, double realistic_gain) {
  return Foresee(budget, rows, LeastShareGain(budget.next_level, rows, differing, kPower), realistic_gain);
}

LookForecast ForeseeMeanLook(const AlphaBudget& budget, std::int64_t units, double standard_deviation,
                             double realistic_gain) {
  double least = LeastMeanGain(budget.next_level, static_cast<double>(units), standard_deviation, kPower);
  return Foresee(budget, units, least, realistic_gain);
}

}  // namespace ratchet::gate
