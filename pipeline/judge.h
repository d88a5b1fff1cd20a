#pragma once

#include <cstdint>
#include <optional>

#include "gate/decision.h"
#include "pipeline/spec.h"
#include "pipeline/test_scores.h"
#include "registry/holdout.h"
#include "registry/records.h"

// From the scores of a test to the decision report. Pure: the same case and scores give the same report, bit for bit, for
// as long as both are kept; the models are not needed.
namespace ratchet::pipeline {

// What a decision rests on, beside the rows' scores.
struct Case {
  registry::Json tested;  // result.json of the test step
  std::optional<std::int64_t> opponent_version;
  TestSpec test;
  GateSpec gate;
  std::uint64_t seed = 0;
  std::optional<registry::HoldoutEpoch> epoch;  // with the looks before this one; none: there is no ledger
  std::int64_t decided_at = 0;
  std::optional<std::int64_t> route_epoch = {};  // since when the live version had been live (registry::LiveState)
  registry::Json unscorable = {};                // of pipeline/unscorable.h; null where the live version was scored
  gate::Method method = gate::kNewestMethod;
};

struct Judged {
  gate::Decision decision;
  registry::Json report;  // docs/formats.md, "Decision"; holds the case
  double score = 0, opponent = 0;  // the metric's figures, as in the report
  std::optional<registry::HoldoutLook> look;
};

// Errors as of gate::Decide and gate::JudgeSlices.
Result<Judged> JudgeCase(const TestScores& scores, const Case& at);

// Keeps the case in its report, but for what other members say.
void AddBasis(const Case& at, registry::Json& report);

// The case of a report that JudgeCase or JudgeUnscorable made. kNotFound for an older report, which does not hold it, and for
// one by a method of a later Ratchet's. A report of before methods had names gives the newest (see pipeline/explain.h).
Result<Case> CaseOf(const registry::Json& report);

}  // namespace ratchet::pipeline
