#pragma once

#include <cstdint>
#include <vector>

#include "bench/gate/trials.h"

// How often real differences are found, on right-or-wrong rows.
namespace ratchet::bench {

// Candidates with a true gain, by the gate as it is and by McNemar at α.
struct PowerCell {
  double gain = 0;       // 0.01 = one point
  double differing = 0;  // share of rows on which candidate and live version differ
  std::int64_t rows = 0, look = 1;
  double level = 0;
  double ours = 0, fixed = 0;
  double least_gain = 0;  // what the ledger says is found with 80 % power
};
PowerCell SimulatePower(const Run& run, double alpha, const PowerCell& cell, int trials);

// `slices` slices of `rows` rows each; in the first of them the candidate loses `loss`, in all others nothing.
struct SliceCell {
  int slices = 10;
  std::int64_t rows = 500;
  double differing = 0.1;
  double loss = 0;
  double margin = 0;
  bool crossed = false;  // each row stands in two slices: the same rows cut by two columns
  Share caught;          // the first slice is called worse
  Share blocked;         // any slice is
};
SliceCell SimulateSlices(const Run& run, double alpha, const SliceCell& cell, int trials);

// The power of the best unbiased test of a slice (the randomised McNemar test, Lehmann 1959, ch. 4) at the level that
// independent slices may have each, 1 − (1 − α)^(1 / slices): what no other procedure can pass.
double BestSlicePower(double alpha, const SliceCell& cell);

// Rows a slice needs for 80 % power.
std::int64_t SliceRowsNeeded(double alpha, int slices, double differing, double loss);

}  // namespace ratchet::bench
