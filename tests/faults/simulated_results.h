#pragma once

#include <nlohmann/json.hpp>
#include <string>

// What a step that ends well leaves in its folder, as the worker would write it (docs/formats.md, "Step folder").
namespace ratchet::faults {

// `score`: of the candidate, on rows of which the opponent gets half; used by `test` alone. Returns the result.json.
nlohmann::json WriteGoodResult(const nlohmann::json& step, const std::string& folder, double score);
// One line of progress.jsonl of a training.
std::string EpochLine(const nlohmann::json& step, int epoch, int of);
inline constexpr int kEpochs = 9;

}  // namespace ratchet::faults
