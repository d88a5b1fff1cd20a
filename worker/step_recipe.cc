#include "worker/step_recipe.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <new>

#include "base/names.h"
#include "plugins/sdk/step_recipe.h"
#include "worker/command_step.h"
#include "worker/progress_log.h"
#include "worker/step_inputs.h"

namespace ratchet::worker {
namespace {

std::expected<const sdk::StepRecipe*, StepError> FindStepRecipe(const StepSpec& spec, const PluginHost& plugins) {
  if (const auto* recipe = plugins.FindStep(spec.recipe)) return recipe;
  const auto near = NearestName(spec.recipe, plugins.StepNames());
  return UserFault(
      fmt::format("there is no recipe {} for a step", Quoted(spec.recipe)),
      near.empty() ? "ratchet-worker --list-recipes tells which there are." : "Did you mean " + near + "?");
}

}  // namespace

StepOutcome RunRecipeStep(const StepSpec& spec, const PluginHost& plugins, const Clock& clock) {
  const auto recipe = FindStepRecipe(spec, plugins);
  if (!recipe) return std::unexpected(recipe.error());
  RATCHET_STEP_ASSIGN(const auto params, sdk::CompleteParams((*recipe)->Info(), spec.params));
  RATCHET_STEP_TRY(MakeCommandFolders(spec));
  const auto work = WorkFolder(spec);
  RATCHET_STEP_TRY(MergeInputs(spec, work));
  ProgressLog progress(spec.folder, clock);
  sdk::StepContext context{.outputs = spec.outputs,
                           .out_folder = work + "/out",
                           .params = params,
                           .seed = spec.seed,
                           .threads = spec.limits.cpus,
                           .work_folder = work,
                           .report = [&](const sdk::Progress& report) { progress.Report(report); }};
  const auto paths = InputPaths(spec, work);
  for (const auto& name : InputNames(spec)) {
    const auto path = paths.find(name);
    if (path == paths.end()) return InternalFault("step.json names an input without a file: " + name);
    context.inputs.push_back({name, path->second});
  }
  RATCHET_STEP_ASSIGN(const auto metrics, (*recipe)->Run(context));
  auto outcome = CollectOutputs(spec);
  if (outcome && metrics.is_object() && !metrics.empty()) (*outcome)["metrics"] = metrics;
  return outcome;
}

static StepOutcome RunGuarded(const StepSpec& spec, const PluginHost& plugins, const Clock& clock) {
  try {
    return RunRecipeStep(spec, plugins, clock);
  } catch (const std::bad_alloc&) {
    return std::unexpected(StepError{ErrorClass::kOutOfMemory,
                                     fmt::format("memory was refused within limits.memory, {}", BytesText(spec.limits.memory_bytes)),
                                     "Raise limits.memory."});
  } catch (const std::exception& fault) {
    return InternalFault(fault.what());
  } catch (...) {
    return InternalFault("something was thrown that is no exception");
  }
}

int RunLightStep(const StepSpec& spec, const PluginHost& plugins, const Clock& clock) {
  const auto outcome = RunGuarded(spec, plugins, clock);
  if (!outcome) spdlog::error("{}: {}", ErrorClassName(outcome.error().error_class), outcome.error().message);
  if (const auto written = WriteResult(spec.folder, outcome, ResultSync::kNone); !written) {
    spdlog::error("{}", written.error().Message());
    return 1;
  }
  return outcome ? 0 : 1;
}

}  // namespace ratchet::worker
