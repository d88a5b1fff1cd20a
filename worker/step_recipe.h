#pragma once

#include "base/clock.h"
#include "worker/plugin_host.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// Steps by recipes that train nothing. This header's code knows no LibTorch, though a recipe may.
namespace ratchet::worker {

// Runs the recipe and collects its outputs, in a child process, inside its sandbox and limits, in the step's folder.
StepOutcome RunRecipeStep(const StepSpec& spec, const PluginHost& plugins, const Clock& clock);

// The same to its result.json, whatever is thrown on the way, in a process without LibTorch. Gives the exit code.
int RunLightStep(const StepSpec& spec, const PluginHost& plugins, const Clock& clock);

}  // namespace ratchet::worker
