#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/decision.h"

// The metrics that a model can be judged by. What each is of the kept evidence: gate/evaluate.h.
namespace ratchet::gate {

enum class MetricId {
  kAccuracy,
  kBalancedAccuracy,
  kMacroF1,
  kMicroF1,
  kLogLoss,
  kBrier,
  kRocAuc,
  kPrAuc,
  kMae,
  kRmse,
  kWape,
  kMape,
  kSmape,
  kMase,
  kPinball,
  kWeightedQuantileLoss,
  kCoverage,
  kNdcg,
  kMrr,
  kHitRate,
  kRecall,
  kWer,
  kCer,
};

// Which figure is the better one.
enum class Goal {
  kHigher,
  kLower,
  kNominal,  // coverage: the nearer to the share that the quantile levels promise
};

// What must have been kept of each row (the columns: gate/evidence.h).
enum class Needs {
  kClasses,              // target and predicted class
  kTargetProbability,    // the probability given to the true class
  kSquareSum,            // that, and the sum of the squared probabilities
  kPositiveProbability,  // two classes, and the probability of the positive one
  kConfidence,           // target and predicted class, and the probability of the predicted one
  kPredictions,          // target and predicted number
  kScales,               // those, and the scale of the row's series
  kQuantiles,            // target and predicted quantiles
  kRankedLists,          // relevances as ranked, and all that the query has
  kWordEdits,            // wrong words and words
  kCharacterEdits,       // wrong characters and characters
};

// How the rows become the one figure.
enum class Aggregate {
  kMean,      // the mean over rows
  kRootMean,  // the square root of the mean over rows
  kRatio,     // a sum over rows by another sum over rows
  kOfSet,     // of all rows together: counts of classes, the order of the rows by score
};

// Whether a name takes a cut-off: the @10 of ndcg@10.
enum class CutOff { kNone, kOptional, kRequired };

inline constexpr std::int64_t kMostCutOff = 10'000;

struct Metric {
  MetricId id;
  std::string_view name;  // "accuracy", "ndcg"; lives as long as the process
  std::string_view task;  // "classification", "regression", "forecasting", "ranking" or "transcription"
  std::string_view unit;  // what one unit of the figure is, for people: "share of rows", "nats", "target's unit"
  Goal goal;
  bool higher_is_better;  // goal == kHigher
  Needs needs;
  Aggregate aggregate;
  CutOff takes_cut_off;
  std::optional<PerRow> per_row;  // what the score of each row was in the packs of scores that older tests have left
  std::int64_t cut_off = 0;       // ranks 1 … cut_off count; 0 = the whole list
};

// All of them, in the order to show. Lives as long as the process.
std::span<const Metric> KnownMetrics();

// Any metric by its name as in a spec, its cut-off included: "accuracy", "ndcg@10". kNotFound with the known names and
// the near one; kInvalid where the cut-off is missing, not to be had, or not a whole number from 1 to kMostCutOff.
Result<Metric> ParseMetric(std::string_view text);

// The inverse: "ndcg@10".
std::string MetricText(const Metric& metric);

// Those whose evidence a test step keeps (docs/formats.md, scores.pack): what a pipeline may name.
std::vector<std::string> MetricNames();

// One of these. kNotFound with their names and the near one; for any other metric with what is not kept for it.
Result<Metric> FindMetric(std::string_view name);

// The figure of a mean of per-row scores, for kMean and kRootMean.
double FigureOfMean(Aggregate aggregate, double mean);

}  // namespace ratchet::gate
