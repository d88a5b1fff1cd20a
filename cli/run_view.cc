#include "cli/run_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "cli/human.h"
#include "cli/progress_bar.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr size_t kBarWidth = 26;

std::string Painting(const RunStyle& style, Paint paint, const std::string& text) {
  return style.color ? Painted(paint, text) : text;
}

std::string Mark(const std::string& state, bool utf8) {
  if (state == "succeeded") return utf8 ? "✓" : "+";
  if (state == "failed" || state == "cancelled") return utf8 ? "✗" : "x";
  if (state == "running") return utf8 ? "▸" : ">";
  return state == "skipped" ? "-" : " ";
}

std::string TookText(const Json& thing) {
  auto started = IntField(thing, "started_at");
  auto ended = IntField(thing, "ended_at");
  return started && ended ? ShownDuration(static_cast<double>(*ended - *started) / 1000) : "";
}

const Json& LastAttempt(const Json& step) {
  static const Json kNone;
  const Json& attempts = Field(step, "attempts");
  return attempts.is_array() && !attempts.empty() ? attempts.back() : kNone;
}

std::string ErrorOf(const Json& thing) {
  const Json& error = Field(thing, "error");
  std::string message = TextField(error, "message");
  std::string hint = TextField(error, "hint");
  if (!message.empty() && !hint.empty()) message += ". " + hint;
  return OneLine(message);
}

std::string Join(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

std::string TimeLeft(const Json& step, double fraction, std::int64_t now_us) {
  auto started = IntField(LastAttempt(step), "started_at");
  if (!started || fraction <= 0.01 || fraction >= 1) return {};
  double elapsed_s = static_cast<double>(now_us - *started) / 1e6;
  return elapsed_s < 0.5 ? "" : ShownTimeLeft(elapsed_s * (1 - fraction) / fraction);
}

std::string RunningStep(const Json& step, std::int64_t now_us, const RunStyle& style) {
  const Json& progress = Field(step, "progress");
  // What matters most stands first: the end of the line may be cut off.
  std::vector<std::string> parts;
  auto fraction = StepFraction(progress);
  if (fraction) parts.push_back(TimeLeft(step, *fraction, now_us));
  auto number = IntField(LastAttempt(step), "number");
  if (number && *number > 1) parts.push_back(fmt::format("attempt {}", *number));
  parts.push_back(ProgressText(progress));
  std::string text = Join(parts, " · ");
  if (!fraction) return text.empty() ? "running" : text;
  return fmt::format("{} {:3.0f}%  {}", Painting(style, Paint::kCyan, Bar(*fraction, kBarWidth, style.utf8)),
                     std::floor(*fraction * 100), text);
}

// "waits: the worker is down: …"
std::string WaitingText(const Json& step) {
  std::string why = TextField(step, "waiting");
  return why.empty() ? "" : "waits: " + OneLine(why);
}

// {"column":"price","min":0} without the column: "min 0".
std::string ExpectationText(const Json& expect) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : expect.items())
    if (key != "column") parts.push_back(key + " " + ShownValue(value));
  return OneLine(Join(parts, ", "));
}

std::string StepLine(const Json& step, std::int64_t now_us, const RunStyle& style) {
  std::string state = TextField(step, "state");
  std::string mark = Painting(style, PaintOfState(state), Mark(state, style.utf8));
  std::string rest;
  if (state == "running")
    rest = RunningStep(step, now_us, style);
  else if (state == "failed" || state == "cancelled")
    rest = Join({state, ErrorOf(LastAttempt(step))}, ": ");
  else if (state == "succeeded")
    rest = TookText(step);
  else
    rest = Painting(style, Paint::kDim, state);
  if (std::string waiting = WaitingText(step); !waiting.empty()) rest += ", " + waiting;
  return fmt::format("  {} {:<9} {}", mark, TextField(step, "name"), rest);
}

std::string Head(const Json& run) {
  std::string dataset = TextField(run, "dataset");
  if (auto version = IntField(run, "dataset_version")) dataset += fmt::format("@{}", *version);
  auto candidate = IntField(run, "candidate");
  return Join(
      {fmt::format("run {}", ShownInt(IntField(run, "id"))), TextField(run, "pipeline"), dataset,
       candidate ? fmt::format("candidate {}@{}", TextField(run, "model"), *candidate) : "", TextField(run, "state")},
      " · ");
}

const Json& StepNamed(const Json& run, const std::string& name) {
  static const Json kNone;
  for (const Json& step : Field(run, "steps"))
    if (TextField(step, "name") == name) return step;
  return kNone;
}

}  // namespace

