#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "base/digest.h"
#include "registry/bundle_manifest.h"

namespace ratchet::pipeline {

// FOLDER/bundle with a manifest that is accepted, and these bytes for weights.
inline void WriteFakeBundle(const std::string& folder, const std::string& model) {
  std::filesystem::create_directories(folder + "/bundle");
  std::ofstream(folder + "/bundle/model.pt") << model;
  registry::BundleManifest manifest;
  manifest.signature.inputs = {{.name = "x", .datatype = registry::Datatype::kFp32, .shape = {-1}, .column = "x"}};
  manifest.signature.outputs = {{.name = "p", .datatype = registry::Datatype::kFp32, .shape = {-1, 2}}};
  manifest.signature.classes = std::vector<std::int64_t>{0, 1};
  manifest.target = "label";
  manifest.metric = "accuracy";
  manifest.files["model.pt"] = {.sha256 = Sha256Hex(model), .bytes = model.size()};
  std::ofstream(folder + "/bundle/manifest.json") << registry::SerialiseManifest(manifest);
}

}  // namespace ratchet::pipeline
