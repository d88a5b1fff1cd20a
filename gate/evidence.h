#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "gate/metrics.h"

// What is kept of each holdout row for one side, candidate or opponent: enough for every metric of the task, years
// later, without the model. Columns are spans over the caller's memory and must outlive the call; an empty column was
// not kept. Row i of a column is row i of the holdout, on both sides alike.
namespace ratchet::gate {

inline constexpr std::int64_t kMostClasses = 1'000'000;

// Classes are numbered 0 … classes − 1 in one list that both sides share: those of the holdout's targets and of both
// models. So a class that a model doesn't know is a class like any other; it gave it the probability 0.
struct ClassColumns {
  std::int64_t classes = 0;
  std::span<const std::int32_t> target;
  std::span<const std::int32_t> predicted;
  std::span<const double> target_probability;     // of the true class, in [0, 1]
  std::span<const double> predicted_probability;  // of the predicted class
  std::span<const double> square_sum;             // Σ p² over all classes
  std::span<const double> positive_probability;   // two classes only: of class 1; any finite score will do
};

struct NumberColumns {
  std::span<const double> target;
  std::span<const double> prediction;
  std::span<const double> scale;   // above 0: the seasonal naive forecast's MAE within the training part of the series
  std::span<const double> levels;  // of the quantiles, ascending, each above 0 and below 1, e.g. 0.1, 0.5, 0.9
  std::span<const double> quantiles;  // rows × levels, rows first
};

// Lists of differing length, one after the other in `values`. List i ends before values[ends[i]] and begins where list
// i − 1 ends.
struct Lists {
  std::span<const std::int64_t> ends;
  std::span<const float> values;
};

// A row is a query. Relevances are at least 0; 0 is not relevant.
struct RankedColumns {
  Lists ranked;    // as the side ranked them, best first; may stop early, but not before the metric's cut-off
  Lists relevant;  // of all that the query has, in any order; those of 0 may be left out
};

// Edits: the fewest insertions, deletions and substitutions that make the reference of the answer (gate/transcripts.h).
struct TranscriptColumns {
  std::span<const std::int32_t> word_edits, words;            // words of the reference
  std::span<const std::int32_t> character_edits, characters;  // characters of the reference
};

struct Evidence {
  std::variant<ClassColumns, NumberColumns, RankedColumns, TranscriptColumns> columns;
  std::span<const double> weight;  // of each row, at least 0, some above; empty: all rows count the same
};

std::int64_t RowCount(const Evidence& evidence);

// The weights, or nothing where all are the same: then they say nothing.
std::span<const double> UnequalWeights(const Evidence& evidence);

// kInvalid, naming the first row at fault: no rows, evidence of another task, a needed column that was not kept or has
// another length, numbers that are not finite, probabilities outside of [0, 1] (by more than rounding), classes outside
// of the list, scales not above 0, levels that are no ascending list within (0, 1), lists that end before they begin,
// relevances, edits or weights below 0, weights that are all 0. kTooLarge: above kMostClasses.
// `subject`: the metric, for the message.
Status CheckEvidence(std::string_view subject, Needs needs, const Evidence& evidence);

// Both sides are of the same rows: as many, with the same targets, scales, levels, relevances, references and weights.
// Both must have passed CheckEvidence with the same `needs`. kInvalid, naming the first row that differs.
Status CheckPaired(std::string_view subject, Needs needs, const Evidence& candidate, const Evidence& opponent);

}  // namespace ratchet::gate
