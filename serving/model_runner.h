#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "registry/bundle_manifest.h"
#include "serving/tensor.h"

namespace ratchet::serving {

// The seam between serving and the library that computes. One loaded, warm version of a model.
class ModelRunner {
 public:
  virtual ~ModelRunner() = default;
  // Inputs in the signature's order, all with the same rows; outputs in the signature's order. kInternal when the model
  // throws or gives what its signature does not say. Any thread, many at once.
  virtual Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const = 0;
  // Whether rows of several requests may run in one call: false where a row's answer depends on those beside it.
  virtual bool Joinable() const { return true; }
};

// A bundle on this host's disk, its digests checked.
struct LocalBundle {
  std::string digest;  // SHA-256 of manifest.json
  registry::BundleManifest manifest;
  std::string model_path;
};

// Loads and warms. May take seconds; any thread. kInvalid when the bundle's module is not what its manifest says.
using ModelLoader = std::function<Result<std::shared_ptr<const ModelRunner>>(const LocalBundle&)>;

}  // namespace ratchet::serving
