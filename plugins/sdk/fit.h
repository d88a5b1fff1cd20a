#pragma once

#include <torch/script.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "plugins/sdk/recipe.h"

// The training loop that recipes share: AdamW (Loshchilov & Hutter 2019) under a one-cycle schedule (Smith & Topin
// 2018), a checkpoint an epoch, the best epoch's weights at the end, and an orderly end when training diverges.
namespace ratchet::sdk {

// How good the model is after an epoch.
struct Evaluation {
  bool finite = true;  // all outputs were finite; if not, these weights are never kept
  std::optional<double>
      score;  // the larger the better; nothing where there are no validation rows: the last epoch counts
  nlohmann::json metrics = nlohmann::json::object();  // {"validation_accuracy":0.9}
};

// What one recipe's training consists of. Called by one thread.
class FitTask {
 public:
  virtual ~FitTask() = default;
  virtual std::int64_t rows() const = 0;  // training rows, at least 1
  // Mean loss over these training rows (int64 indices on the CPU), to be differentiated. The module is in train mode.
  virtual torch::Tensor Loss(const torch::Tensor& rows) = 0;
  // The module is in eval mode, gradients are off.
  virtual Evaluation Evaluate() = 0;
};

struct FitOptions {
  std::int64_t epochs = 1;
  std::int64_t batch_size =
      128;  // rows; the last batch of an epoch is never a mere remnant: batches are made nearly equal
  double learning_rate = 1e-3;  // the peak of the cycle
  double weight_decay = 0;      // on matrices and kernels only, not on biases and scales
  double warm_up = 0.3;         // part of all steps until the peak
  std::int64_t patience = 0;    // epochs without a better score before training ends early; 0 = never
};

struct FitOutcome {
  std::int64_t epochs = 0;      // done, this attempt and those before
  std::int64_t best_epoch = 0;  // whose weights the module has now; 0 = the untrained ones
  bool diverged = false;        // loss or outputs stopped being finite, or the loss grew beyond all hope
  nlohmann::json metrics = nlohmann::json::object();  // the best epoch's, and train_loss, best_epoch, diverged
};

// The device that `wanted` ("auto" or "cpu") means here.
torch::Device ChooseDevice(const std::string& wanted);

// Sets threads and allocator of this process for training. Called first in Train, before any tensor is made.
void PrepareProcess(const TrainInput& input);

// Trains the module in place, from the checkpoint in `input.resume` if there is a fit one, and leaves it with the best
// weights. Same module, data, options and seed on the same machine: bit-equal weights, resumed or not.
// `fingerprint` tells this training from any other, beside parameters and seed which are put to it here.
Result<FitOutcome> Fit(torch::jit::Module& module, FitTask& task, const FitOptions& options, const TrainInput& input,
                       const std::string& fingerprint);

}  // namespace ratchet::sdk
