#pragma once

#include <torch/script.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

// The LibTorch side of a bundle: writing and reading `model.pt`, and rows of the lake as the arguments of `forward`.
// Exceptions of LibTorch end here. One thread per module.
namespace ratchet::sdk {

// Writes a copy of the module, in eval mode and on the CPU, atomically and durably. The module itself is not changed.
Status SaveModel(const torch::jit::Module& module, const std::string& path);

// Reads `model.pt` on to the CPU in eval mode. kNotFound: no such file; kInvalid: it is no loadable TorchScript module, or
// one that calls what a model may not (model_operators.h). What the file runs while it is loaded has run by then: a
// file from a stranger is loaded where it can do no harm.
Result<torch::jit::Module> LoadModel(const std::string& path);

// The positional arguments of `forward` for these rows, in the order of `inputs` (a signature's "inputs",
// docs/formats.md). `schema` describes the columns of `batch`, which may hold more than is needed, in any order.
// Missing values: NaN for FP inputs, the empty text for BYTES, zeros for blobs. kInvalid names the input: its column is
// not in the schema, can't be read as its datatype and shape, or misses a value where the datatype has none for that.
Result<std::vector<torch::jit::IValue>> InputsFromBatch(const nlohmann::json& inputs, const lake::Schema& schema,
                                                        const lake::Batch& batch);

// The first output of `forward` as a tensor on the CPU. kInvalid: the module failed, or gave no tensor.
Result<torch::Tensor> FirstOutput(torch::jit::Module& module, std::vector<torch::jit::IValue> inputs);

}  // namespace ratchet::sdk
