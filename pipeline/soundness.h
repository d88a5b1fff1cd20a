#pragma once

#include "gate/decision.h"
#include "pipeline/spec.h"
#include "pipeline/test_scores.h"
#include "registry/records.h"

// What a candidate has to be beside better: sound, and within the budgets of its pipeline. Pure, from what the test step
// kept, so that the verdict can be made again.
namespace ratchet::pipeline {

// The report's `serving` (docs/formats.md, "Decision"): what the test measured in a scratch ratchet-serve, and how it
// stands to each budget. Null where there is neither.
registry::Json ServingReport(const registry::Json& tested, const BudgetSpec& budgets);

// The decision that stands beside that. It does not promote, and says why, where a budget is broken or was not measured,
// where the candidate has no finite answer to some row, and where it answers all rows alike though their inputs differ.
// The verdict on the metric stays what it is.
gate::Decision WithSoundness(gate::Decision decision, const TestScores& scores, const registry::Json& tested,
                             const BudgetSpec& budgets);

}  // namespace ratchet::pipeline
