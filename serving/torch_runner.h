#pragma once

#include "serving/model_runner.h"

namespace ratchet::serving {

// Loads `model.pt` with LibTorch on the CPU. The module is optimised only as far as its answers to generated inputs
// stay within kAnswerTolerance of the plain module's, and has answered batches of several sizes when this returns.
Result<std::shared_ptr<const ModelRunner>> LoadTorchModel(const LocalBundle& bundle);

inline constexpr double kAnswerTolerance = 1e-6;

// One operation runs on one thread: requests run beside each other instead. Operations are not fused by LibTorch's
// compiler: from LibTorch 2 on it takes a minute for a small network, once per batch size, and answers a little differently.
// Called once, by main, before any loading.
void ConfigureTorch();

}  // namespace ratchet::serving
