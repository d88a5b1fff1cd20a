#include "cli/run_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cli/human.h"
#include "cli/progress_bar.h"
#include "cli/run_errors.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr size_t kBarWidth = 26;
constexpr size_t kLeastNameWidth = 9, kMostNameWidth = 28;
constexpr size_t kMostStepLines = 30;  // of a run with more steps, those that are done or wait share one line
constexpr size_t kMostNeedsNamed = 4;

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
  std::string message = ErrorCause(error);
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
  if (auto own = AttemptFraction(progress)) parts.push_back(TimeLeft(step, *own, now_us));
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

// What was said before training of a look that can hardly prove anything; empty where it can.
std::string ForecastWarning(const Json& run) {
  const Json& forecast = Field(run, "forecast");
  return forecast.is_object() && !FlagField(forecast, "worthwhile") ? "warning: " + OneLine(TextField(forecast, "sentence")) : "";
}

// What a pending step of a graph waits for is worth a word where it is not simply the step above.
std::string NeedsText(const Json& step, const std::string& state) {
  const Json& needs = Field(step, "needs");
  if (state != "pending" || !needs.is_array() || needs.size() < 2 || needs.size() > kMostNeedsNamed) return {};
  std::vector<std::string> names;
  for (const Json& need : needs) names.push_back(ShownValue(need));
  return ", after " + OneLine(Join(names, ", "));
}

// `told` is what is said already of why the whole run waits.
std::string StepLine(const Json& step, std::int64_t now_us, const RunStyle& style, size_t width, const std::string& told) {
  std::string state = TextField(step, "state");
  std::string mark = Painting(style, PaintOfState(state), Mark(state, style.utf8));
  std::string rest;
  if (state == "running")
    rest = RunningStep(step, now_us, style);
  else if (state == "failed" || state == "cancelled")
    rest = CutToWidth(Join({state, ErrorOf(LastAttempt(step))}, ": "), style.columns - std::min(style.columns, width + 5));
  else if (auto run = IntField(step, "cached_from"))
    rest = fmt::format("cached, from run {}", *run);
  else if (state == "succeeded")
    rest = TookText(step);
  else
    rest = Painting(style, Paint::kDim, state) + NeedsText(step, state);
  if (std::string waiting = WaitingText(step); !waiting.empty() && waiting != told) rest += ", " + waiting;
  return fmt::format("  {} {:<{}} {}", mark, TextField(step, "name"), width, rest);
}

// Skipped before it did anything, as what stands behind a failed step is; a trial that was pruned has an attempt.
bool PassedOver(const Json& step) {
  return TextField(step, "state") == "skipped" && Field(step, "attempts").empty();
}

