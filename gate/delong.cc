#include "gate/delong.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "gate/evaluate.h"

namespace ratchet::gate {
namespace {

std::unexpected<Error> Refuse(std::string cause) {
  return Fail(ErrorCode::kInvalid, "evaluate", "DeLong's variance", std::move(cause));
}

// Sums of products of the structural components' deviations, which are the influence values times rows of the class by
// all rows, and have mean 0 within each class.
struct Products {
  long double candidate = 0, opponent = 0, both = 0;
};

}  // namespace

Result<DelongVariances> Delong(const Evidence& candidate, const Evidence& opponent) {
  RATCHET_ASSIGN(const Metric metric, ParseMetric("roc_auc"));
  RATCHET_ASSIGN(const Figure ours, Evaluate(metric, candidate));
  RATCHET_ASSIGN(const Figure theirs, Evaluate(metric, opponent));
  RATCHET_TRY(CheckPaired("roc_auc", metric.needs, candidate, opponent));
  if (!UnequalWeights(candidate).empty()) return Refuse("the rows have weights");
  const auto target = std::get<ClassColumns>(candidate.columns).target;
  const double rows = static_cast<double>(target.size());
  const auto positives = static_cast<double>(std::ranges::count(target, 1));
  const double of_class[] = {rows - positives, positives};
  if (std::min(of_class[0], of_class[1]) < 2)
    return Refuse(fmt::format("class {} has one row only", of_class[1] < 2 ? 1 : 0));

  Products products[2];
  for (size_t i = 0; i < target.size(); ++i) {
    Products& into = products[target[i]];
    into.candidate += static_cast<long double>(ours.influence[i]) * ours.influence[i];
    into.opponent += static_cast<long double>(theirs.influence[i]) * theirs.influence[i];
    into.both += static_cast<long double>(ours.influence[i]) * theirs.influence[i];
  }
  DelongVariances variances{.candidate_auc = ours.value, .opponent_auc = theirs.value};
  for (int c : {0, 1}) {
    // (rows of class / rows)² from components to influence values, by (rows of class − 1), by rows of class.
    const double scale = of_class[c] / (rows * rows * (of_class[c] - 1));
    variances.candidate += scale * static_cast<double>(products[c].candidate);
    variances.opponent += scale * static_cast<double>(products[c].opponent);
    variances.covariance += scale * static_cast<double>(products[c].both);
  }
  variances.difference = std::max(0.0, variances.candidate + variances.opponent - 2 * variances.covariance);
  return variances;
}

}  // namespace ratchet::gate
