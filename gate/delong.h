#pragma once

#include "base/result.h"
#include "gate/evidence.h"

namespace ratchet::gate {

// Two ROC AUCs of the same rows, and how sure each and their difference are.
struct DelongVariances {
  double candidate_auc = 0, opponent_auc = 0;
  double candidate = 0, opponent = 0;  // variance of the area
  double covariance = 0;
  double difference = 0;  // variance of candidate_auc − opponent_auc, at least 0
};

// DeLong's nonparametric variances (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837–845), with n − 1 of each
// class in the divisors. For rows that are independent and count the same: groups and weights need Comparison::gain.
// O(n log n). kInvalid as Compare by roc_auc, with unequal weights, and with fewer than two rows of either class.
Result<DelongVariances> Delong(const Evidence& candidate, const Evidence& opponent);

}  // namespace ratchet::gate