std::optional<double> StepFraction(const Json& progress) {
  auto epoch = NumberField(progress, "epoch");
  auto epochs = NumberField(progress, "of");
  auto step = NumberField(progress, "step");
  auto steps = NumberField(progress, "steps");
  std::optional<double> within = step && steps && *steps > 0 ? std::optional(*step / *steps) : std::nullopt;
  if (!epoch || !epochs || *epochs <= 0) return within ? std::optional(std::clamp(*within, 0.0, 1.0)) : std::nullopt;
  double done = within ? *epoch - 1 + *within : *epoch;
  return std::clamp(done / *epochs, 0.0, 1.0);
}

std::string ProgressText(const Json& progress) {
  std::vector<std::string> parts;
  auto epoch = IntField(progress, "epoch");
  std::string phase = TextField(progress, "phase");
  if (!phase.empty() && phase != "train") parts.push_back(phase);
  if (epoch) parts.push_back(fmt::format("epoch {}/{}", *epoch, ShownInt(IntField(progress, "of"))));
  if (auto loss = NumberField(progress, "loss")) parts.push_back(fmt::format("loss {:.4g}", *loss));
  for (const auto& [name, value] : Field(progress, "metrics").items())
    if (value.is_number()) parts.push_back(fmt::format("{} {:.4g}", name, value.get<double>()));
  if (auto rate = NumberField(progress, "rows_per_s"))
    parts.push_back(ShownCount(static_cast<std::int64_t>(std::llround(*rate))) + " rows/s");
  if (parts.empty() || (parts.size() == 1 && !epoch)) parts.push_back(TextField(progress, "message"));
  return OneLine(Join(parts, " · "));
}

std::vector<std::string> RunLines(const Json& run, std::int64_t now_us, const RunStyle& style) {
  std::vector<std::string> lines = {Painting(style, Paint::kBold, Head(run))};
  for (const Json& step : Field(run, "steps")) lines.push_back(StepLine(step, now_us, style));
  return lines;
}

std::vector<std::string> RunChanges(const Json& before, const Json& now) {
  std::vector<std::string> lines;
  std::string id = ShownInt(IntField(now, "id"));
  if (before.is_null() || TextField(before, "state") != TextField(now, "state"))
    lines.push_back(fmt::format("run {}: {}", id, TextField(now, "state")));
  for (const Json& step : Field(now, "steps")) {
    std::string name = TextField(step, "name");
    const Json& old = StepNamed(before, name);
    std::string state = TextField(step, "state");
    bool moved = TextField(old, "state") != state && state != "pending";
    if (moved)
      lines.push_back(
          fmt::format("run {}: {}: {}", id, name, Join({state, TookText(step), ErrorOf(LastAttempt(step))}, ", ")));
    std::string waiting = WaitingText(step);
    if (!waiting.empty() && waiting != WaitingText(old)) lines.push_back(fmt::format("run {}: {}: {}", id, name, waiting));
    const Json& progress = Field(step, "progress");
    std::string text = ProgressText(progress);
    bool another_epoch = IntField(progress, "epoch") != IntField(Field(old, "progress"), "epoch");
    bool another_phase = TextField(progress, "phase") != TextField(Field(old, "progress"), "phase");
    if (!text.empty() && (another_epoch || another_phase))
      lines.push_back(fmt::format("run {}: {}: {}", id, name, text));
  }
  return lines;
}

Table FailingChecks(const Json& run) {
  Table table({{"COLUMN"}, {"EXPECTED"}, {"FAILING ROWS", Align::kRight}, {"EXAMPLES"}});
  for (const Json& check : Field(StepNamed(run, "validate"), "checks")) {
    if (FlagField(check, "passed")) continue;
    std::vector<std::string> examples;
    for (const Json& example : Field(check, "examples")) examples.push_back(ShownValue(example));
    const Json& expect = Field(check, "expect");
    table.Add({TextField(expect, "column"), ExpectationText(expect),
               ShownCount(IntField(check, "failing_rows").value_or(0)), Join(examples, ", ")});
  }
  return table;
}

bool RunEnded(const Json& run) {
  std::string state = TextField(run, "state");
  return state == "succeeded" || state == "failed" || state == "cancelled";
}

int RunExitCode(const Json& run) { return TextField(run, "outcome") == "promoted" ? 0 : 1; }

std::string RunVerdict(const Json& run) {
  std::string outcome = TextField(run, "outcome");
  if (outcome.empty()) outcome = TextField(run, "state");
  std::string head = fmt::format("run {}: {}", ShownInt(IntField(run, "id")), outcome);
  if (auto candidate = IntField(run, "candidate")) head += fmt::format(" {}@{}", TextField(run, "model"), *candidate);
  std::string why = OneLine(TextField(run, "summary"));
  if (why.empty()) why = ErrorOf(run);
  return why.empty() ? head + "." : head + ". " + why;
}

}  // namespace ratchet::cli
