#pragma once

#include <string>
#include <vector>

#include "cli/json_fields.h"
#include "cli/table.h"

namespace ratchet::cli {

// Pure tables of a Run and its Trials (docs/formats.md).

// The checks of data.expect that failed, a row each; empty where none did or the run is not that far.
Table FailingChecks(const Json& run);
// The columns that are unlike the live version's training data, worst first; empty where none is.
Table DriftedColumns(const Json& run);
// Every trial of a sweep, the best marked; empty without a sweep, and where none of them was begun.
Table TrialsTable(const Json& trials, bool utf8);
// Attempts that failed: class, what happened, what they cost.
Table FailedAttempts(const Json& run);
// "out_of_memory in train: …", what to do, and the last lines that the step printed; empty where nothing failed.
std::vector<std::string> ErrorLines(const Json& run);

}  // namespace ratchet::cli
