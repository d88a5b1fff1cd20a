#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/script.h>

#include <new>

#include "worker/step_recipe.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

constexpr size_t kLoggedResultBytes = 2000;

StepOutcome Dispatch(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock) {
  switch (spec.kind) {
    case StepKind::kValidate:
      return RunValidate(spec, plugins);
    case StepKind::kTrain:
      return RunTrain(spec, plugins, sandbox, clock);
    case StepKind::kTest:
      return RunTest(spec, plugins, sandbox, clock);
    case StepKind::kRecipe:
      return RunRecipeStep(spec, plugins, clock);
    case StepKind::kCommand:
      return InternalFault("a command is run by its supervisor");
  }
  return InternalFault("a step of no kind");
}

StepOutcome OutOfMemory(const StepSpec& spec, const std::string& what) {
  return std::unexpected(StepError{
      ErrorClass::kOutOfMemory,
      fmt::format("memory was refused within limits.memory, {}: {}", BytesText(spec.limits.memory_bytes), what),
      "Raise train.limits.memory or use smaller batches."});
}

// A recipe hands LibTorch's exceptions on as errors at times; a refusal of memory is known by its words only.
bool SpeaksOfMemory(const std::string& message) {
  return message.find("not enough memory") != std::string::npos || message.find("bad_alloc") != std::string::npos ||
         message.find("can't allocate memory") != std::string::npos;
}

}  // namespace

StepOutcome Guarded(const StepSpec& spec, const std::function<StepOutcome()>& work) {
  try {
    auto outcome = work();
    if (!outcome && outcome.error().error_class != ErrorClass::kOutOfMemory &&
        SpeaksOfMemory(outcome.error().message) && spec.command.empty())
      return OutOfMemory(spec, outcome.error().message);
    return outcome;
  } catch (const std::bad_alloc& fault) {
    return OutOfMemory(spec, fault.what());
  } catch (const c10::Error& fault) {
    if (SpeaksOfMemory(fault.what_without_backtrace())) return OutOfMemory(spec, fault.what_without_backtrace());
    return InternalFault(fault.what_without_backtrace());
  } catch (const std::exception& fault) {
    if (SpeaksOfMemory(fault.what())) return OutOfMemory(spec, fault.what());
    return InternalFault(fault.what());
  } catch (...) {
    return InternalFault("something was thrown that is no exception");
  }
}

int RunStep(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock) {
  const auto outcome = Guarded(spec, [&] { return Dispatch(spec, plugins, sandbox, clock); });
  if (outcome)
    spdlog::info("succeeded: {}",
                 outcome->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, kLoggedResultBytes));
  if (!outcome) spdlog::error("{}: {}", ErrorClassName(outcome.error().error_class), outcome.error().message);
  if (const auto written = WriteResult(spec.folder, outcome); !written) {
    spdlog::error("{}", written.error().Message());
    return 1;
  }
  return outcome ? 0 : 1;
}

const char* TorchVersion() { return TORCH_VERSION; }

void WarmTorch() {
  at::set_num_threads(1);
  // As in ratchet-serve: what is scored here is what will answer there.
  torch::jit::setTensorExprFuserEnabled(false);
  const torch::NoGradGuard no_gradients;
  torch::jit::Module module("warm");
  module.register_parameter("weight", torch::eye(4), false);
  module.define("def forward(self, x):\n  return torch.softmax(torch.matmul(x, self.weight), 1)\n");
  (void)module.forward({torch::ones({2, 4})});
}

}  // namespace ratchet::worker
