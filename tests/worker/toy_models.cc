#include "tests/worker/toy_models.h"

#include <torch/script.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "registry/bundle_manifest.h"

namespace ratchet::worker::testing {

void SaveToyModel(const std::string& path, const std::string& body) { SaveToyModel(path, body, ""); }

void SaveToyModel(const std::string& path, const std::string& body, const std::string& methods) {
  torch::jit::Module module("toy");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(methods + "def forward(self, x):\n  " + body + "\n");
  module.eval();
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  module.save(path);
}

std::string WhileLoaded(const std::string& statement) {
  return "def __getstate__(self) -> bool:\n  return self.training\n"
         "def __setstate__(self, state: bool) -> None:\n  self.training = state\n  " +
         statement + "\n";
}

std::string ToySignature() {
  return R"({"task":"classification","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],
             "outputs":[{"name":"probabilities","datatype":"FP32","shape":[-1,2]}],"classes":[0,1]})";
}

std::string ToyRegressionSignature() {
  return R"({"task":"regression","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],
             "outputs":[{"name":"value","datatype":"FP32","shape":[-1]}]})";
}

std::string ToyManifest(const std::string& signature, const std::string& metric, const std::string& model_path) {
  registry::BundleManifest manifest{
      .signature = registry::ParseSignature(signature).value(), .target = "label", .metric = metric};
  manifest.files["model.pt"] = {Sha256File(model_path).value(), std::filesystem::file_size(model_path)};
  return registry::SerialiseManifest(manifest);
}

}  // namespace ratchet::worker::testing
