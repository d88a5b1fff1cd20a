#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/names.h"
#include "pipeline/spec.h"
#include "pipeline/spec_sections.h"
#include "pipeline/spec_tree.h"

namespace ratchet::pipeline {
namespace {

const std::vector<std::string> kOverridable = {"train.seed",        "train.limits.cpus", "train.limits.memory",
                                               "train.limits.time", "train.limits.disk", "train.limits.attempts",
                                               "gate.better_by",    "gate.confidence",   "gate.baseline",
                                               "gate.margin",       "gate.fresh_rows",   "run.deadline",
                                               "run.priority",      "data.leakage.equal", "data.leakage.near",
                                               "data.leakage.at_most"};
constexpr std::string_view kParams = "train.params.";

std::vector<std::string> Words(std::string_view path) {
  std::vector<std::string> words(1);
  for (char c : path) {
    if (c == '.')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

bool MayOverride(const std::string& path) {
  if (std::ranges::count(kOverridable, path)) return true;
  const std::vector<std::string> words = Words(path);
  if (std::ranges::count(words, std::string())) return false;
  return path.starts_with(kParams) || (words.size() >= 4 && words[0] == "steps" && words[2] == "params");
}

std::string WhyNot(const std::string& path) {
  return fmt::format("cannot be set for one run{}; what can: train.params.…, train.seed, train.limits.…, steps.NAME.params.…, data.leakage.…, gate.…, run.…",
                     Suggestion(path, kOverridable));
}

// Sets the value at the path; false where a word of the path stands for something that is no map.
bool SetAt(nlohmann::json& json, const std::string& path, const nlohmann::json& value) {
  nlohmann::json* at = &json;
  for (const std::string& word : Words(path)) {
    if (!at->is_object() && !at->is_null()) return false;
    at = &(*at)[word];
  }
  *at = value;
  return true;
}

nlohmann::json WorkToJson(const WorkSpec& work) {
  const LimitSpec& limits = work.limits;
  const RetrySpec& retry = work.retry;
  nlohmann::json json = {{"params", work.params},
                         {"seed", work.seed},
                         {"inputs", work.inputs},
                         {"cache", work.cache},
                         {"limits",
                          {{"cpus", limits.cpus},
                           {"memory", limits.memory_bytes},
                           {"time", limits.time_s},
                           {"disk", limits.disk_bytes},
                           {"attempts", limits.attempts}}},
                         {"retry",
                          {{"on", retry.on},
                           {"delay", retry.delay_s},
                           {"factor", retry.factor},
                           {"max_delay", retry.max_delay_s},
                           {"jitter", retry.jitter}}}};
  if (work.recipe) json["recipe"] = *work.recipe;
  if (work.command) json["command"] = *work.command;
  return json;
}

nlohmann::json StepsToJson(const std::vector<StepSpec>& steps) {
  nlohmann::json json = nlohmann::json::object();
  for (const StepSpec& step : steps) {
    json[step.name] = WorkToJson(step);
    json[step.name]["needs"] = step.needs;
    json[step.name]["outputs"] = step.outputs;
  }
  return json;
}

nlohmann::json RetrainToJson(const RetrainSpec& retrain) {
  nlohmann::json json = nlohmann::json::object();
  if (retrain.new_rows) json["new_rows"] = *retrain.new_rows;
  if (retrain.schedule) json["schedule"] = {{"cron", *retrain.schedule}, {"zone", retrain.zone}};
  if (retrain.drift) json["drift"] = *retrain.drift;
  if (retrain.live_metric_below) json["live_metric_below"] = *retrain.live_metric_below;
  return json;
}

}  // namespace

nlohmann::json LeakageToJson(const LeakageSpec& leakage) {
  nlohmann::json json = {{"equal", leakage.equal}, {"near", leakage.near}};
  if (leakage.at_most) json["at_most"] = *leakage.at_most;
  return json;
}

nlohmann::json TestToJson(const TestSpec& test) {
  nlohmann::json json = {{"min_rows", test.min_rows}};
  if (test.metric) json["metric"] = *test.metric;
  if (test.group_by) json["group_by"] = *test.group_by;
  if (auto budgets = BudgetsToJson(test.budgets); !budgets.empty()) json["budgets"] = std::move(budgets);
  if (!test.slices.empty()) json["slices"] = nlohmann::json::array();
  for (const SliceSpec& slice : test.slices) json["slices"].push_back({{"column", slice.column}, {"margin", slice.margin}});
  return json;
}

nlohmann::json GateToJson(const GateSpec& gate) {
  nlohmann::json json = {{"rule", gate.rule}, {"confidence", gate.confidence}, {"baseline", gate.baseline},
                         {"fresh_rows", gate.fresh_rows}};
  if (gate.rule == "not_worse") json["margin"] = gate.margin;
  else json["better_by"] = gate.better_by;
  return json;
}

nlohmann::json SpecToJson(const Spec& spec) {
  nlohmann::json data = {{"dataset", spec.data.dataset}, {"target", spec.data.target}, {"expect", spec.data.expect},
                         {"leakage", LeakageToJson(spec.data.leakage)}};
  if (spec.data.split) {
    data["split"] = {{"validation", spec.data.split->validation}, {"holdout", spec.data.split->holdout}};
    if (spec.data.split->key) data["split"]["key"] = *spec.data.split->key;
  }
  nlohmann::json train = WorkToJson(spec.train);
  if (spec.train.sweep) train["sweep"] = SweepToJson(*spec.train.sweep);
  nlohmann::json run = {{"priority", spec.run.priority}};
  if (spec.run.deadline_s) run["deadline"] = *spec.run.deadline_s;
  nlohmann::json json = {
      {"model", spec.model},
      {"data", std::move(data)},
      {"steps", StepsToJson(spec.steps)},
      {"train", std::move(train)},
      {"test", TestToJson(spec.test)},
      {"gate", GateToJson(spec.gate)},
      {"release", ReleaseToJson(spec.release)},
      {"retrain", RetrainToJson(spec.retrain)},
      {"run", std::move(run)}};
  if (auto predictions = PredictionsToJson(spec.predictions); !predictions.empty()) json["predictions"] = std::move(predictions);
  if (auto feedback = FeedbackToJson(spec.feedback); !feedback.empty()) json["feedback"] = std::move(feedback);
  return json;
}

Result<Spec> SpecFromJson(const nlohmann::json& json) {
  RATCHET_ASSIGN(YamlNode tree, TreeFromJson(json));
  return SpecFromTree(tree);
}

Result<Spec> ApplyOverrides(const Spec& spec, const nlohmann::json& overrides) {
  Error refused{.code = ErrorCode::kInvalid, .operation = "set values for the run"};
  if (!overrides.is_object()) {
    refused.cause = "the overrides are not a map from paths to values";
    return std::unexpected(std::move(refused));
  }
  // Bounds depth and size before anything walks the values.
  RATCHET_TRY(TreeFromJson(overrides));
  nlohmann::json json = SpecToJson(spec);
  for (const auto& [path, value] : overrides.items()) {
    std::string detail;
    if (!MayOverride(path))
      detail = WhyNot(path);
    else if (!SetAt(json, path, value))
      detail = "goes through a value that is not a map";
    if (!detail.empty()) refused.details.push_back({path, 0, detail});
  }
  if (refused.details.empty()) return SpecFromJson(json);
  refused.field = refused.details.front().field;
  refused.cause = Quoted(refused.field) + " " + refused.details.front().detail;
  return std::unexpected(std::move(refused));
}

}  // namespace ratchet::pipeline
