#include "pipeline/spec_recipe.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>

#include "base/names.h"
#include "gate/metrics.h"
#include "pipeline/spec_reader.h"

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

int LineOf(std::string_view text, const std::vector<std::string>& path) {
  auto tree = text.empty() ? Result<YamlNode>(YamlNode{}) : ParseYamlTree(text);
  if (!tree) return 0;
  const YamlNode* node = &*tree;
  int line = 0;
  for (const std::string& key : path) {
    const YamlEntry* entry = node->Find(key);
    if (!entry) break;
    line = entry->line;
    node = &entry->node;
  }
  return line;
}

}  // namespace

Status CheckRecipe(const Spec& spec, const json& recipes, std::string_view text) {
  if (!spec.train.recipe) return {};
  Faults faults;
  const json* recipe = FindNamed(recipes, *spec.train.recipe);
  if (!recipe) {
    std::vector<std::string> known = NamesOf(recipes);
    faults.Add("train.recipe", LineOf(text, {"train", "recipe"}),
               fmt::format("no plugin offers {}{} (there are: {})", Quoted(*spec.train.recipe),
                           Suggestion(*spec.train.recipe, known), fmt::join(known, ", ")));
    return std::unexpected(faults.ToError());
  }
  std::string task = recipe->value("task", std::string());
  if (auto metric = gate::FindMetric(spec.test.metric.value_or("")); metric && !task.empty() && metric->task != task)
    faults.Add("test.metric", LineOf(text, {"test", "metric"}),
               fmt::format("{} is a metric for {}, but {} is for {}", metric->name, metric->task, *spec.train.recipe, task));
  json params = recipe->value("params", json::array());
  for (const auto& [name, value] : spec.train.params.items()) {
    std::string path = "train.params." + name;
    const json* param = FindNamed(params, name);
    std::string fault = param ? FaultOf(*param, value)
                              : fmt::format("is not a parameter of {}{} (allowed: {})", *spec.train.recipe,
                                            Suggestion(name, NamesOf(params)), fmt::join(NamesOf(params), ", "));
    if (!fault.empty()) faults.Add(path, LineOf(text, {"train", "params", name}), fault);
  }
  if (!faults.Empty()) return std::unexpected(faults.ToError());
  return {};
}

}  // namespace ratchet::pipeline
