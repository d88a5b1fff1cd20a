#pragma once

#include <string>
#include <vector>

#include "pipeline/spec.h"
#include "registry/runs.h"

// The graph of steps that a run is made of. Pure.
namespace ratchet::pipeline {

// The steps of a run in an order in which each stands after those it needs: validate, the user's own, training (a trial
// each for a sweep, then `train`, which picks the best), test, gate, release.
std::vector<registry::StepInput> PlanSteps(const Spec& spec);
// The same as far as the training that gave `first` its model. Of a sweep that is the winner's alone: which of the others
// were stopped, and when, hung on how fast they were side by side.
std::vector<registry::StepInput> PlanReproduction(const Spec& spec, const registry::Run& first);

// The user's own step of this name; null for built-in ones.
const StepSpec* FindStep(const Spec& spec, const std::string& name);
// What drives a step's attempts: the user's own or, for every other, training's.
const WorkSpec& WorkOf(const Spec& spec, const registry::Step& step);

}  // namespace ratchet::pipeline
