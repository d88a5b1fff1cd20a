#include "pipeline/soundness.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

namespace ratchet::pipeline {
namespace {

using registry::Json;

enum class Unit { kMicroseconds, kBytes };

struct Budget {
  const char* name;    // in test.budgets
  const char* figure;  // in the result of the test
  Unit unit;
  std::optional<std::int64_t> limit;
  const char* words;
};

std::array<Budget, 4> BudgetsOf(const BudgetSpec& spec) {
  return {{{"p50_latency", "p50_latency_us", Unit::kMicroseconds, spec.p50_latency_us, "the median of its latency"},
           {"p99_latency", "p99_latency_us", Unit::kMicroseconds, spec.p99_latency_us, "the 99th percentile of its latency"},
           {"bundle_size", "bundle_bytes", Unit::kBytes, spec.bundle_bytes, "the size of its bundle"},
           {"memory", "memory_bytes", Unit::kBytes, spec.memory_bytes, "the memory of the process that serves it"}}};
}

// What a worker says may be anything.
std::optional<std::int64_t> Figure(const Json& serving, const char* name) {
  if (!serving.is_object()) return std::nullopt;
  const auto it = serving.find(name);
  if (it == serving.end() || !it->is_number_integer() || it->get<std::int64_t>() < 0) return std::nullopt;
  return it->get<std::int64_t>();
}

std::string Shown(std::int64_t value, Unit unit) {
  const auto number = static_cast<double>(value);
  if (unit == Unit::kMicroseconds) return value < 1000 ? fmt::format("{} us", value) : fmt::format("{:.4g} ms", number / 1e3);
  if (value < 1 << 10) return fmt::format("{} bytes", value);
  if (value < 1 << 20) return fmt::format("{:.4g} KiB", number / (1 << 10));
  return fmt::format("{:.5g} MiB", number / (1 << 20));
}

// Empty where it holds.
std::string WhyBroken(const Budget& budget, const std::optional<std::int64_t>& measured) {
  if (!measured) return fmt::format("test.budgets.{} is set, and the test has not measured it.", budget.name);
  if (*measured <= *budget.limit) return {};
  return fmt::format("Over budget: {} is {}, and test.budgets.{} allows {}.", budget.words, Shown(*measured, budget.unit),
                     budget.name, Shown(*budget.limit, budget.unit));
}

template <typename T>
bool AllEqual(const std::vector<T>& values) {
  return std::ranges::adjacent_find(values, std::not_equal_to<>()) == values.end();
}

// Whether the candidate said the same of every row. What a target makes of an answer (p_target) does not count.
bool IsConstant(const TestScores& scores) {
  const TestScores::Answers& answers = scores.candidate_answers;
  switch (scores.form) {
    case TestScores::Form::kScores:
      return false;
    case TestScores::Form::kClasses:
      return AllEqual(answers.predicted) && AllEqual(answers.predicted_probability) && AllEqual(answers.square_sum) &&
             AllEqual(answers.positive_probability);
    case TestScores::Form::kNumbers:
      return AllEqual(answers.prediction);
  }
  return false;
}

bool InputsDiffer(const Json& tested) {
  const Json serving = tested.value("serving", Json());
  return serving.is_object() && serving.value("inputs_differ", Json(false)) == true;
}

std::vector<std::string> Findings(const TestScores& scores, const Json& tested, const BudgetSpec& budgets) {
  std::vector<std::string> findings;
  if (const auto rows = Figure(tested.value("metrics", Json()), "non_finite_rows"); rows && *rows > 0)
    findings.push_back(fmt::format("It has no finite answer to {} holdout row{}, so it is not released.", *rows, *rows == 1 ? "" : "s"));
  if (InputsDiffer(tested) && IsConstant(scores))
    findings.push_back("It gives every row the same answer though the inputs differ, so it is not released.");
  for (const Budget& budget : BudgetsOf(budgets))
    if (budget.limit)
      if (auto why = WhyBroken(budget, Figure(tested.value("serving", Json()), budget.figure)); !why.empty())
        findings.push_back(std::move(why));
  return findings;
}

}  // namespace

Json ServingReport(const Json& tested, const BudgetSpec& budgets) {
  const Json serving = tested.value("serving", Json());
  Json list = Json::array();
  for (const Budget& budget : BudgetsOf(budgets)) {
    if (!budget.limit) continue;
    const auto measured = Figure(serving, budget.figure);
    list.push_back({{"name", budget.name}, {"unit", budget.unit == Unit::kBytes ? "bytes" : "us"}, {"limit", *budget.limit},
                    {"measured", measured ? Json(*measured) : Json()}, {"holds", WhyBroken(budget, measured).empty()}});
  }
  if (!serving.is_object() && list.empty()) return {};
  Json report{{"budgets", std::move(list)}};
  for (const char* name : {"rows", "rounds", "p50_latency_us", "p99_latency_us", "load_us", "memory_bytes", "memory_growth_bytes",
                           "bundle_bytes", "took_ms"}) {
    const auto figure = Figure(serving, name);
    report[name] = figure ? Json(*figure) : Json();
  }
  const Json apart = serving.is_object() ? serving.value("largest_difference", Json()) : Json();
  report["largest_difference"] = apart.is_number() ? apart : Json();
  return report;
}

gate::Decision WithSoundness(gate::Decision decision, const TestScores& scores, const Json& tested, const BudgetSpec& budgets) {
  for (const std::string& finding : Findings(scores, tested, budgets)) {
    decision.promotes = false;
    decision.reason += " " + finding;
  }
  return decision;
}

}  // namespace ratchet::pipeline
