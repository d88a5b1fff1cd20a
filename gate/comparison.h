#pragma once

#include <vector>

namespace ratchet::gate {

// What a metric says of candidate and opponent on the same rows: all that a paired test needs to know of it.
struct Comparison {
  double candidate = 0;  // the metric's figure over all rows, in its own unit
  double opponent = 0;
  // The rows are right or wrong and nothing else: each gain is −1, 0 or 1, and the difference is their mean. Exact
  // McNemar holds.
  bool zero_one = false;
  // One a row, in the order of the rows, never empty, all finite: how much the row adds to the candidate's gain, so
  // that positive means the candidate does better. For a mean over rows that is the difference of the two scores; for
  // any other figure the difference of the figures plus that of the row's empirical influence values, which linearises
  // it; for a figure of classes each class's values about 0 instead of their mean, so that a rare class is not taken for a
  // sure one. In all cases their mean, by the rows' weights where there are any (Sampling::weight), is the oriented difference
  // of the figures (up to rounding), and its standard error, by rows or by groups of rows, that of this mean.
  std::vector<double> gain;
};

}  // namespace ratchet::gate
