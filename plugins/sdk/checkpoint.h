#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ratchet::sdk {

// Where training stands after an epoch. The random generator is not in it: it is seeded anew at the start of every
// epoch from the seed and the epoch's number, on every device alike.
struct Checkpoint {
  std::string fingerprint;                  // of the data and parameters; another training's checkpoint is of no use
  std::int64_t epoch = 0;                   // epochs done
  nlohmann::json state;                     // the loop's own values: best score, …
  std::vector<torch::Tensor> weights;       // parameters and buffers now
  std::vector<torch::Tensor> best_weights;  // those of the best epoch so far
};

// Replaces the one checkpoint of the folder, atomically and durably.
Status SaveCheckpoint(const std::string& folder, const Checkpoint& checkpoint, torch::optim::Optimizer& optimizer);

// Reads it back and puts the optimiser in its state. nullopt: there is none, or it has another fingerprint.
// kCorrupt: the bytes are no checkpoint; the optimiser may be half changed then.
Result<std::optional<Checkpoint>> LoadCheckpoint(const std::string& folder, const std::string& fingerprint,
                                                 torch::optim::Optimizer& optimizer);

}  // namespace ratchet::sdk
