#pragma once

#include <string>

// Bundles for tests: TorchScript modules of one input `x` FP32 [rows].
namespace ratchet::worker::testing {

// Saves a module whose `forward(self, x: Tensor)` has this body, "return …".
void SaveToyModel(const std::string& path, const std::string& body);

// Answers the classes 0 and 1 of worker_process.h's toy rows always right.
inline constexpr char kRightAnswers[] = "return torch.stack([(x <= 0).float(), (x > 0).float()], 1)";
inline constexpr char kWrongAnswers[] = "return torch.stack([(x > 0).float(), (x <= 0).float()], 1)";

std::string ToySignature();            // classification by `x`, classes [0,1]
std::string ToyRegressionSignature();  // regression by `x`
// A manifest around it, for the model file that lies at `model_path`.
std::string ToyManifest(const std::string& signature, const std::string& metric, const std::string& model_path);

}  // namespace ratchet::worker::testing
