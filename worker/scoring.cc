#include "worker/scoring.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace ratchet::worker {
namespace {

constexpr size_t kMaxNameBytes = 80;
constexpr std::string_view kClassMetrics[] = {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1",
                                      "log_loss", "brier",             "roc_auc",  "pr_auc"};
constexpr std::string_view kNumberMetrics[] = {"mae", "rmse", "wape", "mape", "smape"};

bool AllFinite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

double AsProbability(double value) { return std::clamp(value, 0.0, 1.0); }

lake::Value WholeAsInteger(double value) {
  const bool is_whole = std::abs(value) < 9e15 && std::trunc(value) == value;
  return is_whole ? lake::Value(static_cast<std::int64_t>(value)) : lake::Value(value);
}

// Cut where a character of UTF-8 begins.
std::string Shortened(std::string text) {
  if (text.size() <= kMaxNameBytes) return text;
  size_t end = kMaxNameBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string NameOf(const lake::Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? Shortened(*text) : "(missing)";
}

// One row's answer. `positive`: of the second of two common classes.
struct Answer {
  std::int32_t predicted = 0;
  double target = 0, confidence = 0, square_sum = 0, positive = 0;
};

void Append(const Answer& answer, std::int32_t classes, Answers& into) {
  into.predicted.push_back(answer.predicted);
  into.target_probability.push_back(AsProbability(answer.target));
  into.predicted_probability.push_back(AsProbability(answer.confidence));
  into.square_sum.push_back(AsProbability(answer.square_sum));
  if (classes == 2) into.positive_probability.push_back(answer.positive);
}

// With one class in all there is no wrong one; the probabilities still say it.
Answer CertainlyWrong(std::int32_t target, std::int32_t classes) {
  return {.predicted = (target + 1) % classes, .target = 0, .confidence = 1, .square_sum = 1,
          .positive = target == 1 ? 0.0 : 1.0};
}

Answer AnswerOf(std::span<const double> probabilities, const ClassMap& map, std::int32_t target) {
  const auto likeliest = std::ranges::max_element(probabilities) - probabilities.begin();
  const auto of = [&](std::int32_t common) {
    const std::int32_t own = map.own[static_cast<size_t>(common)];
    return own < 0 ? 0.0 : probabilities[static_cast<size_t>(own)];
  };
  Answer answer{.predicted = map.common[static_cast<size_t>(likeliest)], .target = of(target),
                .confidence = probabilities[static_cast<size_t>(likeliest)]};
  for (const double probability : probabilities) answer.square_sum += std::pow(AsProbability(probability), 2);
  if (map.own.size() == 2) answer.positive = of(1);
  return answer;
}

double Spread(std::span<const double> targets) {
  if (targets.empty()) return 0;
  const auto [least, most] = std::ranges::minmax(targets);
  return most - least;
}

double LargestError(std::span<const double> targets, const Answers& side) {
  double largest = 0;
  for (size_t row = 0; row < targets.size(); ++row)
    if (const auto& prediction = side.prediction[row]) {
      const double error = std::abs(*prediction - targets[row]);
      if (std::isfinite(error)) largest = std::max(largest, error);
    }
  return largest;
}

}  // namespace

Status CheckMetric(std::string_view name, registry::Task task) {
  const bool classifies = task == registry::Task::kClassification;
  const std::span<const std::string_view> known = classifies ? std::span<const std::string_view>(kClassMetrics) : kNumberMetrics;
  if (std::ranges::count(known, name) > 0) return {};
  return Fail(ErrorCode::kInvalid, "score by", std::string(name),
              "no metric for " + std::string(registry::TaskName(task)),
              fmt::format("Set test.metric to one of {}.", fmt::join(known, ", ")));
}

bool NeedsTwoClasses(std::string_view name) { return name == "roc_auc" || name == "pr_auc"; }

lake::Value ClassOf(const lake::Column& column, const lake::ColumnBatch& values, size_t row) {
  if (values.missing[row] != 0) return std::monostate{};
  if (column.type == lake::ColumnType::kInteger) return values.integers[row];
  if (column.type == lake::ColumnType::kReal) return WholeAsInteger(values.reals[row]);
  return values.texts.empty() ? std::string() : values.texts[row];
}

std::vector<lake::Value> ClassValues(const registry::Classes& classes) {
  if (const auto* texts = std::get_if<std::vector<std::string>>(&classes)) return {texts->begin(), texts->end()};
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&classes)) return {integers->begin(), integers->end()};
  return {};
}

