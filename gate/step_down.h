#pragma once

#include <cstdint>
#include <span>
#include <vector>

// Many tests of which none may fire falsely.
namespace ratchet::gate {

struct TestedP {
  double p = 1;
  // The rows that differ where it is an exact McNemar's p; below 0: a p that may take any value.
  std::int64_t differing = -1;
};

// The adjusted p of each, in the order given: refuting what is at most α refutes any true hypothesis with probability at
// most α, however the tests depend on each other. Holm's step-down (1979, Scand. J. Statistics 6:65–70), in which each
// hypothesis that is left weighs by the chance that its test has of a p so small and not by that p: an exact test on few
// rows takes few values, and what it cannot use is left to the others (Tarone 1990, Biometrics 46:515–522; Westfall and
// Wolfinger 1997, The American Statistician 51:3–8). Those chances are given which rows differ; where these lose by
// different chances whose mean is a half, McNemar's test fires less often still (Hoeffding 1956, Ann. Math. Statistics
// 27:713–721).
std::vector<double> AdjustStepDown(std::span<const TestedP> tests);

// Plain Holm, for decisions by Method::kFirst: the i-th least p (from 0) of m times m − i, never below that of a lesser p.
std::vector<double> AdjustByHolm(std::span<const TestedP> tests);

}  // namespace ratchet::gate
