#include "cli/run_tables.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "cli/human.h"
#include "cli/run_errors.h"

namespace ratchet::cli {
namespace {

void Append(std::string& text, const std::string& part, std::string_view between) {
  if (part.empty()) return;
  if (!text.empty()) text += between;
  text += part;
}

// {"column":"price","min":0} without the column: "min 0".
std::string ExpectationText(const Json& expect) {
  std::string text;
  for (const auto& [key, value] : expect.items())
    if (key != "column") Append(text, key + " " + ShownValue(value), ", ");
  return OneLine(text);
}

// {"row":3,"values":{"price":-2}}: "row 3: price -2".
std::string ExampleText(const Json& example) {
  const Json& values = Field(example, "values");
  if (!values.is_object()) return ShownValue(example);
  std::string text;
  for (const auto& [column, value] : values.items()) Append(text, column + " " + ShownValue(value), ", ");
  auto row = IntField(example, "row");
  return row ? fmt::format("row {}: {}", *row, text) : text;
}

const Json& ChecksOf(const Json& run) {
  static const Json kNone = Json::array();
  for (const Json& step : Field(run, "steps"))
    if (const Json& checks = Field(step, "checks"); checks.is_array()) return checks;
  return kNone;
}

std::string ParamsText(const Json& params) {
  std::string text;
  for (const auto& [key, value] : params.items())
    Append(text, key + "=" + (value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : ShownValue(value)), " ");
  return text;
}

}  // namespace

Table FailingChecks(const Json& run) {
  Table table({{"COLUMN"}, {"EXPECTED"}, {"FAILING ROWS", Align::kRight}, {"EXAMPLES"}, {"FOUND"}});
  for (const Json& check : ChecksOf(run)) {
    if (FlagField(check, "passed")) continue;
    std::string examples;
    for (const Json& example : Field(check, "examples")) Append(examples, ExampleText(example), "; ");
    const Json& expect = Field(check, "expect");
    const std::string column = TextField(expect, "column");
    table.Add({column.empty() ? kAbsent : column, ExpectationText(expect),
               ShownCount(IntField(check, "failing_rows").value_or(0)), examples, TextField(check, "message")});
  }
  return table;
}

Table DriftedColumns(const Json& run) {
  Table table({{"COLUMN"}, {"KIND"}, {"PSI", Align::kRight}, {"KS", Align::kRight}, {"MISSING BEFORE", Align::kRight},
               {"NOW", Align::kRight}, {"NEW VALUES"}});
  for (const Json& check : ChecksOf(run)) {
    const Json& drift = Field(check, "drift");
    if (FlagField(check, "passed") || !drift.is_array()) continue;
    for (const Json& column : drift) {
      const Json& fresh = Field(column, "new_categories");
      table.Add({TextField(column, "column"), TextField(column, "kind"), ShownScore(NumberField(column, "psi")),
                 ShownScore(NumberField(column, "ks")), ShownScore(NumberField(column, "missing_before")),
                 ShownScore(NumberField(column, "missing_now")), fresh.is_array() && !fresh.empty() ? ShownValue(fresh) : ""});
    }
  }
  return table;
}

Table TrialsTable(const Json& trials, bool utf8) {
  Table table({{""}, {"TRIAL"}, WordColumn("STATE"), {"EPOCHS", Align::kRight}, {TextField(trials, "metric"), Align::kRight},
               {"RANK", Align::kRight}, {"PARAMS"}, {"WHY"}});
  const Json& items = Field(trials, "items");
  // Behind a step that failed no trial was begun: there is nothing to compare.
  if (std::ranges::all_of(items, [](const Json& trial) { return TextField(trial, "state") == "skipped"; })) return table;
  const std::string best = TextField(trials, "best");
  for (const Json& trial : items) {
    const std::string name = TextField(trial, "name"), state = TextField(trial, "state");
    const auto of = IntField(trial, "of"), cached = IntField(trial, "cached_from");
    table.Add({name == best ? (utf8 ? "★" : "*") : "", name, cached ? fmt::format("{} (from run {})", state, *cached) : state,
               ShownInt(IntField(trial, "epochs")) + (of ? fmt::format("/{}", *of) : ""), ShownScore(NumberField(trial, "best")),
               ShownInt(IntField(trial, "rank")), ParamsText(Field(trial, "params")), TextField(trial, "reason")});
    table.PaintLast(2, PaintOfState(state));
    if (name == best) table.PaintLast(1, Paint::kBold);
  }
  return table;
}

Table FailedAttempts(const Json& run) {
  Table table({{"STEP"}, {"ATTEMPT", Align::kRight}, {"CLASS"}, {"CPU", Align::kRight}, {"PEAK MEMORY", Align::kRight},
               {"READ", Align::kRight}, {"WHAT HAPPENED"}});
  const auto size = [](std::optional<double> bytes) { return bytes ? ShownSize(*bytes) : std::string(kAbsent); };
  for (const Json& step : Field(run, "steps"))
    for (const Json& attempt : Field(step, "attempts")) {
      const Json& error = Field(attempt, "error");
      const std::string error_class = TextField(error, "class");
      if (error_class.empty() || error_class == "pruned") continue;
      const auto cpu_s = NumberField(attempt, "cpu_s");
      table.Add({TextField(step, "name"), ShownInt(IntField(attempt, "number")), error_class,
                 cpu_s ? ShownDuration(*cpu_s * 1000) : kAbsent, size(NumberField(attempt, "max_rss_bytes")),
                 size(NumberField(attempt, "read_bytes")), ErrorCause(error)});
    }
  return table;
}

std::vector<std::string> ErrorLines(const Json& run) {
  const Json& error = Field(run, "error");
  if (!error.is_object()) return {};
  std::string where;
  for (const Json& step : Field(run, "steps"))
    if (where.empty() && TextField(step, "state") == "failed" && TextField(step, "kind") != "trial") where = TextField(step, "name");
  std::vector<std::string> lines = {fmt::format("Error: {}{}: {}", TextField(error, "class"), where.empty() ? "" : " in " + where,
                                                ErrorHead(error))};
  if (std::string hint = TextField(error, "hint"); !hint.empty()) lines.push_back("What to do: " + OneLine(hint));
  if (const std::vector<std::string> tail = OwnTail(error); !tail.empty()) {
    lines.push_back("Last lines of the log:");
    for (const std::string& line : tail) lines.push_back("  | " + line);
    lines.push_back(fmt::format("All of it: ratchet run logs {} --step {}", ShownInt(IntField(run, "id")), where));
  }
  return lines;
}

}  // namespace ratchet::cli