// Steps of one kind that are too many for a line each: "12 of 16 ended · 2 running · 3 pruned".
std::string CrowdLine(const std::string& name, const std::vector<const Json*>& steps, const RunStyle& style, size_t width) {
  std::map<std::string, size_t> counts;
  size_t ended = 0;
  for (const Json* step : steps) {
    std::string state = TextField(*step, "state");
    if (state == "skipped" && TextField(*step, "kind") == "trial" && !PassedOver(*step)) state = "pruned";
    ++counts[state];
    ended += state != "pending" && state != "running";
  }
  if (counts["skipped"] == steps.size()) return fmt::format("  - {:<{}} {} skipped", name, width, steps.size());
  const std::string state = ended == steps.size() ? (counts["succeeded"] > 0 ? "succeeded" : "failed")
                                                  : counts["running"] > 0 ? "running" : "pending";
  std::vector<std::string> parts = {fmt::format("{} of {} ended", ended, steps.size())};
  for (const char* shown : {"running", "succeeded", "pruned", "failed", "cancelled", "skipped"})
    if (counts[shown] > 0 && !(counts[shown] == steps.size() && ended == steps.size())) parts.push_back(fmt::format("{} {}", counts[shown], shown));
  return fmt::format("  {} {:<{}} {}", Painting(style, PaintOfState(state), Mark(state, style.utf8)), name, width, Join(parts, " · "));
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

namespace {

// Epochs done, the one under way in part.
std::optional<double> EpochsDone(const Json& progress) {
  auto epoch = NumberField(progress, "epoch");
  auto epochs = NumberField(progress, "of");
  auto step = NumberField(progress, "step");
  auto steps = NumberField(progress, "steps");
  if (!epoch || !epochs || *epochs <= 0) return std::nullopt;
  return step && steps && *steps > 0 ? *epoch - 1 + *step / *steps : *epoch;
}

std::optional<double> WithinEpoch(const Json& progress) {
  auto step = NumberField(progress, "step");
  auto steps = NumberField(progress, "steps");
  if (!step || !steps || *steps <= 0) return std::nullopt;
  return std::clamp(*step / *steps, 0.0, 1.0);
}

}  // namespace

std::optional<double> StepFraction(const Json& progress) {
  auto done = EpochsDone(progress);
  if (!done) return WithinEpoch(progress);
  return std::clamp(*done / *NumberField(progress, "of"), 0.0, 1.0);
}

std::optional<double> AttemptFraction(const Json& progress) {
  auto done = EpochsDone(progress);
  if (!done) return WithinEpoch(progress);
  const double from = NumberField(progress, "from").value_or(0), of = *NumberField(progress, "of");
  if (from >= of) return std::nullopt;
  return std::clamp((*done - from) / (of - from), 0.0, 1.0);
}

std::string ProgressText(const Json& progress) {
  std::vector<std::string> parts;
  auto epoch = IntField(progress, "epoch");
  std::string phase = TextField(progress, "phase");
  if (!phase.empty() && phase != "train") parts.push_back(phase);
  if (epoch) parts.push_back(fmt::format("epoch {}/{}", *epoch, ShownInt(IntField(progress, "of"))));
  if (auto loss = NumberField(progress, "loss")) parts.push_back(fmt::format("loss {:.4g}", *loss));
  for (const auto& [name, value] : Field(progress, "metrics").items())
    if (value.is_number() && (name != "train_loss" || !NumberField(progress, "loss"))) parts.push_back(fmt::format("{} {:.4g}", name, value.get<double>()));
  if (auto rate = NumberField(progress, "rows_per_s"))
    parts.push_back(ShownCount(static_cast<std::int64_t>(std::llround(*rate))) + " rows/s");
  if (parts.empty() || (parts.size() == 1 && !epoch)) parts.push_back(TextField(progress, "message"));
  return OneLine(Join(parts, " · "));
}

std::vector<std::string> RunLines(const Json& run, std::int64_t now_us, const RunStyle& style) {
  std::vector<std::string> lines = {Painting(style, Paint::kBold, Head(run))};
  const std::string waiting = WaitingText(run);
  if (!waiting.empty()) lines.push_back("  " + waiting);
  if (const std::string warning = ForecastWarning(run); !warning.empty())
    lines.push_back("  " + Painting(style, Paint::kYellow, CutToWidth(warning, style.columns - std::min<size_t>(style.columns, 2))));
  const Json& steps = Field(run, "steps");
  std::vector<const Json*> trials, others;
  size_t width = kLeastNameWidth;
  const bool crowded = steps.size() > kMostStepLines;
  for (const Json& step : steps) {
    const bool quiet = TextField(step, "state") == "succeeded" || TextField(step, "state") == "pending";
    if (TextField(step, "kind") == "trial")
      trials.push_back(&step);
    else if (crowded && quiet)
      others.push_back(&step);
    else
      width = std::clamp(DisplayWidth(TextField(step, "name")), width, kMostNameWidth);
  }
  for (const Json& step : steps) {
    if (!trials.empty() && trials.front() == &step) lines.push_back(CrowdLine("trials", trials, style, width));
    if (!others.empty() && others.front() == &step) lines.push_back(CrowdLine("others", others, style, width));
    if (std::ranges::count(trials, &step) + std::ranges::count(others, &step) == 0) lines.push_back(StepLine(step, now_us, style, width, waiting));
  }
  return lines;
}

namespace {

bool Ended(const std::string& state) { return !state.empty() && state != "pending" && state != "running"; }

// What a step got to since `old`; empty where it is what it was, or says no more than the step's own name.
std::string NewProgress(const Json& old, const Json& step) {
  const Json& was = Field(old, "progress");
  const Json& is = Field(step, "progress");
  const bool same = IntField(is, "epoch") == IntField(was, "epoch") && TextField(is, "phase") == TextField(was, "phase");
  const std::string text = same ? "" : ProgressText(is);
  return text == TextField(step, "name") ? "" : text;
}

// The lines of one step in the order in which things happened: what it came to, and then how it ended.
std::vector<std::string> StepChanges(const Json& old, const Json& step) {
  const std::string state = TextField(step, "state"), waiting = WaitingText(step);
  const auto cached = IntField(step, "cached_from");
  const bool moved = TextField(old, "state") != state && state != "pending";
  std::string told;
  if (moved && cached) told = fmt::format("{}, cached, from run {}", state, *cached);
  if (moved && !cached) told = Join({state, TookText(step), ErrorOf(LastAttempt(step))}, ", ");
  std::vector<std::string> lines = {waiting == WaitingText(old) ? "" : waiting, NewProgress(old, step)};
  lines.insert(Ended(state) ? lines.end() : lines.begin(), told);
  std::erase(lines, "");
  return lines;
}

// Steps that were passed over share a line: "skipped: 6 trials, train, test".
std::string SkippedText(const Json& before, const Json& now) {
  std::vector<std::string> names;
  size_t trials = 0;
  for (const Json& step : Field(now, "steps")) {
    if (!PassedOver(step) || PassedOver(StepNamed(before, TextField(step, "name")))) continue;
    if (TextField(step, "kind") == "trial")
      ++trials;
    else
      names.push_back(TextField(step, "name"));
  }
  if (trials > 0) names.insert(names.begin(), Counted(static_cast<std::int64_t>(trials), "trial"));
  return names.empty() ? "" : "skipped: " + Join(names, ", ");
}

}  // namespace

std::vector<std::string> RunChanges(const Json& before, const Json& now) {
  const std::string run = fmt::format("run {}: ", ShownInt(IntField(now, "id")));
  std::vector<std::string> lines;
  for (const Json& step : Field(now, "steps")) {
    const std::string name = TextField(step, "name");
    if (PassedOver(step)) continue;
    for (const std::string& line : StepChanges(StepNamed(before, name), step)) lines.push_back(run + name + ": " + line);
  }
  if (const std::string warning = ForecastWarning(now); !warning.empty() && ForecastWarning(before).empty())
    lines.push_back(run + warning);
  if (const std::string skipped = SkippedText(before, now); !skipped.empty()) lines.push_back(run + skipped);
  if (before.is_null() || TextField(before, "state") != TextField(now, "state"))
    lines.insert(RunEnded(now) ? lines.end() : lines.begin(), run + TextField(now, "state"));
  return lines;
}

bool RunEnded(const Json& run) {
  std::string state = TextField(run, "state");
  return state == "succeeded" || state == "failed" || state == "cancelled";
}

int RunExitCode(const Json& run) {
  const std::string outcome = TextField(run, "outcome");
  return outcome == "promoted" || outcome == "reproduced" ? 0 : 1;
}

std::string RunVerdict(const Json& run) {
  std::string outcome = TextField(run, "outcome");
  if (outcome.empty()) outcome = TextField(run, "state");
  std::string head = fmt::format("run {}: {}", ShownInt(IntField(run, "id")), outcome);
  if (auto candidate = IntField(run, "candidate")) head += fmt::format(" {}@{}", TextField(run, "model"), *candidate);
  const std::string summary = TextField(run, "summary");
  if (!summary.empty() && summary != TextField(Field(run, "error"), "message")) return head + ". " + OneLine(summary);
  const std::string error = ErrorOf(run);
  return error.empty() ? head + "." : head + ": " + error;
}

}  // namespace ratchet::cli
