#include "pipeline/spec_recipe.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>

#include "base/names.h"
#include "gate/metrics.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;

std::vector<std::string> NamesOf(const json& list) {
  std::vector<std::string> names;
  for (const json& item : list)
    if (item.is_object() && item.contains("name") && item["name"].is_string()) names.push_back(item["name"]);
  return names;
}

const json* FindNamed(const json& list, std::string_view name) {
  for (const json& item : list)
    if (item.is_object() && item.value("name", std::string()) == name) return &item;
  return nullptr;
}

bool HasType(const json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "real" || type == "number" || type == "float") return value.is_number();
  if (type == "boolean" || type == "bool") return value.is_boolean();
  if (type == "text" || type == "string") return value.is_string();
  return true;
}

// What is wrong with the value, or nothing.
std::string FaultOf(const json& param, const json& value) {
  std::string type = param.value("type", std::string());
  auto bound = [&](const char* name) { return param.contains(name) && param[name].is_number(); };
  std::string range;
  if (bound("min")) range += " from " + param["min"].dump();
  if (bound("max")) range += (range.empty() ? " up to " : " to ") + param["max"].dump();
  bool fits = HasType(value, type);
  if (fits && value.is_number() && bound("min")) fits = value.get<double>() >= param["min"].get<double>();
  if (fits && value.is_number() && bound("max")) fits = value.get<double>() <= param["max"].get<double>();
  return fits ? "" : fmt::format("must be of type {}{}, not {}", type, range, Quoted(value.dump()));
}

int LineOf(const YamlNode* node, const std::vector<std::string>& path) {
  int line = 0;
  for (const std::string& key : path) {
    const YamlEntry* entry = node ? node->Find(key) : nullptr;
    if (!entry) break;
    line = entry->line;
    node = &entry->node;
  }
  return line;
}

using Path = std::vector<std::string>;

Path Below(Path path, const std::string& key) {
  path.push_back(key);
  return path;
}

// What is checked against the workers' recipes, with the spec's tree, or null, for the lines.
struct Check {
  const json& recipes;
  const YamlNode* tree;
  Faults& faults;

  void Add(const Path& path, const std::string& fault) {
    if (!fault.empty()) faults.Add(fmt::format("{}", fmt::join(path, ".")), LineOf(tree, path), fault);
  }
  const json* Recipe(const WorkSpec& work, const Path& path, bool for_step);
  void Param(const json& recipe, const Path& path, const std::string& name, const json& value);
  void Params(const json& recipe, const WorkSpec& work, const Path& path);
  void Space(const json& recipe, const Path& path, const std::string& name, const SearchSpace& space);
};

const json* Check::Recipe(const WorkSpec& work, const Path& path, bool for_step) {
  json fitting = json::array();
  for (const json& one : recipes)
    if ((one.value("task", std::string()) == "step") == for_step) fitting.push_back(one);
  if (FindNamed(fitting, *work.recipe) != nullptr) return FindNamed(recipes, *work.recipe);
  const auto known = NamesOf(fitting);
  const bool other = FindNamed(recipes, *work.recipe) != nullptr;
  Add(Below(path, "recipe"), fmt::format("{} {}{} (there are: {})",
                                         other ? (for_step ? "is for training:" : "is for steps before the training:") : "no plugin offers",
                                         Quoted(*work.recipe), Suggestion(*work.recipe, known), fmt::join(known, ", ")));
  return nullptr;
}

void Check::Param(const json& recipe, const Path& path, const std::string& name, const json& value) {
  const json params = recipe.value("params", json::array());
  if (const json* param = FindNamed(params, name)) return Add(path, FaultOf(*param, value));
  Add(path, fmt::format("is not a parameter of {}{} (allowed: {})", recipe.value("name", ""), Suggestion(name, NamesOf(params)),
                        fmt::join(NamesOf(params), ", ")));
}

void Check::Params(const json& recipe, const WorkSpec& work, const Path& path) {
  for (const auto& [name, value] : work.params.items()) Param(recipe, Below(Below(path, "params"), name), name, value);
}

// Of a list every value, of a space its bounds.
void Check::Space(const json& recipe, const Path& path, const std::string& name, const SearchSpace& space) {
  if (space.kind == SearchSpace::Kind::kList) {
    for (const json& value : space.list) Param(recipe, path, name, value);
    return;
  }
  const bool whole = space.kind == SearchSpace::Kind::kInt || space.kind == SearchSpace::Kind::kLogInt;
  for (const double bound : {space.low, space.high})
    Param(recipe, path, name, whole ? json(static_cast<std::int64_t>(bound)) : json(bound));
}

// The baselines of a task, as the worker has them (worker/baseline.h).
std::vector<std::string> BaselinesFor(const std::string& task) {
  if (task == "classification") return {"majority"};
  if (task == "regression") return {"mean", "median"};
  return {};
}

void CheckBaseline(Check& check, const Spec& spec, const std::string& task) {
  const std::string& named = spec.gate.baseline;
  const auto fitting = BaselinesFor(task);
  if (named == "auto" || named == "reset" || fitting.empty() || std::ranges::count(fitting, named) > 0) return;
  check.Add({"gate", "baseline"}, fmt::format("{} is no baseline for {}, which {} is for (there are: auto, {}, reset)", named, task,
                                              *spec.train.recipe, fmt::join(fitting, ", ")));
}

}  // namespace

void AddRecipeFaults(const Spec& spec, const json& recipes, const YamlNode* tree, Faults& faults) {
  Check check{recipes, tree, faults};
  for (const StepSpec& step : spec.steps) {
    if (!step.recipe) continue;
    const Path path{"steps", step.name};
    if (const json* recipe = check.Recipe(step, path, true)) check.Params(*recipe, step, path);
  }
  if (!spec.train.recipe) return;
  const json* recipe = check.Recipe(spec.train, {"train"}, false);
  if (!recipe) return;
  const std::string task = recipe->value("task", std::string());
  if (auto metric = gate::FindMetric(spec.test.metric.value_or("")); metric && !task.empty() && metric->task != task)
    check.Add({"test", "metric"},
              fmt::format("{} is a metric for {}, but {} is for {}", metric->name, metric->task, *spec.train.recipe, task));
  CheckBaseline(check, spec, task);
  check.Params(*recipe, spec.train, {"train"});
  if (spec.train.sweep)
    for (const auto& [name, space] : spec.train.sweep->params) check.Space(*recipe, {"train", "sweep", name}, name, space);
}

Status CheckRecipe(const Spec& spec, const json& recipes) {
  Faults faults;
  AddRecipeFaults(spec, recipes, nullptr, faults);
  if (!faults.Empty()) return std::unexpected(faults.ToError());
  return {};
}

}  // namespace ratchet::pipeline
