#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/json_fields.h"

namespace ratchet::cli {

// Pure views of a Run (docs/formats.md).

struct RunStyle {
  std::size_t columns = 80;
  bool utf8 = true;
  bool color = false;
};

// How far a step is, 0 to 1, by its last progress line; empty where that does not tell.
std::optional<double> StepFraction(const Json& progress);

// The same of what the present attempt has to do: one that resumed after epoch `from` has done nothing of those before.
std::optional<double> AttemptFraction(const Json& progress);

// "epoch 2/3 · loss 0.41 · validation_accuracy 0.893 · 5,200 rows/s".
std::string ProgressText(const Json& progress);

// The run as lines: a head, then one line a step with a bar for the one under way.
std::vector<std::string> RunLines(const Json& run, std::int64_t now_us, const RunStyle& style);

// For a pipe: what is new in `now` against `before` (null at first), a line for each change.
std::vector<std::string> RunChanges(const Json& before, const Json& now);

bool RunEnded(const Json& run);
// 0 when the run promoted its candidate or reproduced the weights, 1 for every other end.
int RunExitCode(const Json& run);
// "run 5: promoted parcel-sorter@2. <summary>".
std::string RunVerdict(const Json& run);

}  // namespace ratchet::cli
