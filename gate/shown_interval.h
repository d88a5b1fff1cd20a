#pragma once

#include <string_view>

#include "gate/bca.h"
#include "gate/method.h"
#include "gate/paired_statistic.h"

namespace ratchet::gate {

// The two-sided interval of the gain that is shown to people, of the decision and of each slice.
struct ShownInterval {
  double low = 0, high = 0;  // low ≤ high, neither is NaN
  std::string_view method;   // "bca", "abc" (gate/bca.h) or "test": the test turned round, half of 1 − confidence on each side
};

// Right-or-wrong rows, one observation each: BCa alone. All else: BCa, but no end nearer than the test's. By simulation
// (gate_simulation --full --part intervals) BCa is too narrow over heavy tails and few groups (0.935 to 0.945 at 95 %) and
// Student's t leans the wrong way over skewed gains; what holds both covers 95 % within a point. Rows in the order of time,
// and gains without spread: the test alone. Method::kFirst: BCa alone for rows of any kind.
ShownInterval IntervalToShow(const Measured& measured, const BcaOptions& options, Method method = kNewestMethod);

}  // namespace ratchet::gate
