#pragma once

#include "serving/model_runner.h"

namespace ratchet::serving {

// Loads `model.pt` with LibTorch on the CPU. The module is optimised only as far as its answers to generated inputs
// stay within kAnswerTolerance of the plain module's, and has answered batches of several sizes when this returns.
Result<std::shared_ptr<const ModelRunner>> LoadTorchModel(const LocalBundle& bundle);

inline constexpr double kAnswerTolerance = 1e-6;

// One operation runs on one thread: requests run beside each other instead. Called once, by main, before any loading.
void ConfigureTorchThreads();

}  // namespace ratchet::serving
