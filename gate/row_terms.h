#pragma once

#include <vector>

#include "base/result.h"
#include "gate/evidence.h"
#include "gate/metrics.h"

// The figures that are sums over rows: what each row adds to them. A part of gate/evaluate.h.
namespace ratchet::gate {

struct RowTerms {
  std::vector<double> numerator;    // kMean, kRootMean: the row's score (for rmse its squared error)
  std::vector<double> denominator;  // kRatio only
};

// For kMean, kRootMean and kRatio metrics, on evidence that passed CheckEvidence. kInvalid as Evaluate says.
Result<RowTerms> TermsOf(const Metric& metric, const Evidence& evidence);

}  // namespace ratchet::gate
