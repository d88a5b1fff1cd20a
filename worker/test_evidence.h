#pragma once

#include <nlohmann/json.hpp>

#include "worker/test_scoring.h"

// What a test step leaves behind: scores.pack and result.json (docs/formats.md).
namespace ratchet::worker {

// Writes FOLDER/scores.pack, anew. Opens the holdout once more, for the columns of slices and groups. Of a regression,
// `heard` must have been settled.
Status WriteEvidence(const StepSpec& spec, const Contest& contest, const Heard& heard);

// Of a regression: gives rows without a finite answer one (worker/scoring.h).
void SettleNumbers(const Contest& contest, Heard& heard);

// The fields of result.json that say what was tested.
nlohmann::json TestSummary(const Contest& contest, const Heard& heard);
// The same of a test that had nothing to compare with; contest.unscorable says why.
nlohmann::json NotCompared(const Contest& contest);

}  // namespace ratchet::worker
