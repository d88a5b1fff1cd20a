#include "daemon/run_detail.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "daemon/shapes.h"
#include "pipeline/step_folder.h"
#include "registry/run_views.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMostChecks = 100;
constexpr size_t kMostExamples = 5;
constexpr size_t kMostDriftColumns = 50;
constexpr size_t kMaxTextBytes = 200;

Json Bounded(const Json& value) {
  if (!value.is_string() && !value.is_structured()) return value;
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.size() <= kMaxTextBytes) return value;
  text.resize(kMaxTextBytes);
  // A character that the cut halved goes as well.
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.pop_back();
  return text + "…";
}

// {"row":3,"values":{"price":-2.0}}
Json BoundedExample(const Json& example) {
  if (!example.is_object() || !example.value("values", Json()).is_object()) return Bounded(example);
  Json bounded = example;
  for (auto& [column, value] : bounded["values"].items()) value = Bounded(value);
  return bounded;
}

// The columns that are furthest from the live version's come first.
Json BoundedDrift(const Json& drift) {
  std::vector<Json> columns;
  for (const Json& column : drift)
    if (column.is_object()) columns.push_back(column);
  std::ranges::stable_sort(columns, std::greater<>(), [](const Json& column) { return column.value("psi", Json(0)).is_number() ? column.value("psi", 0.0) : 0.0; });
  if (columns.size() > kMostDriftColumns) columns.resize(kMostDriftColumns);
  for (Json& column : columns)
    for (auto& [key, value] : column.items()) value = Bounded(value);
  return columns;
}

Json BoundedCheck(const Json& check) {
  Json expect = check.value("expect", Json::object());
  for (auto& [key, value] : expect.items()) value = Bounded(value);
  Json examples = Json::array();
  for (const Json& example : check.value("examples", Json::array())) {
    if (examples.size() == kMostExamples) break;
    examples.push_back(BoundedExample(example));
  }
  Json bounded = {{"expect", std::move(expect)},
                  {"passed", check.value("passed", false)},
                  {"failing_rows", check.value("failing_rows", std::int64_t{0})},
                  {"examples", std::move(examples)}};
  if (const Json message = check.value("message", Json()); message.is_string()) bounded["message"] = Bounded(message);
  if (const Json drift = check.value("drift", Json()); drift.is_array()) bounded["drift"] = BoundedDrift(drift);
  return bounded;
}

Json ChecksOf(Api& api, const registry::Run& run, const registry::Step& step) {
  if (step.kind != "validate" || step.attempts.empty() || !step.attempts.back().ended_at) return nullptr;
  const auto result = pipeline::ReadResult(
      api.files, pipeline::AttemptFolder(api.data_dir, run.id, step.name, step.attempts.back().number));
  return result && *result ? BoundedChecks(**result) : Json();
}

// What a queued run waits for, as far as the queue goes; empty when nothing stands before it.
std::string WhyQueued(const registry::QueuePlace& place, const registry::Run& run) {
  if (place.paused) return "the pipeline is paused; `ratchet pipeline resume " + run.pipeline + "` lets it go on";
  if (place.under_way == run.id) return {};  // it was begun a moment ago
  if (place.under_way) return "run " + std::to_string(*place.under_way) + " of this pipeline is under way";
  if (place.goes_first) return "run " + std::to_string(*place.goes_first) + " of this pipeline goes first";
  if (place.running == 0) return {};
  return std::to_string(place.running) + " other runs are under way; it is begun when one of them ends (ratchetd --max-runs)";
}

bool AtWork(const registry::Step& step) { return !step.attempts.empty() && !step.attempts.back().ended_at; }

bool NeedsWorker(const registry::Step& step) {
  return step.kind != "gate" && step.kind != "release" && step.kind != "select";
}

std::string WhyNoWorker(Api& api) {
  const Json worker = api.worker();
  const std::string state = worker.value("state", "down");
  if (state == "ready") return {};
  const Json why = worker.value("error", Json());
  return "the worker is " + state + (why.is_string() ? ": " + why.get<std::string>() : "");
}

// Why a step of a running run that could start, or be tried again, does not; empty where it does or will at once.
std::string WhyHeld(Api& api, const registry::Run& run, const registry::Step& step) {
  const bool tried = step.state == registry::StepState::kRunning && !step.attempts.empty() && !AtWork(step);
  const bool ready = step.state == registry::StepState::kPending && step.blocked == 0;
  if (!NeedsWorker(step) || (!tried && !ready)) return {};
  if (std::string why = WhyNoWorker(api); !why.empty()) return why;
  if (tried) return "it is tried again after a pause";
  const auto busy = std::ranges::count_if(run.steps, AtWork);
  if (busy == 0) return {};
  return "the processors are taken by " + std::to_string(busy) + (busy == 1 ? " other step" : " other steps");
}

// Puts `waiting` on the run and its steps. A queued run's first step says it, too: it is the one that waits.
void AddWaiting(Api& api, const registry::Run& run, Json& json) {
  if (registry::IsEnd(run.state)) return;
  if (run.state == registry::RunState::kQueued) {
    auto place = api.store.Read([&](Db& db) -> Result<registry::QueuePlace> { return registry::PlaceInQueue(db, run); });
    std::string why = place ? WhyQueued(*place, run) : std::string();
    if (why.empty()) why = WhyNoWorker(api);
    if (why.empty()) return;
    json["waiting"] = why;
    const auto first = std::ranges::find_if(run.steps, [](const registry::Step& one) { return !registry::IsEnd(one.state); });
    if (first != run.steps.end()) json["steps"][static_cast<size_t>(first - run.steps.begin())]["waiting"] = why;
    return;
  }
  for (size_t i = 0; i < run.steps.size(); ++i)
    if (std::string why = WhyHeld(api, run, run.steps[i]); !why.empty()) json["steps"][i]["waiting"] = why;
}

}  // namespace

Json BoundedChecks(const Json& result) {
  const Json given = result.value("checks", Json());
  if (!given.is_array()) return nullptr;
  Json failing = Json::array(), passing = Json::array();
  for (const Json& check : given)
    if (check.is_object()) (check.value("passed", false) ? passing : failing).push_back(BoundedCheck(check));
  Json checks = std::move(failing);
  for (Json& check : passing) checks.push_back(std::move(check));
  if (checks.size() > kMostChecks) checks.erase(checks.begin() + kMostChecks, checks.end());
  return checks;
}

Json RunDetailJson(Api& api, const registry::Run& run) {
  Json json = RunJson(run, api.data_dir, ProgressOf::kAllSteps);
  for (size_t i = 0; i < run.steps.size(); ++i)
    if (Json checks = ChecksOf(api, run, run.steps[i]); !checks.is_null()) json["steps"][i]["checks"] = std::move(checks);
  AddWaiting(api, run, json);
  return json;
}

}  // namespace ratchet::daemon