Status CheckTarget(const registry::Classes& classes, const lake::Column& target) {
  const auto refuse = [&](std::string cause) -> Status {
    return Fail(ErrorCode::kInvalid, "read target", target.name, std::move(cause));
  };
  if (registry::ClassCount(classes) == 0) return refuse("the model has no classes");
  if (std::holds_alternative<std::vector<std::string>>(classes))
    return target.type == lake::ColumnType::kText ? Status() : refuse("the classes are texts, the column is not");
  const bool numbers = target.type == lake::ColumnType::kInteger || target.type == lake::ColumnType::kReal;
  return numbers ? Status() : refuse("the classes are integers, the column holds no numbers");
}

Result<std::vector<double>> TargetNumbers(const lake::Column& column, const lake::ColumnBatch& targets) {
  if (column.type != lake::ColumnType::kInteger && column.type != lake::ColumnType::kReal)
    return Fail(ErrorCode::kInvalid, "read target", column.name, "a regression needs a column of numbers");
  const bool whole = column.type == lake::ColumnType::kInteger;
  std::vector<double> numbers(targets.missing.size(), std::nan(""));
  for (size_t row = 0; row < numbers.size(); ++row)
    if (targets.missing[row] == 0)
      numbers[row] = whole ? static_cast<double>(targets.integers[row]) : targets.reals[row];
  return numbers;
}

void ClassList::Add(lake::Value value) { index_.try_emplace(std::move(value), 0); }

void ClassList::Close() {
  std::int32_t next = 0;
  for (auto& [value, index] : index_) index = next++;
}

std::int32_t ClassList::Find(const lake::Value& value) const {
  const auto it = index_.find(value);
  return it == index_.end() ? -1 : it->second;
}

std::vector<std::string> ClassList::Names() const {
  std::vector<std::string> names;
  names.reserve(index_.size());
  for (const auto& [value, index] : index_) names.push_back(NameOf(value));
  return names;
}

ClassMap MapClasses(const std::vector<lake::Value>& model, const ClassList& list) {
  ClassMap map{.common = {}, .own = std::vector<std::int32_t>(static_cast<size_t>(list.size()), -1)};
  for (const auto& value : model) {
    map.common.push_back(list.Find(value));
    map.own[static_cast<size_t>(map.common.back())] = static_cast<std::int32_t>(map.common.size()) - 1;
  }
  return map;
}

void AddClassAnswers(std::span<const double> probabilities, const ClassMap& map, std::span<const std::int32_t> targets,
                     Answers& into) {
  const size_t width = map.common.size();
  const auto classes = static_cast<std::int32_t>(map.own.size());
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] < 0) continue;
    const auto answer = probabilities.subspan(row * width, width);
    const bool finite = AllFinite(answer);
    into.non_finite_rows += finite ? 0 : 1;
    Append(finite ? AnswerOf(answer, map, targets[row]) : CertainlyWrong(targets[row], classes), classes, into);
  }
}

void AddShares(std::span<const double> shares, std::span<const std::int32_t> targets, Answers& into) {
  const auto majority = std::ranges::max_element(shares) - shares.begin();
  Answer answer{.predicted = static_cast<std::int32_t>(majority), .confidence = shares[static_cast<size_t>(majority)]};
  for (const double share : shares) answer.square_sum += share * share;
  const auto classes = static_cast<std::int32_t>(shares.size());
  if (classes == 2) answer.positive = shares[1];
  for (const std::int32_t target : targets) {
    if (target < 0) continue;
    answer.target = shares[static_cast<size_t>(target)];
    Append(answer, classes, into);
  }
}

void AddNumberAnswers(std::span<const double> predictions, std::span<const double> targets, Answers& into) {
  for (size_t row = 0; row < targets.size(); ++row) {
    if (!std::isfinite(targets[row])) continue;
    const bool finite = std::isfinite(predictions[row]);
    into.non_finite_rows += finite ? 0 : 1;
    into.prediction.push_back(finite ? std::optional(predictions[row]) : std::nullopt);
  }
}

void Settle(std::span<const double> targets, Answers& candidate, Answers& opponent) {
  double worst = std::max({LargestError(targets, candidate), LargestError(targets, opponent), Spread(targets)});
  if (!(worst > 0)) worst = 1;
  for (auto* side : {&candidate, &opponent})
    for (size_t row = 0; row < targets.size(); ++row)
      if (!side->prediction[row]) side->prediction[row] = targets[row] - std::copysign(worst, targets[row]);
}

}  // namespace ratchet::worker
