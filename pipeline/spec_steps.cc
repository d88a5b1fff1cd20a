// The user's own steps: read, checked against one another, and put in order. Declared in pipeline/spec_sections.h.

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/names.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr size_t kMostSteps = 2'000;
constexpr size_t kMostOutputs = 64;
constexpr size_t kMaxOutputBytes = 100;
const std::set<std::string> kTaken{"data", "validate", "train", "test", "gate", "release"};

bool IsStepName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameLength && name[0] >= 'a' && name[0] <= 'z' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxOutputBytes && name[0] != '.' && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
         });
}

// The names among which needs and inputs are looked up, and what of them is used.
struct Graph {
  std::map<std::string, const StepSpec*> steps;
  std::set<std::string> used;  // "STEP.OUTPUT"
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, step] : steps) names.push_back(name);
    return names;
  }
};

void ReadStep(Section& section, Faults& faults, StepSpec& into) {
  ReadWork(section, faults, into);
  Take(into.needs, section.Texts("needs", false, "[join]"));
  Take(into.outputs, section.Texts("outputs", false, "[rows.csv]"));
  if (into.outputs.size() > kMostOutputs) section.Fault("outputs", fmt::format("has more than {} names", kMostOutputs));
  for (size_t i = 0; i < into.outputs.size(); ++i) {
    std::string item = fmt::format("outputs[{}]", i);
    if (!IsFileName(into.outputs[i])) section.Fault(item, "must be a file name of letters, digits, '.', '_' and '-', not beginning with '.'");
    if (std::count(into.outputs.begin(), into.outputs.begin() + static_cast<std::ptrdiff_t>(i), into.outputs[i]))
      section.Fault(item, "is there twice");
  }
}

void CheckInput(Section& section, const std::string& item, const std::string& input, bool may_read_data, Graph& graph) {
  InputName name = SplitInput(input);
  if (name.step == "data") {
    if (!may_read_data)
      return section.Fault(item, "must be STEP.OUTPUT; training gets the data's rows anyway");
    if (name.output != "train" && name.output != "validation")
      section.Fault(item, "must be data.train or data.validation; the holdout is for the gate alone");
    return;
  }
  auto step = graph.steps.find(name.step);
  if (step == graph.steps.end())
    return section.Fault(item, fmt::format("names the step {}, which there is not{}", Quoted(name.step), Suggestion(name.step, graph.Names())));
  if (!std::ranges::count(step->second->outputs, name.output))
    return section.Fault(item, fmt::format("names {}, which is no output of {}{}", Quoted(name.output), name.step,
                                           Suggestion(name.output, step->second->outputs)));
  graph.used.insert(input);
}

void CheckEdges(Section& section, const WorkSpec& work, const std::vector<std::string>& needs, bool may_read_data, Graph& graph) {
  for (size_t i = 0; i < needs.size(); ++i)
    if (!graph.steps.contains(needs[i]))
      section.Fault(fmt::format("needs[{}]", i), fmt::format("names the step {}, which there is not{}", Quoted(needs[i]), Suggestion(needs[i], graph.Names())));
  for (size_t i = 0; i < work.inputs.size(); ++i)
    CheckInput(section, fmt::format("inputs[{}]", i), work.inputs[i], may_read_data, graph);
}

void CheckUse(Section& section, const StepSpec& step, const Graph& graph) {
  for (size_t i = 0; i < step.outputs.size(); ++i)
    if (!graph.used.contains(step.name + "." + step.outputs[i]))
      section.Fault(fmt::format("outputs[{}]", i),
                    fmt::format("is read by nothing; name it under the inputs of a step or of train as {}.{}", step.name, step.outputs[i]));
}

std::vector<std::string> AllNeeds(const StepSpec& step) {
  std::vector<std::string> needs = step.needs;
  for (const std::string& input : step.inputs) needs.push_back(SplitInput(input).step);
  return needs;
}

