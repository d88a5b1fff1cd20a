#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"

// Per-row scores of a model's answers. Pure; shapes are rows first.
namespace ratchet::worker {

enum class Metric { kAccuracy, kLogLoss, kMae, kRmse };

std::string_view MetricName(Metric metric);  // "log_loss"
std::string_view PerRowName(Metric metric);  // "correct", "log_loss", "absolute_error", "squared_error"
bool HigherIsBetter(Metric metric);
// kInvalid for an unknown name, and for a metric of the other task.
Result<Metric> ParseMetric(std::string_view name, registry::Task task);

// Scores of one side over the holdout. A row whose answer is not finite holds nothing until Settle.
struct ScoreColumn {
  std::vector<std::optional<double>> scores;
  std::int64_t non_finite_rows = 0;
};

// The index in `classes` of every target; -1: none of them; nullopt: missing. kInvalid: the column's type has no such
// values (reals that are whole numbers count as integers).
Result<std::vector<std::optional<std::int64_t>>> TargetIndexes(const registry::Classes& classes,
                                                               const lake::Column& column,
                                                               const lake::ColumnBatch& targets);

// The numbers of a regression target; nullopt where missing. kInvalid for a text or blob.
Result<std::vector<std::optional<double>>> TargetNumbers(const lake::Column& column, const lake::ColumnBatch& targets);

// Appends the score of every row that has a target. `probabilities`: rows × classes. A target that is no class of the
// model is wrong, and has probability 0.
void ScoreClasses(Metric metric, std::span<const double> probabilities, std::int64_t classes,
                  std::span<const std::optional<std::int64_t>> targets, ScoreColumn& into);
void ScoreNumbers(Metric metric, std::span<const double> predictions, std::span<const std::optional<double>> targets,
                  ScoreColumn& into);

// The loss of a row to which the model gave this probability; bounded, so that no single row decides all.
double LogLoss(double probability);

// Gives rows without a finite score the worst of all finite ones of either side.
void Settle(Metric metric, ScoreColumn& candidate, ScoreColumn& opponent);

// The metric over all rows; 0 for none.
double Summarise(Metric metric, const ScoreColumn& column);

}  // namespace ratchet::worker
