#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "lake/schema.h"
#include "registry/bundle_manifest.h"
#include "worker/baseline.h"
#include "worker/leak_check.h"
#include "worker/plugin_host.h"
#include "worker/probed_rows.h"
#include "worker/scoring.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// What a test step compares, on which rows and by which metric: settled before any model runs.
namespace ratchet::worker {

inline constexpr char kReset[] = "reset";  // of gate.baseline

// Columns of scores.pack (docs/formats.md) that a column of the dataset must not be called like.
inline constexpr char kTargetColumn[] = "test:target";
inline constexpr char kCandidateColumns[] = "candidate:", kOpponentColumns[] = "opponent:";

// The rows' targets: one a row of the holdout, of the task's kind.
struct Targets {
  std::vector<std::int32_t> classes;  // of the common list; −1 where missing
  std::vector<double> numbers;        // not finite where missing
};

// Why the live version cannot answer for these rows: it is not a fault of the run.
struct Unscorable {
  std::string reason;   // manifest, columns, task, target, module, answers, crash or time: what of it does not do
  std::string message;  // for people
};

struct Contest {
  registry::BundleManifest candidate;
  std::optional<registry::BundleManifest> live;
  std::optional<Unscorable> unscorable;  // there is a live version, but not in `live`
  std::optional<Baseline> baseline;      // where there is no live version, or this stands in for it
  std::string metric;
  ClassList classes;  // of both sides and of the holdout
  Targets targets;
  std::int64_t rows_without_target = 0;
  std::int64_t leaked_rows = 0;  // with a target, and not judged on: training has them, too
  std::vector<lake::Column> slice_columns;

  bool Classifies() const { return candidate.signature.task == registry::Task::kClassification; }
  bool HasTarget(size_t row) const;
  size_t ScoredRows() const;
  bool IsCompared() const { return live || baseline; }
};

// Opens the holdout and learns the baseline where one is needed. With `live_fault` the live version is known not to do.
// A live version that does not do is no error: it stands in `unscorable`, and unless the spec says `baseline: reset` nothing
// is compared then, and neither targets nor classes are read. kUser: the candidate, the metric, a slice or the baseline does
// not fit the data, or no row has a target.
std::expected<Contest, StepError> PrepareContest(const StepSpec& spec, const PluginHost& plugins,
                                                 std::optional<Unscorable> live_fault = {});

// Rows that training has, too, are taken for rows without a target from here on: neither side is asked about them. kUser
// where no row is left.
std::expected<void, StepError> LeaveOut(const LeakCheck& check, Contest& contest);

// Borrows the contest.
TestedHoldout HoldoutOf(const StepSpec& spec, const Contest& contest);

// The first line, of at most 300 bytes.
std::string ShortMessage(const std::string& text);

}  // namespace ratchet::worker
