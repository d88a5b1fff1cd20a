#pragma once

#include <string>
#include <vector>

#include "bench/gate/trials.h"

// How often the intervals hold the truth.
namespace ratchet::bench {

struct CoverageRow {
  std::string data;
  std::string method;  // how the interval was made
  int trials = 0;
  double shown = 0;    // share of 95 % intervals that hold the truth
  double too_low = 0;  // share that lie below it altogether
  double bound = 0;    // share of lower bounds at 5 % that lie below the truth: 0.95 or more wanted
};

// All kinds of gains, `trials` samples each.
std::vector<CoverageRow> SimulateCoverage(const Run& run, int trials);

// Every metric, of rows as bench/gate/metric_rows.h draws them.
std::vector<CoverageRow> SimulateMetricCoverage(const Run& run, int trials);

}  // namespace ratchet::bench
