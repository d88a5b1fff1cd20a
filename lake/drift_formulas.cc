#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lake/drift.h"

namespace ratchet::lake {
namespace {

constexpr double kEmptyBinRows = 0.5;
constexpr double kNormalQuantile = 2.3263478740408408;  // of kPsiNoiseConfidence

// The chance that a random order of n values of one kind and m of the other, all orders equally likely, has its two
// distribution functions at least `reach` / (n m) apart somewhere. The order is a lattice path; from (i, j) the next
// value is of the first kind with chance (n − i) / (n − i + m − j). Filled in from the end, one column at a time; sums
// of positive terms only, so small chances keep their digits.
double ExactKsPValue(std::int64_t reach, std::int64_t n, std::int64_t m) {
  std::vector<double> exceeds(static_cast<std::size_t>(m) + 1, 0.0);
  for (std::int64_t i = n; i >= 0; --i) {
    for (std::int64_t j = m; j >= 0; --j) {
      double& here = exceeds[static_cast<std::size_t>(j)];  // held that of (i + 1, j)
      const std::int64_t left = n - i + m - j;
      if (std::llabs(i * m - j * n) >= reach) {
        here = 1;
      } else if (left == 0) {
        here = 0;
      } else {
        const double first = static_cast<double>(n - i) / static_cast<double>(left);
        const double after_first = i < n ? here : 0;
        const double after_second = j < m ? exceeds[static_cast<std::size_t>(j) + 1] : 0;
        here = first * after_first + (1 - first) * after_second;
      }
    }
  }
  return exceeds[0];
}

// Kolmogorov's law: 2 Σ (−1)^(k−1) exp(−2 k² λ²).
double KolmogorovTail(double lambda) {
  if (lambda < 0.2) return 1;  // 1 − 4e-13 or more, and the sum converges slowly
  double sum = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2.0 * k * k * lambda * lambda);
    sum += k % 2 == 1 ? term : -term;
    if (term < 1e-17 * sum) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

}  // namespace

double PopulationStability(std::span<const double> before, std::span<const double> now) {
  RATCHET_CHECK(before.size() == now.size());
  const double all_before = std::accumulate(before.begin(), before.end(), 0.0);
  const double all_now = std::accumulate(now.begin(), now.end(), 0.0);
  if (all_before <= 0 || all_now <= 0) return 0;
  const double added = kEmptyBinRows * static_cast<double>(before.size());
  double index = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double p = (before[i] + kEmptyBinRows) / (all_before + added);
    const double q = (now[i] + kEmptyBinRows) / (all_now + added);
    index += (q - p) * std::log(q / p);
  }
  return index;
}

double PsiNoise(int bins, double before, double now) {
  if (bins < 2 || before <= 0 || now <= 0) return 0;
  const double freedom = bins - 1, ninth = 2 / (9 * freedom);
  const double quantile = freedom * std::pow(1 - ninth + kNormalQuantile * std::sqrt(ninth), 3);
  return (1 / before + 1 / now) * quantile;
}

double KsStatistic(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return 0;
  const auto n = static_cast<std::int64_t>(a.size()), m = static_cast<std::int64_t>(b.size());
  std::size_t i = 0, j = 0;
  std::int64_t widest = 0;  // times n m, so that it is exact
  while (i < a.size() && j < b.size()) {
    const double at = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == at) ++i;
    while (j < b.size() && b[j] == at) ++j;
    widest =
        std::max<std::int64_t>(widest, std::llabs(static_cast<std::int64_t>(i) * m - static_cast<std::int64_t>(j) * n));
  }
  return static_cast<double>(widest) / (static_cast<double>(n) * static_cast<double>(m));
}

double KsPValue(double d, std::int64_t n, std::int64_t m) {
  if (n < 1 || m < 1 || d <= 0) return 1;
  if (n <= kKsExactProduct / m) {
    return std::min(1.0, ExactKsPValue(std::llround(d * static_cast<double>(n) * static_cast<double>(m)), n, m));
  }
  const double size = static_cast<double>(n) * static_cast<double>(m) / static_cast<double>(n + m);
  const double root = std::sqrt(size);
  return KolmogorovTail((root + 0.12 + 0.11 / root) * d);
}

}  // namespace ratchet::lake
