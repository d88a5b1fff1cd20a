#include "cli/serving_figures.h"

#include <spdlog/fmt/fmt.h>

#include "cli/human.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

struct Row {
  const char* title;
  const char* figure;  // in `serving`
  const char* budget;  // its name in `budgets`; empty: there is none
  bool is_size;
};
constexpr Row kRows[] = {{"p50 latency", "p50_latency_us", "p50_latency", false},
                         {"p99 latency", "p99_latency_us", "p99_latency", false},
                         {"bundle size", "bundle_bytes", "bundle_size", true},
                         {"peak memory", "memory_bytes", "memory", true},
                         {"of it the model's", "memory_growth_bytes", "", true},
                         {"load time", "load_us", "", false}};

std::string Shown(const Row& row, const std::optional<double>& value) {
  if (!value) return kAbsent;
  if (row.is_size) return ShownSize(*value);
  return *value < 10'000 ? fmt::format("{:.2f} ms", *value / 1000) : ShownDuration(*value / 1000);
}

const Json& BudgetOf(const Json& serving, const std::string& name) {
  for (const Json& budget : Field(serving, "budgets"))
    if (!name.empty() && TextField(budget, "name") == name) return budget;
  return Field(Json(), "");
}

}  // namespace

std::string ServingTable(const Console& console, const Json& serving) {
  if (!serving.is_object()) return {};
  Table table({{"SERVING"}, {"MEASURED", Align::kRight}, {"BUDGET", Align::kRight}, WordColumn("STATE")});
  for (const Row& row : kRows) {
    const auto measured = NumberField(serving, row.figure);
    const Json& budget = BudgetOf(serving, row.budget);
    if (!measured && !budget.is_object()) continue;
    const bool holds = FlagField(budget, "holds");
    table.Add({row.title, Shown(row, measured), budget.is_object() ? Shown(row, NumberField(budget, "limit")) : kAbsent,
               !budget.is_object() ? kAbsent : holds ? "holds" : "broken"});
    if (budget.is_object()) table.PaintLast(3, PaintOfState(holds ? "ok" : "fail"));
  }
  if (table.Empty()) return {};
  std::string text = "\n" + table.Render(console);
  if (const auto rows = IntField(serving, "rows"))
    text += fmt::format("Over HTTP, {}, a row a request; the quietest of {}\n", Counted(*rows, "holdout row"),
                        Counted(IntField(serving, "rounds").value_or(0), "round"));
  return text;
}

}  // namespace ratchet::cli
