#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"
#include "worker/scoring.h"

// What the first version must beat: an answer that is the same for every row, learnt from the training rows' targets.
//
// - majority: the commonest class, with the classes' shares as its probabilities (so it is the prior as well);
// - mean: the best single number by squared error;
// - median: the best single number by absolute error; of an even number of rows the middle of the two.
namespace ratchet::worker {

std::vector<std::string> BaselinesFor(registry::Task task);

// The one that is best under the metric: majority; mean under rmse, else median.
std::string BestBaseline(registry::Task task, std::string_view metric);

class Baseline {
 public:
  // kInvalid: it is none of the task's, or the target column holds something else. Other errors as of lake::PackReader.
  static Result<Baseline> Learn(const std::string& name, registry::Task task, const std::vector<std::string>& train_packs,
                                const std::string& target);

  const std::string& name() const { return name_; }

  // Of classification: the classes seen; and, once the list holds all classes, its shares of them. Without a training row
  // every class is as likely as the next.
  void AddClassesTo(ClassList& classes) const;
  void Know(const ClassList& classes);

  // Its answers to rows with these targets, as of AddShares and AddNumberAnswers.
  void AnswerClasses(std::span<const std::int32_t> targets, Answers& into) const;
  void AnswerNumbers(std::span<const double> targets, Answers& into) const;

 private:
  explicit Baseline(std::string name) : name_(std::move(name)) {}
  Status Add(registry::Task task, const lake::Column& column, const lake::ColumnBatch& values);
  void SettleNumber();

  std::string name_;
  std::vector<double> numbers_;  // targets, while it learns
  double number_ = 0;
  std::int64_t rows_ = 0;
  std::map<lake::Value, std::int64_t> counts_;
  std::vector<double> shares_;  // of the common classes
};

}  // namespace ratchet::worker
