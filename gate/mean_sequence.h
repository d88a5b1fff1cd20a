#pragma once

#include <cstdint>

#include "gate/rate_sequence.h"

namespace ratchet::gate {

// A confidence sequence for the mean of numbers that all lie in [low, high], in the order in which they came: the intervals
// after each number miss the mean together with probability at most alpha. Empirical Bernstein with predictable weights
// (Waudby-Smith and Ramdas 2023, JRSS B 86:1–27, theorem 2), which narrows with the numbers' own spread, not with the width
// of [low, high]; the boundary of Howard et al. 2021 with the same aim is wider by simulation.
class MeanSequence {
 public:
  MeanSequence(double low, double high, double alpha);  // low < high, 0 < alpha < 1
  void Add(double value);                               // beyond [low, high] it counts as the end
  std::int64_t count() const { return count_; }
  double mean() const;                                  // (low + high) / 2 while there is none
  Bounds bounds() const { return bounds_; }             // what all intervals so far have in common

 private:
  const double low_, width_, alpha_;
  std::int64_t count_ = 0;
  double sum_ = 0, squares_ = 0;                       // of the numbers scaled to [0, 1], of their squared residuals
  double weights_ = 0, weighted_ = 0, penalty_ = 0;
  Bounds bounds_;
};

}  // namespace ratchet::gate
