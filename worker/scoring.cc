#include "worker/scoring.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace ratchet::worker {
namespace {

constexpr double kLeastProbability = 1e-15;

template <typename T>
std::unordered_map<T, std::int64_t> IndexOf(const std::vector<T>& classes) {
  std::unordered_map<T, std::int64_t> index;
  for (const auto& one : classes) index.emplace(one, static_cast<std::int64_t>(index.size()));
  return index;
}

template <typename Index, typename Key>
std::int64_t Look(const Index& index, const Key& key) {
  const auto it = index.find(key);
  return it == index.end() ? -1 : it->second;
}

std::unexpected<Error> WrongTarget(const lake::Column& column, std::string cause) {
  return Fail(ErrorCode::kInvalid, "read target", column.name, std::move(cause));
}

void Append(double score, ScoreColumn& into) {
  if (std::isfinite(score)) {
    into.scores.emplace_back(score);
  } else {
    into.scores.emplace_back(std::nullopt);
    ++into.non_finite_rows;
  }
}

bool AllFinite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

}  // namespace

std::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kAccuracy:
      return "accuracy";
    case Metric::kLogLoss:
      return "log_loss";
    case Metric::kMae:
      return "mae";
    case Metric::kRmse:
      return "rmse";
  }
  return "";
}

std::string_view PerRowName(Metric metric) {
  switch (metric) {
    case Metric::kAccuracy:
      return "correct";
    case Metric::kLogLoss:
      return "log_loss";
    case Metric::kMae:
      return "absolute_error";
    case Metric::kRmse:
      return "squared_error";
  }
  return "";
}

bool HigherIsBetter(Metric metric) { return metric == Metric::kAccuracy; }

Result<Metric> ParseMetric(std::string_view name, registry::Task task) {
  const bool classifies = task == registry::Task::kClassification;
  for (const auto metric : {Metric::kAccuracy, Metric::kLogLoss, Metric::kMae, Metric::kRmse}) {
    const bool of_classes = metric == Metric::kAccuracy || metric == Metric::kLogLoss;
    if (MetricName(metric) == name && of_classes == classifies) return metric;
  }
  return Fail(ErrorCode::kInvalid, "score by", std::string(name),
              "no metric for " + std::string(registry::TaskName(task)),
              classifies ? "Set test.metric to accuracy or log_loss." : "Set test.metric to mae or rmse.");
}

Result<std::vector<std::optional<std::int64_t>>> TargetIndexes(const registry::Classes& classes,
                                                               const lake::Column& column,
                                                               const lake::ColumnBatch& targets) {
  std::vector<std::optional<std::int64_t>> indexes(targets.missing.size());
  const auto fill = [&](const auto& index, const auto& key_of) {
    for (size_t row = 0; row < indexes.size(); ++row)
      if (targets.missing[row] == 0) indexes[row] = Look(index, key_of(row));
  };
  if (const auto* texts = std::get_if<std::vector<std::string>>(&classes)) {
    if (column.type != lake::ColumnType::kText) return WrongTarget(column, "the classes are texts, the column is not");
    fill(IndexOf(*texts), [&](size_t row) { return targets.texts[row]; });
    return indexes;
  }
  const auto* integers = std::get_if<std::vector<std::int64_t>>(&classes);
  if (integers == nullptr) return WrongTarget(column, "the model has no classes");
  const auto index = IndexOf(*integers);
  if (column.type == lake::ColumnType::kInteger) {
    fill(index, [&](size_t row) { return targets.integers[row]; });
  } else if (column.type == lake::ColumnType::kReal) {
    for (size_t row = 0; row < indexes.size(); ++row) {
      const double value = targets.reals[row];
      const bool whole = std::abs(value) < 9e15 && std::trunc(value) == value;
      if (targets.missing[row] == 0) indexes[row] = whole ? Look(index, static_cast<std::int64_t>(value)) : -1;
    }
  } else {
    return WrongTarget(column, "the classes are integers, the column holds no numbers");
  }
  return indexes;
}

Result<std::vector<std::optional<double>>> TargetNumbers(const lake::Column& column, const lake::ColumnBatch& targets) {
  if (column.type != lake::ColumnType::kInteger && column.type != lake::ColumnType::kReal)
    return WrongTarget(column, "a regression needs a column of numbers");
  const bool whole = column.type == lake::ColumnType::kInteger;
  std::vector<std::optional<double>> numbers(targets.missing.size());
  for (size_t row = 0; row < numbers.size(); ++row)
    if (targets.missing[row] == 0)
      numbers[row] = whole ? static_cast<double>(targets.integers[row]) : targets.reals[row];
  return numbers;
}

double LogLoss(double probability) { return -std::log(std::clamp(probability, kLeastProbability, 1.0)); }

void ScoreClasses(Metric metric, std::span<const double> probabilities, std::int64_t classes,
                  std::span<const std::optional<std::int64_t>> targets, ScoreColumn& into) {
  for (size_t row = 0; row < targets.size(); ++row) {
    if (!targets[row]) continue;
    const auto answer = probabilities.subspan(row * static_cast<size_t>(classes), static_cast<size_t>(classes));
    const auto target = *targets[row];
    if (!AllFinite(answer)) {
      Append(std::nan(""), into);
    } else if (metric == Metric::kAccuracy) {
      Append(std::ranges::max_element(answer) - answer.begin() == target ? 1.0 : 0.0, into);
    } else {
      Append(LogLoss(target < 0 ? 0.0 : answer[static_cast<size_t>(target)]), into);
    }
  }
}

void ScoreNumbers(Metric metric, std::span<const double> predictions, std::span<const std::optional<double>> targets,
                  ScoreColumn& into) {
  for (size_t row = 0; row < targets.size(); ++row) {
    if (!targets[row]) continue;
    const double error = predictions[row] - *targets[row];
    Append(metric == Metric::kRmse ? error * error : std::abs(error), into);
  }
}

void Settle(Metric metric, ScoreColumn& candidate, ScoreColumn& opponent) {
  double worst = HigherIsBetter(metric) ? 0.0 : LogLoss(0.0);
  for (const auto* column : {&candidate, &opponent})
    for (const auto& score : column->scores)
      if (score && !HigherIsBetter(metric)) worst = std::max(worst, *score);
  for (auto* column : {&candidate, &opponent})
    for (auto& score : column->scores)
      if (!score) score = worst;
}

double Summarise(Metric metric, const ScoreColumn& column) {
  if (column.scores.empty()) return 0;
  double sum = 0;
  for (const auto& score : column.scores) sum += score.value_or(0);
  const double mean = sum / static_cast<double>(column.scores.size());
  return metric == Metric::kRmse ? std::sqrt(mean) : mean;
}

}  // namespace ratchet::worker
