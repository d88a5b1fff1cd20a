#include "gate/mean_sequence.h"

#include <algorithm>
#include <cmath>

namespace ratchet::gate {

namespace {
constexpr double kMostWeight = 0.5;  // as its authors advise; below 1
}

MeanSequence::MeanSequence(double low, double high, double alpha)
    : low_(low), width_(high - low), alpha_(alpha), bounds_{low, high} {}

double MeanSequence::mean() const {
  return low_ + width_ * (count_ == 0 ? 0.5 : sum_ / static_cast<double>(count_));
}

void MeanSequence::Add(double value) {
  const double x = std::clamp((value - low_) / width_, 0.0, 1.0);
  // The weight rests on what came before alone: that makes the sequence valid.
  const double n = static_cast<double>(count_) + 1, log_term = std::log(2 / alpha_);
  const double mean_before = (0.5 + sum_) / n, variance_before = (0.25 + squares_) / n;
  const double weight = std::min(kMostWeight, std::sqrt(2 * log_term / (variance_before * n * std::log1p(n))));
  weights_ += weight;
  weighted_ += weight * x;
  penalty_ += (x - mean_before) * (x - mean_before) * (-std::log1p(-weight) - weight);
  ++count_;
  sum_ += x;
  const double residual = x - (0.5 + sum_) / (n + 1);
  squares_ += residual * residual;
  const double centre = weighted_ / weights_, radius = (log_term + penalty_) / weights_;
  bounds_.low = std::max(bounds_.low, low_ + width_ * (centre - radius));
  bounds_.high = std::min(bounds_.high, low_ + width_ * (centre + radius));
}

}  // namespace ratchet::gate
