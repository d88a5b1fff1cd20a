#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "worker/scratch_serve.h"
#include "worker/skew.h"

// Measures a candidate as it would serve, and holds its answers against the test's.
namespace ratchet::worker {

// A row of the holdout that the test scored and that is asked for over HTTP.
struct ProbedRow {
  std::int64_t row = 0;       // in the holdout, from 0
  size_t scored = 0;          // its place among the rows that have a target
  std::vector<double> alone;  // output 0 for this row by itself, as the process that scores has it
  std::string body;           // of the request
};

inline constexpr int kProbeRounds = 3;
inline constexpr std::int64_t kMostProbedRows = 2000;
inline constexpr std::int64_t kLeastProbedRows = 20;  // or all that there are

struct ProbePlan {
  ScratchPlan scratch;
  std::int64_t answer_ms = 20'000;   // for one row
  std::int64_t rounds_ms = 6'000;    // no round begins later, and the first ends, with the least rows answered
};

// Of a step that has `serving`.
ProbePlan ProbePlanOf(const StepSpec& spec, SandboxMeans means);

// How many rows to ask for, where the model takes so long for one by itself: about a second's worth.
std::int64_t ProbedRowCount(std::int64_t rows, std::int64_t one_row_us);
// `count` places of 0 … rows − 1, evenly spread, ascending.
std::vector<size_t> SpreadPlaces(std::int64_t rows, std::int64_t count);

// Starts a scratch ratchet-serve with the candidate, sends it the rows one by one over one connection, all of them up
// to three times, and ends it. The outcome is result.json's `serving` (docs/formats.md). kUser: the candidate cannot be
// served, crashes the process, refuses a row, or answers one otherwise than the test scored it. kTimeout, kSignal: it does
// not answer, or its process was ended from outside.
StepOutcome ProbeServing(const ProbePlan& plan, const registry::Signature& signature, std::span<const ProbedRow> rows,
                         const Clock& clock);

}  // namespace ratchet::worker
