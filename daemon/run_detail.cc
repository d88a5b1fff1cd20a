#include "daemon/run_detail.h"

#include <algorithm>
#include <utility>

#include "daemon/shapes.h"
#include "pipeline/step_folder.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMostChecks = 100;
constexpr size_t kMostExamples = 5;
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

Json BoundedCheck(const Json& check) {
  Json expect = check.value("expect", Json::object());
  for (auto& [key, value] : expect.items()) value = Bounded(value);
  Json examples = Json::array();
  for (const Json& example : check.value("examples", Json::array())) {
    if (examples.size() == kMostExamples) break;
    examples.push_back(Bounded(example));
  }
  return {{"expect", std::move(expect)},
          {"passed", check.value("passed", false)},
          {"failing_rows", check.value("failing_rows", std::int64_t{0})},
          {"examples", std::move(examples)}};
}

Json ChecksOf(Api& api, const registry::Run& run, const registry::Step& step) {
  if (step.name != "validate" || step.attempts.empty() || !step.attempts.back().ended_at) return nullptr;
  const auto result = pipeline::ReadResult(
      api.files, pipeline::AttemptFolder(api.data_dir, run.id, step.name, step.attempts.back().number));
  return result && *result ? BoundedChecks(**result) : Json();
}

// Why nothing of an active run is under way; empty where something is, or will be at once.
Result<std::string> WaitingFor(Api& api, const registry::Run& run) {
  if (run.state == registry::RunState::kQueued) {
    RATCHET_ASSIGN(const auto active, api.store.Read([](Db& db) -> Result<std::vector<registry::Run>> {
      return registry::ActiveRuns(db);
    }));
    for (const registry::Run& other : active)
      if (other.pipeline == run.pipeline && other.id != run.id &&
          (other.id < run.id || other.state == registry::RunState::kRunning))
        return "run " + std::to_string(other.id) + " of this pipeline goes first";
  }
  const Json worker = api.worker();
  const std::string state = worker.value("state", "down");
  if (state == "ready") return std::string();
  const Json why = worker.value("error", Json());
  return "the worker is " + state + (why.is_string() ? ": " + why.get<std::string>() : "");
}

// The step that would run now if it could: the first that has not ended, when a process of its own is to do it.
const registry::Step* HeldStep(const registry::Run& run) {
  if (registry::IsEnd(run.state)) return nullptr;
  const auto step = std::find_if(run.steps.begin(), run.steps.end(),
                                 [](const registry::Step& one) { return !registry::IsEnd(one.state); });
  if (step == run.steps.end() || step->name == "gate" || step->name == "release") return nullptr;
  const bool works = !step->attempts.empty() && !step->attempts.back().ended_at;
  return works ? nullptr : &*step;
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
  Json json = RunJson(run, api.data_dir);
  const registry::Step* held = HeldStep(run);
  for (size_t i = 0; i < run.steps.size(); ++i) {
    Json& shown = json["steps"][i];
    if (Json checks = ChecksOf(api, run, run.steps[i]); !checks.is_null()) shown["checks"] = std::move(checks);
    if (&run.steps[i] != held) continue;
    const auto why = WaitingFor(api, run);
    if (why && !why->empty()) shown["waiting"] = *why;
  }
  return json;
}

}  // namespace ratchet::daemon
