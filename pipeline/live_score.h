#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gate/live_metric.h"

namespace ratchet::pipeline {

// What of a version is needed to score its answers.
struct ScoringFacts {
  std::optional<gate::LiveMetric> metric;  // none: nothing is scored
  std::vector<std::string> classes;        // as text; of a classification
};
// `manifest`: of the version's bundle.
ScoringFacts FactsOf(const std::string& metric, const nlohmann::json& manifest);

// The score of one row. `outputs`: the tensors of the answer, as in the Open Inference Protocol, with the derived `label`.
// Nothing where they do not tell (redacted, not finite), or the outcome is no number where one is needed. Pure.
std::optional<double> ScoreOf(const ScoringFacts& facts, const nlohmann::json& outputs, std::int64_t row,
                              const std::string& outcome);

}  // namespace ratchet::pipeline
