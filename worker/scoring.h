#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"

// What is kept of a model's answers, row by row: enough for every metric of the task, so that the gate alone computes
// figures (docs/formats.md, scores.pack). Pure; shapes are rows first.
namespace ratchet::worker {

// kInvalid for an unknown name, and for a metric of the other task.
Status CheckMetric(std::string_view name, registry::Task task);

// Whether the metric ranks rows by the probability of one of two classes: roc_auc, pr_auc.
bool NeedsTwoClasses(std::string_view name);

// A class by its value; whole reals are integers, so that 1.0 in the data is the class 1. Missing: std::monostate.
lake::Value ClassOf(const lake::Column& column, const lake::ColumnBatch& values, size_t row);

// The values of a model's classes, in its order.
std::vector<lake::Value> ClassValues(const registry::Classes& classes);

// kInvalid: the target column cannot hold such classes (reals that are whole numbers count as integers).
Status CheckTarget(const registry::Classes& classes, const lake::Column& target);

// The numbers of a regression target; NaN where missing. kInvalid for a text or blob.
Result<std::vector<double>> TargetNumbers(const lake::Column& column, const lake::ColumnBatch& targets);

// The one list of classes that both sides are mapped to: each value once, integers before reals before texts, ascending,
// so that the order depends on no model. Of two classes the second is the positive one: 1 of 0 and 1, yes of no and yes.
class ClassList {
 public:
  void Add(lake::Value value);  // only before Close
  void Close();                 // numbers the classes
  std::int32_t size() const { return static_cast<std::int32_t>(index_.size()); }
  std::int32_t Find(const lake::Value& value) const;  // −1: none of them
  std::vector<std::string> Names() const;             // for people, in order, each of at most 80 bytes

 private:
  std::map<lake::Value, std::int32_t> index_;
};

// Where a model's classes stand in the common list. A class that it does not know has the probability 0.
struct ClassMap {
  std::vector<std::int32_t> common;  // of each class of the model
  std::vector<std::int32_t> own;     // of each common class; −1: the model does not know it
};
// The list must hold all of the model's classes.
ClassMap MapClasses(const std::vector<lake::Value>& model, const ClassList& list);

// One side's answers to the rows that have a target, in the order of the rows; the columns of the other task are empty.
struct Answers {
  std::vector<std::int32_t> predicted;  // of the common list
  std::vector<double> target_probability, predicted_probability, square_sum;  // each in [0, 1]
  std::vector<double> positive_probability;            // of two classes only: as the model gave it
  std::vector<std::optional<double>> prediction;       // none where the answer was not finite, until Settle
  std::int64_t non_finite_rows = 0;
};

// Appends a model's answers. `probabilities`: rows × the model's classes; `targets`: of the common list, −1 where
// missing, such rows are left out. The predicted class is the first of the likeliest. Probabilities outside of [0, 1]
// count as the nearer end, except for the positive class's, which only ranks. An answer that is not finite counts as
// certain of a wrong class: the worst by every metric.
void AddClassAnswers(std::span<const double> probabilities, const ClassMap& map, std::span<const std::int32_t> targets,
                     Answers& into);

// The answer of a baseline, the same for every row: `shares` of all common classes, which are probabilities.
void AddShares(std::span<const double> shares, std::span<const std::int32_t> targets, Answers& into);

// The same for numbers; targets that are not finite are missing.
void AddNumberAnswers(std::span<const double> predictions, std::span<const double> targets, Answers& into);

// Gives rows without a finite answer the largest error of all finite answers of either side, and at least the spread of
// the targets (1 where they have none), so that a model gains nothing by not answering. The prediction lies on the
// side of 0, where errors relative to it are largest, too. `targets`: of the rows that have one.
void Settle(std::span<const double> targets, Answers& candidate, Answers& opponent);

}  // namespace ratchet::worker
