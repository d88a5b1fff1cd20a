#pragma once

#include <string>

// Bundles for tests: TorchScript modules of one input `x` FP32 [rows].
namespace ratchet::worker::testing {

// Saves a module whose `forward(self, x: Tensor)` has this body, "return …".
void SaveToyModel(const std::string& path, const std::string& body);

// The same with more methods beside `forward`, "def …\n", and the attribute `training`.
void SaveToyModel(const std::string& path, const std::string& body, const std::string& methods);

// A `__setstate__` that does this, "torch.save(…)", while the module is loaded.
std::string WhileLoaded(const std::string& statement);

// Answers the classes 0 and 1 of worker_process.h's toy rows always right.
inline constexpr char kRightAnswers[] = "return torch.stack([(x <= 0).float(), (x > 0).float()], 1)";
inline constexpr char kWrongAnswers[] = "return torch.stack([(x > 0).float(), (x <= 0).float()], 1)";

std::string ToySignature();            // classification by `x`, classes [0,1]
std::string ToyRegressionSignature();  // regression by `x`
// A manifest around it, for the model file that lies at `model_path`.
std::string ToyManifest(const std::string& signature, const std::string& metric, const std::string& model_path);

}  // namespace ratchet::worker::testing
