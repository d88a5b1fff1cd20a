#pragma once

#include <string>
#include <vector>

#include "pipeline/spec.h"
#include "registry/runs.h"

// The graph of steps that a run is made of. Pure.
namespace ratchet::pipeline {

// The steps of a run in an order in which each stands after those it needs: validate, the user's own, training (a trial
// each for a sweep, then `train`, which picks the best), test, gate, release. With `reproduce` it ends after training.
std::vector<registry::StepInput> PlanSteps(const Spec& spec, bool reproduce = false);

// The user's own step of this name; null for built-in ones.
const StepSpec* FindStep(const Spec& spec, const std::string& name);
// What drives a step's attempts: the user's own or, for every other, training's.
const WorkSpec& WorkOf(const Spec& spec, const registry::Step& step);

}  // namespace ratchet::pipeline
