#pragma once

#include <variant>
#include <vector>

#include "worker/progress_log.h"
#include "worker/sandbox.h"
#include "worker/test_contest.h"

// What both sides of a test say of the holdout's rows.
namespace ratchet::worker {

struct Heard {
  Answers candidate, opponent;
  std::vector<std::vector<double>> alone;  // the candidate's answers to some rows by themselves (probed_rows.h)
};

// Each model is loaded and asked in a confined process of its own, the live one first and by itself, so that neither a
// candidate nor its memory has a hand in whether and how the live version answers. The baseline needs no process.
//
// Unscorable: the live version does not load (module), refuses rows (answers), its process dies of a signal that is its own
// doing (crash), or has not answered all rows in half of limits.time (time), so that one that hangs leaves the other half.
// kUser: the candidate does any of the first three. A candidate that hangs is the step's own limit's to end.
std::expected<std::variant<Heard, Unscorable>, StepError> ScoreContest(const StepSpec& spec, const Contest& contest, SandboxMeans sandbox,
                                                                       ProgressLog& progress);

}  // namespace ratchet::worker
