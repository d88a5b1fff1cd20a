#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "lake/pack.h"
#include "worker/confined_call.h"
#include "worker/serving_probe.h"

// The two halves of choosing and asking the rows that a candidate's serving is held against: in the confined process,
// which has the model, and in the step's own, which believes it no more than it must.
namespace ratchet::worker {

// Of the holdout, in both halves the same.
struct TestedHoldout {
  std::vector<std::string> packs;
  std::int64_t scored_rows = 0;                  // that have a target
  std::function<bool(size_t row)> has_target;
};

// Output 0 of the candidate for a batch, row after row.
using AnswerBatch = std::function<Result<std::vector<double>>(const lake::Schema&, const lake::Batch&)>;

// Lets the model answer an even sample of the scored rows, each by itself, and tells {"alone": […]} for each, in order.
// How many they are goes by how long the first takes.
Status AnswerAlone(const TestedHoldout& holdout, const registry::Signature& signature, const AnswerBatch& answer,
                   const Clock& clock, const Tell& tell);

// The same rows as requests, with what was told of them. Rows that JSON cannot carry are left out, and all but every
// n-th where the requests would take more than 64 MiB. kUser: a row's answer alone is not the one that `scored` has for
// it. kInternal: what was told are not answers to an even sample.
// `map` and `targets` (a class for each row of the holdout) are of a classification; empty for a regression.
struct ScoredSide {
  const Answers& answers;
  const ClassMap& map;
  const std::vector<std::int32_t>& targets;
};
std::expected<std::vector<ProbedRow>, StepError> ProbedRows(const TestedHoldout& holdout,
                                                            const registry::Signature& signature,
                                                            const std::vector<std::vector<double>>& alone,
                                                            const ScoredSide& scored);

}  // namespace ratchet::worker
