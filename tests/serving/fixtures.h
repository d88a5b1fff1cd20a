#pragma once

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "base/digest.h"
#include "registry/bundle_manifest.h"
#include "serving/model_runner.h"
#include "serving/route_table.h"

namespace ratchet::serving {

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ratchet-serving-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// True as soon as the condition holds; false when it does not within ten seconds.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// One FP32 input "x" of three values a row; probabilities of two classes.
inline Signature SmallSignature() {
  return {.task = registry::Task::kClassification,
          .inputs = {{.name = "x", .datatype = Datatype::kFp32, .shape = {-1, 3}, .column = "x"}},
          .outputs = {{.name = "probabilities", .datatype = Datatype::kFp32, .shape = {-1, 2}}},
          .classes = std::vector<std::string>{"cat", "dog"}};
}

inline std::string PutBlob(const std::string& store, const std::string& bytes) {
  const std::string digest = Sha256Hex(bytes);
  const std::string folder = store + "/sha256/" + digest.substr(0, 2);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/" + digest, std::ios::binary) << bytes;
  return digest;
}

// Puts a bundle of these model bytes into the store and gives its digest.
inline std::string PutBundle(const std::string& store, const std::string& model, const Signature& signature) {
  registry::BundleManifest manifest{.signature = signature};
  manifest.files["model.pt"] = {.sha256 = PutBlob(store, model), .bytes = model.size()};
  return PutBlob(store, registry::SerialiseManifest(manifest));
}

// Says with every answer which version it is: probability of the first class = version / 100. A runner that was not
// warmed fails, so that a half-loaded version would show.
class FakeRunner final : public ModelRunner {
 public:
  explicit FakeRunner(int version, bool warm = true) : version_(version), warm_(warm) {}
  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    if (!warm_) return Fail(ErrorCode::kInternal, "run model", "", "not warm");
    if (inputs[0].As<float>()[0] == 666.0f) return Fail(ErrorCode::kInternal, "run model", "", "the model threw");
    Tensor output{.name = "probabilities", .datatype = Datatype::kFp32, .shape = {inputs[0].Rows(), 2}};
    output.data.resize(static_cast<size_t>(inputs[0].Rows()) * 2 * sizeof(float));
    for (std::int64_t row = 0; row < inputs[0].Rows(); ++row) {
      output.As<float>()[2 * row] = static_cast<float>(version_) / 100;
      output.As<float>()[2 * row + 1] = 1 - static_cast<float>(version_) / 100;
    }
    return std::vector<Tensor>{output};
  }

 private:
  const int version_;
  const bool warm_;
};

inline VersionRef Ref(std::int64_t version) {
  return {.version = version, .bundle = Sha256Hex("bundle " + std::to_string(version))};
}

inline LocalBundle FakeBundle(const VersionRef& ref) {
  LocalBundle bundle{.digest = ref.bundle, .manifest = {.signature = SmallSignature()}};
  bundle.manifest.files["model.pt"] = {.sha256 = Sha256Hex("model"), .bytes = 5};
  return bundle;
}

inline RouteTable OneRoute(std::int64_t revision, Route route) {
  RouteTable table{.revision = revision};
  const std::string model = route.model;
  table.routes[model] = std::move(route);
  return table;
}

}  // namespace ratchet::serving
