#pragma once

#include <functional>

#include "base/clock.h"
#include "worker/plugin_host.h"
#include "worker/sandbox.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// The code of each kind of step: runs in a child process, inside its sandbox and limits, in the step's folder. LibTorch
// is told its number of threads only where models run and no command or confined process follows: that starts threads,
// and a thread with other blocked signals than the first takes the word of a child's end away from who waits for it.
namespace ratchet::worker {

// Checks before training what would fail in it: the recipe and its parameters, the target, enough rows, the
// expectations. A failing check is kUser; every check is told in `checks` either way.
StepOutcome RunValidate(const StepSpec& spec, const PluginHost& plugins);

inline constexpr std::int64_t kMinTrainingRows = 10;

// Trains by recipe or command and leaves the bundle in FOLDER/bundle/. `sandbox`: what this process is shut in by.
StepOutcome RunTrain(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock);

// Scores the candidate and its opponent (the live version, else the baseline) on the same rows of the holdout, and
// leaves the scores in FOLDER/scores.pack. A live version that cannot be scored is no failure: the result says so, and
// there are no scores; but by `baseline: reset` the baseline stands in for it. The models run confined (confined_call.h), and what they answer is all that
// comes of them: they read what this process reads, the holdout too, and write nothing.
StepOutcome RunTest(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock);

// The recipe that a step names; kUser, with the nearest name, for one that no plugin has.
std::expected<const sdk::Recipe*, StepError> FindRecipe(const StepSpec& spec, const PluginHost& plugins);

// The outcome of `work`, whatever it throws; a refusal of memory is told from other faults.
StepOutcome Guarded(const StepSpec& spec, const std::function<StepOutcome()>& work);

// Any step, to its result.json, whatever is thrown on the way. Gives the exit code of the process.
int RunStep(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock);

// Has LibTorch do what it does once, so that the children need not; starts no threads.
void WarmTorch();
const char* TorchVersion();  // "1.13.1"

}  // namespace ratchet::worker
