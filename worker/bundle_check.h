#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"

// Whether a model does what its signature says. Exceptions of LibTorch end here.
namespace ratchet::worker {

// The dataset column that each input is read from.
std::vector<std::string> InputColumns(const registry::Signature& signature);

// kInvalid names the column that the schema lacks.
Status CheckColumns(const registry::Signature& signature, const lake::Schema& schema);

// Every output of `forward`, on the CPU, checked against the signature: number, datatype, shape. kInvalid otherwise.
Result<std::vector<torch::Tensor>> Forward(torch::jit::Module& module, const registry::Signature& signature,
                                           const lake::Schema& schema, const lake::Batch& batch);

// Loads MODEL_PATH and lets it answer the first rows of the packs. kInvalid says what is wrong.
Status TryModel(const std::string& model_path, const registry::Signature& signature,
                const std::vector<std::string>& packs);

}  // namespace ratchet::worker
