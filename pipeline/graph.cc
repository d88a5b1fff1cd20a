#include "pipeline/graph.h"

#include <algorithm>

#include "pipeline/sweep.h"

namespace ratchet::pipeline {
namespace {

using registry::StepInput;

// All that a step waits for: what it says, and where its inputs come from.
std::vector<std::string> NeedsOf(const StepSpec& step) {
  std::vector<std::string> needs = step.needs;
  for (const std::string& input : step.inputs)
    if (InputName name = SplitInput(input); name.step != "data") needs.push_back(name.step);
  std::ranges::sort(needs);
  needs.erase(std::ranges::unique(needs).begin(), needs.end());
  return needs;
}

// Adds the trainings; returns the names of those that `train` or what follows must wait for.
void AddTraining(const Spec& spec, const std::vector<std::string>& needs, std::vector<StepInput>& steps) {
  if (!spec.train.sweep) {
    steps.push_back({.name = "train", .kind = "train", .needs = needs, .params = {}});
    return;
  }
  StepInput select{.name = "train", .kind = "select", .needs = {}, .params = {}};
  int number = 0;
  for (nlohmann::json& params : Trials(*spec.train.sweep, spec.train.seed)) {
    std::string name = "trial-" + std::to_string(++number);
    steps.push_back({.name = name, .kind = "trial", .needs = needs, .params = std::move(params)});
    select.needs.push_back(name);
  }
  steps.push_back(std::move(select));
}

}  // namespace

static std::vector<StepInput> StepsToTraining(const Spec& spec) {
  std::vector<StepInput> steps{{.name = "validate", .kind = "validate", .needs = {}, .params = {}}};
  std::vector<std::string> before_training{"validate"};
  for (const StepSpec& step : spec.steps) {
    StepInput input{.name = step.name, .kind = step.command ? "command" : "recipe", .needs = NeedsOf(step), .params = {}};
    input.needs.push_back("validate");
    steps.push_back(std::move(input));
    before_training.push_back(step.name);
  }
  AddTraining(spec, before_training, steps);
  return steps;
}

std::vector<StepInput> PlanReproduction(const Spec& spec, const registry::Run& first) {
  std::vector<StepInput> steps = StepsToTraining(spec);
  const registry::Step* train = first.FindStep("train");
  const std::string winner = train && train->outputs ? train->outputs->value("trial", "") : "";
  if (winner.empty()) return steps;
  std::erase_if(steps, [&](const StepInput& step) { return step.kind == "trial" && step.name != winner; });
  steps.back().needs = {winner};
  return steps;
}

std::vector<StepInput> PlanSteps(const Spec& spec) {
  std::vector<StepInput> steps = StepsToTraining(spec);
  std::string last = "train";
  for (const char* name : {"test", "gate", "release"}) {
    steps.push_back({.name = name, .kind = name, .needs = {last}, .params = {}});
    last = name;
  }
  return steps;
}

const StepSpec* FindStep(const Spec& spec, const std::string& name) {
  auto found = std::ranges::find_if(spec.steps, [&](const StepSpec& step) { return step.name == name; });
  return found == spec.steps.end() ? nullptr : &*found;
}

const WorkSpec& WorkOf(const Spec& spec, const registry::Step& step) {
  const StepSpec* own = FindStep(spec, step.name);
  return own ? static_cast<const WorkSpec&>(*own) : spec.train;
}

}  // namespace ratchet::pipeline