// A way from `name` back to itself, or nothing. `done` are steps that no cycle goes through.
std::vector<std::string> FindCycle(const Graph& graph, const std::string& name, std::vector<std::string>& way, std::set<std::string>& done) {
  if (auto again = std::ranges::find(way, name); again != way.end()) {
    std::vector<std::string> cycle(again, way.end());
    cycle.push_back(name);
    return cycle;
  }
  auto step = graph.steps.find(name);
  if (step == graph.steps.end() || done.contains(name)) return {};
  way.push_back(name);
  for (const std::string& need : AllNeeds(*step->second))
    if (auto cycle = FindCycle(graph, need, way, done); !cycle.empty()) return cycle;
  way.pop_back();
  done.insert(name);
  return {};
}

// Each step after those it needs; otherwise by name. Steps of a cycle are left out.
std::vector<StepSpec> InOrder(const Graph& graph) {
  std::map<std::string, std::set<std::string>> waits;
  std::map<std::string, std::vector<std::string>> followers;
  std::set<std::string> ready;
  for (const auto& [name, step] : graph.steps) {
    for (const std::string& need : AllNeeds(*step))
      if (graph.steps.contains(need) && waits[name].insert(need).second) followers[need].push_back(name);
    if (waits[name].empty()) ready.insert(name);
  }
  std::vector<StepSpec> order;
  while (!ready.empty()) {
    std::string name = *ready.begin();
    ready.erase(ready.begin());
    order.push_back(*graph.steps.at(name));
    for (const std::string& follower : followers[name])
      if (waits[follower].erase(name) && waits[follower].empty()) ready.insert(follower);
  }
  return order;
}

std::vector<StepSpec> ReadAll(Section& steps, const YamlNode& node, Faults& faults) {
  std::vector<std::string> keys = kWorkKeys;
  keys.insert(keys.end(), {"needs", "outputs"});
  std::vector<StepSpec> read;
  for (const YamlEntry& entry : node.entries) {
    if (!IsStepName(entry.key))
      steps.Fault(entry.key, fmt::format("a step's name has 1 to {} characters of a-z, 0-9, '_' and '-', and begins with a letter", kMaxNameLength));
    if (kTaken.contains(entry.key) || entry.key.starts_with("trial-")) steps.Fault(entry.key, "is the name of a built-in step");
    StepSpec step;
    step.name = entry.key;
    Section section = steps.Child(entry.key, keys);
    ReadStep(section, faults, step);
    read.push_back(std::move(step));
  }
  return read;
}

}  // namespace

InputName SplitInput(const std::string& input) {
  size_t dot = input.find('.');
  if (dot == std::string::npos) return {input, ""};
  return {input.substr(0, dot), input.substr(dot + 1)};
}

void ReadSteps(Section& root, Faults& faults, Spec& into) {
  const YamlNode* node = root.Find("steps");
  std::vector<std::string> names;
  if (node && node->kind != YamlNode::Kind::kMap)
    return root.Fault("steps", "must be a map from names to steps such as join: {command: [python3, join.py]}");
  if (node)
    for (const YamlEntry& entry : node->entries) names.push_back(entry.key);
  if (names.size() > kMostSteps) return root.Fault("steps", fmt::format("has more than {} steps", kMostSteps));
  Section steps = root.Child("steps", names);
  std::vector<StepSpec> read = node ? ReadAll(steps, *node, faults) : std::vector<StepSpec>();
  Graph graph;
  for (const StepSpec& step : read) graph.steps[step.name] = &step;
  std::vector<std::string> any = kWorkKeys;
  any.insert(any.end(), {"needs", "outputs", "sweep"});
  Section train = root.Child("train", any);
  CheckEdges(train, into.train, {}, false, graph);
  if (into.train.recipe && !into.train.inputs.empty())
    train.Fault("inputs", "is for a command; a recipe trains on the dataset's columns alone");
  for (const StepSpec& step : read) {
    Section section = steps.Child(step.name, any);
    CheckEdges(section, step, step.needs, true, graph);
  }
  for (const StepSpec& step : read) {
    Section section = steps.Child(step.name, any);
    CheckUse(section, step, graph);
  }
  std::vector<std::string> way;
  std::set<std::string> done;
  for (const auto& [name, step] : graph.steps)
    if (auto cycle = FindCycle(graph, name, way, done); !cycle.empty()) {
      steps.Fault(name, fmt::format("waits for itself: {}", fmt::join(cycle, " needs ")));
      break;
    }
  into.steps = InOrder(graph);
}

}  // namespace ratchet::pipeline
