#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/gate/trials.h"

// Long sequences of candidates that are exactly as good as the live version, judged on one holdout: every promotion is
// false. A candidate that is promoted becomes the live version that the next ones meet. The first live version has its
// luck with the holdout as all others have: where it was lucky, even a fixed α finds no later candidate better.
namespace ratchet::bench {

enum class Gate {
  kNaive,        // promotes what has the greater figure
  kFixed,        // exact McNemar (or the test of the library) at α, each time
  kLadder,       // the parameter-free Ladder (Blum and Hardt 2015, ICML): better than the best by a standard error
  kOurs,         // the k-th look at level 6α/(π²k²)
  kOursUncharged,  // sweeps only: the ledger is charged one look a sweep, though each trial opened the holdout
  kOursUngrouped,  // groups only: with the ledger, but rows taken for independent
};
std::string_view GateName(Gate gate);

// How candidates come about; truth in all: 80 % accuracy, like the live version.
enum class Kin {
  kIndependent,  // right and wrong on rows of their own
  kChildren,     // of the live version: right and wrong on other rows than it in 6 of 100
  kChain,        // each the child of the one before, promoted or not
  kSweeps,       // sweeps of 10 independent candidates each, all tried on the holdout, the best one put forward
};
std::string_view KinName(Kin kin);

struct NullResult {
  Gate gate = Gate::kNaive;
  std::string scenario;
  Share any;                 // sequences with a false promotion
  double promotions = 0;     // mean count a sequence
  double imaginary_gain = 0;  // mean final figure of the live version on the holdout less the first one, oriented
};

struct NullPlan {
  double alpha = 0.05;
  std::int64_t rows = 2'000;
  int looks = 1'000;
  int sequences = 2'000;
};

// Right-or-wrong rows.
NullResult SimulateShares(const Run& run, const NullPlan& plan, Kin kin, Gate gate);

// Means of heavy-tailed absolute errors (Student's t with 3 degrees), rows independent or in `groups` groups of unequal
// size that share most of their error.
NullResult SimulateErrors(const Run& run, const NullPlan& plan, int groups, Gate gate);

}  // namespace ratchet::bench
