#include "worker/bundle_check.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "plugins/sdk/torch_bundle.h"

namespace ratchet::worker {
namespace {

using registry::Datatype;
using registry::Signature;
using registry::TensorSpec;

constexpr std::int64_t kTrialRows = 2;

bool HasDatatype(const torch::Tensor& tensor, Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
      return tensor.scalar_type() == torch::kBool;
    case Datatype::kUint8:
      return tensor.scalar_type() == torch::kUInt8;
    case Datatype::kInt8:
      return tensor.scalar_type() == torch::kInt8;
    case Datatype::kInt16:
      return tensor.scalar_type() == torch::kInt16;
    case Datatype::kInt32:
      return tensor.scalar_type() == torch::kInt32;
    case Datatype::kInt64:
      return tensor.scalar_type() == torch::kInt64;
    case Datatype::kFp16:
      return tensor.scalar_type() == torch::kFloat16;
    case Datatype::kFp32:
      return tensor.scalar_type() == torch::kFloat32;
    case Datatype::kFp64:
      return tensor.scalar_type() == torch::kFloat64;
    case Datatype::kBytes:
      return false;
  }
  return false;
}

std::unexpected<Error> Wrong(const std::string& name, std::string cause) {
  return Fail(ErrorCode::kInvalid, "check output", name, std::move(cause),
              "Make model.pt and its signature agree; see \"Bundle\" in docs/formats.md.");
}

Status CheckOutput(const TensorSpec& spec, const torch::Tensor& tensor, std::int64_t rows) {
  if (!HasDatatype(tensor, spec.datatype))
    return Wrong(spec.name, fmt::format("it is {}, the signature says {}", c10::toString(tensor.scalar_type()),
                                        registry::DatatypeName(spec.datatype)));
  const auto sizes = tensor.sizes().vec();
  auto fits = sizes.size() == spec.shape.size() && !sizes.empty() && sizes[0] == rows;
  for (size_t i = 1; fits && i < sizes.size(); ++i) fits = spec.shape[i] == -1 || spec.shape[i] == sizes[i];
  if (!fits)
    return Wrong(spec.name, fmt::format("{} rows gave the shape [{}], the signature says [{}]", rows,
                                        fmt::join(sizes, ", "), fmt::join(spec.shape, ", ")));
  return {};
}

std::vector<torch::Tensor> Tensors(const torch::jit::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  std::vector<torch::Tensor> tensors;
  if (value.isTuple())
    for (const auto& element : value.toTupleRef().elements()) tensors.push_back(element.toTensor());
  return tensors;
}

// Only rows whose numbers are finite are judged: a model may be unsure, but not in another unit.
Status CheckProbabilities(const torch::Tensor& output) {
  const auto rows = output.to(torch::kFloat64).contiguous();
  for (std::int64_t row = 0; row < rows.size(0); ++row) {
    const auto one = rows[row];
    const double sum = one.sum().item<double>();
    if (!std::isfinite(sum)) continue;
    if (one.min().item<double>() < -1e-4 || std::abs(sum - 1) > 1e-2)
      return Wrong("0", fmt::format("a row of it is no probabilities (least {:.3f}, sum {:.3f})",
                                    one.min().item<double>(), sum));
  }
  return {};
}

Status CheckClassCount(const Signature& signature) {
  if (signature.task != registry::Task::kClassification) return {};
  const auto classes = static_cast<std::int64_t>(registry::ClassCount(signature.classes));
  const auto& shape = signature.outputs.at(0).shape;
  if (shape.size() != 2 || (shape[1] != -1 && shape[1] != classes))
    return Wrong(signature.outputs[0].name,
                 fmt::format("its shape must be [-1, {}]: a probability for each class", classes));
  return {};
}

nlohmann::json InputsJson(const Signature& signature) {
  return nlohmann::json::parse(registry::SerialiseSignature(signature)).at("inputs");
}

}  // namespace

std::vector<std::string> InputColumns(const Signature& signature) {
  std::vector<std::string> columns;
  for (const auto& input : signature.inputs) columns.push_back(input.column.empty() ? input.name : input.column);
  return columns;
}

Status CheckColumns(const Signature& signature, const lake::Schema& schema) {
  for (const auto& column : InputColumns(signature))
    if (schema.Find(column) < 0)
      return Fail(ErrorCode::kInvalid, "read input", column, "the dataset has no such column");
  return {};
}

Result<std::vector<torch::Tensor>> Forward(torch::jit::Module& module, const Signature& signature,
                                           const lake::Schema& schema, const lake::Batch& batch) {
  RATCHET_ASSIGN(auto inputs, sdk::InputsFromBatch(InputsJson(signature), schema, batch));
  std::vector<torch::Tensor> outputs;
  try {
    const torch::NoGradGuard no_gradients;
    for (const auto& tensor : Tensors(module.forward(std::move(inputs)))) outputs.push_back(tensor.cpu());
  } catch (const std::bad_alloc&) {
    throw;  // the step's own end, not the model's fault
  } catch (const c10::Error& fault) {
    return Fail(ErrorCode::kInvalid, "run", "forward", fault.what_without_backtrace());
  } catch (const std::exception& fault) {
    return Fail(ErrorCode::kInvalid, "run", "forward", fault.what());
  }
  if (outputs.size() != signature.outputs.size())
    return Wrong("forward",
                 fmt::format("it gave {} tensors, the signature says {}", outputs.size(), signature.outputs.size()));
  for (size_t i = 0; i < outputs.size(); ++i) RATCHET_TRY(CheckOutput(signature.outputs[i], outputs[i], batch.rows));
  return outputs;
}

Status TryModel(const std::string& model_path, const Signature& signature, const std::vector<std::string>& packs) {
  RATCHET_ASSIGN(auto module, sdk::LoadModel(model_path));
  RATCHET_TRY(CheckClassCount(signature));
  RATCHET_ASSIGN(const auto whole, lake::PackReader::Open(packs));
  RATCHET_TRY(CheckColumns(signature, whole->schema()));
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(packs, InputColumns(signature)));
  RATCHET_ASSIGN(const auto batch, reader->Next(kTrialRows));
  if (batch.rows == 0) return {};
  RATCHET_ASSIGN(const auto outputs, Forward(module, signature, reader->schema(), batch));
  if (signature.task != registry::Task::kClassification) return {};
  const auto classes = static_cast<std::int64_t>(registry::ClassCount(signature.classes));
  if (outputs.at(0).size(1) != classes)
    return Wrong(signature.outputs[0].name,
                 fmt::format("{} probabilities for {} classes", outputs[0].size(1), classes));
  return CheckProbabilities(outputs[0]);
}

}  // namespace ratchet::worker
