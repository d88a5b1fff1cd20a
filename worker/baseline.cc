#include "worker/baseline.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/names.h"

namespace ratchet::worker {
namespace {

using registry::Task;

constexpr std::int64_t kBatchRows = 4096;

double MedianOf(std::vector<double>& numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::ranges::nth_element(numbers, middle);
  if (numbers.size() % 2 == 1) return *middle;
  return std::midpoint(*std::max_element(numbers.begin(), middle), *middle);
}

}  // namespace

std::vector<std::string> BaselinesFor(Task task) {
  if (task == Task::kClassification) return {"majority"};
  return {"mean", "median"};
}

std::string BestBaseline(Task task, std::string_view metric) {
  if (task == Task::kClassification) return "majority";
  return metric == "rmse" ? "mean" : "median";
}

Result<Baseline> Baseline::Learn(const std::string& name, Task task, const std::vector<std::string>& train_packs,
                                 const std::string& target) {
  const auto fitting = BaselinesFor(task);
  if (std::ranges::count(fitting, name) == 0)
    return Fail(ErrorCode::kInvalid, "learn the baseline", Quoted(name),
                fmt::format("gate.baseline: it is none for {}", registry::TaskName(task)),
                fmt::format("Use auto or {}.", fmt::join(fitting, " or ")));
  Baseline baseline(name);
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(train_packs, {target}));
  for (;;) {
    RATCHET_ASSIGN(const auto batch, reader->Next(kBatchRows));
    if (batch.rows == 0) break;
    RATCHET_TRY(baseline.Add(task, reader->schema().columns.at(0), batch.columns.at(0)));
  }
  baseline.SettleNumber();
  return baseline;
}

Status Baseline::Add(Task task, const lake::Column& column, const lake::ColumnBatch& values) {
  if (task == Task::kRegression) {
    RATCHET_ASSIGN(const auto numbers, TargetNumbers(column, values));
    std::ranges::copy_if(numbers, std::back_inserter(numbers_), [](double number) { return std::isfinite(number); });
    return {};
  }
  for (size_t row = 0; row < values.missing.size(); ++row)
    if (values.missing[row] == 0) ++counts_[ClassOf(column, values, row)], ++rows_;
  return {};
}

void Baseline::SettleNumber() {
  if (numbers_.empty()) return;
  number_ = name_ == "median" ? MedianOf(numbers_)
                              : std::accumulate(numbers_.begin(), numbers_.end(), 0.0) / static_cast<double>(numbers_.size());
  numbers_ = {};
}

void Baseline::AddClassesTo(ClassList& classes) const {
  for (const auto& [value, count] : counts_) classes.Add(value);
}

void Baseline::Know(const ClassList& classes) {
  shares_.assign(static_cast<size_t>(classes.size()), rows_ == 0 ? 1.0 / std::max(classes.size(), 1) : 0.0);
  for (const auto& [value, count] : counts_)
    shares_[static_cast<size_t>(classes.Find(value))] = static_cast<double>(count) / static_cast<double>(rows_);
}

void Baseline::AnswerClasses(std::span<const std::int32_t> targets, Answers& into) const { AddShares(shares_, targets, into); }

void Baseline::AnswerNumbers(std::span<const double> targets, Answers& into) const {
  AddNumberAnswers(std::vector<double>(targets.size(), number_), targets, into);
}

}  // namespace ratchet::worker
