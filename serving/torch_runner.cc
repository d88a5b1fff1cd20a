#include "serving/torch_runner.h"

#include <spdlog/spdlog.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <optional>

#include "plugins/sdk/model_operators.h"
#include "serving/batch_tensors.h"

namespace ratchet::serving {
namespace {

using torch::jit::IValue;
using torch::jit::Module;

constexpr std::array<std::int64_t, 7> kWarmUpRows = {1, 2, 4, 8, 16, 32, 64};
constexpr std::chrono::milliseconds kLongWarmUp{500};  // larger batches of a model as slow as that are not tried
constexpr std::int64_t kCompanyRows = 8;
constexpr std::array<std::int64_t, 2> kComparedRows = {1, 8};
constexpr int kWarmUpRounds = 2;  // the first runs profile and compile, the next are as fast as all that follow
constexpr std::int64_t kFreeDimension = 8;  // stands for a -1 that is not the rows, in generated inputs

std::unexpected<Error> Broken(std::string cause) {
  return Fail(ErrorCode::kInvalid, "load model", "", std::move(cause));
}

// LibTorch's messages carry a C++ stack trace of many lines; the first lines say what happened.
std::string ShortText(const std::exception& exception) {
  std::string text = exception.what();
  text = text.substr(0, text.find("\nException raised from"));
  if (text.size() > 1000) text = text.substr(0, 1000) + "…";
  return text;
}

torch::Dtype TorchType(Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
      return torch::kBool;
    case Datatype::kUint8:
      return torch::kUInt8;
    case Datatype::kInt8:
      return torch::kInt8;
    case Datatype::kInt16:
      return torch::kInt16;
    case Datatype::kInt32:
      return torch::kInt32;
    case Datatype::kInt64:
      return torch::kInt64;
    case Datatype::kFp16:
      return torch::kHalf;
    case Datatype::kFp64:
      return torch::kFloat64;
    case Datatype::kFp32:
    case Datatype::kBytes:
      return torch::kFloat32;
  }
  return torch::kFloat32;
}

// The tensor borrows the bytes of `input`, but for FP16, which is narrowed into a copy.
IValue ToTorch(Tensor& input) {
  if (input.datatype == Datatype::kBytes) {
    c10::List<std::string> texts;
    texts.reserve(input.texts.size());
    for (std::string& text : input.texts) texts.push_back(std::move(text));
    return texts;
  }
  const bool half = input.datatype == Datatype::kFp16;
  torch::Tensor tensor =
      torch::from_blob(input.data.data(), input.shape, half ? torch::kFloat32 : TorchType(input.datatype));
  return half ? tensor.to(torch::kHalf) : tensor;
}

Result<Tensor> FromTexts(const IValue& value, const TensorSpec& spec) {
  if (!value.isList()) return Broken("output " + spec.name + " is not a list of texts");
  Tensor output{.name = spec.name, .datatype = spec.datatype};
  for (const IValue& text : value.toListRef()) {
    if (!text.isString()) return Broken("output " + spec.name + " is not a list of texts");
    output.texts.push_back(text.toStringRef());
  }
  output.shape = {static_cast<std::int64_t>(output.texts.size())};
  return output;
}

Result<Tensor> FromTorch(const IValue& value, const TensorSpec& spec, std::int64_t rows) {
  Tensor output{.name = spec.name, .datatype = spec.datatype};
  if (spec.datatype == Datatype::kBytes) {
    RATCHET_ASSIGN(output, FromTexts(value, spec));
  } else {
    if (!value.isTensor()) return Broken("output " + spec.name + " is not a tensor");
    torch::Tensor tensor = value.toTensor();
    if (tensor.scalar_type() != TorchType(spec.datatype)) {
      return Broken("output " + spec.name + " is of type " + c10::toString(tensor.scalar_type()) +
                    ", the signature says " + std::string(registry::DatatypeName(spec.datatype)));
    }
    if (spec.datatype == Datatype::kFp16) tensor = tensor.to(torch::kFloat32);
    tensor = tensor.to(torch::kCPU).contiguous();
    output.shape = tensor.sizes().vec();
    output.data.resize(static_cast<size_t>(tensor.nbytes()));
    std::memcpy(output.data.data(), tensor.data_ptr(), output.data.size());
  }
  if (!ShapeFits(output.shape, spec) || output.Rows() != rows) {
    return Broken("output " + spec.name + " has shape " + ShapeText(output.shape) + " for " + std::to_string(rows) +
                  " rows, the signature says " + ShapeText(spec.shape));
  }
  return output;
}

Result<std::vector<Tensor>> Forward(Module& module, const Signature& signature, std::vector<Tensor> inputs) {
  const std::int64_t rows = inputs.empty() ? 0 : inputs[0].Rows();
  std::vector<IValue> arguments;
  for (Tensor& input : inputs) arguments.push_back(ToTorch(input));
  c10::InferenceMode inference;
  IValue answer = module.forward(std::move(arguments));
  std::vector<IValue> values = answer.isTuple() ? answer.toTupleRef().elements().vec() : std::vector<IValue>{answer};
  if (values.size() != signature.outputs.size()) {
    return Broken("forward gives " + std::to_string(values.size()) + " values, the signature names " +
                  std::to_string(signature.outputs.size()) + " outputs");
  }
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < values.size(); ++i) {
    RATCHET_ASSIGN(Tensor output, FromTorch(values[i], signature.outputs[i], rows));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

Result<std::vector<Tensor>> TryForward(Module& module, const Signature& signature, std::vector<Tensor> inputs) {
  try {
    return Forward(module, signature, std::move(inputs));
  } catch (const std::exception& exception) {
    return Broken(ShortText(exception));
  }
}

enum class Content { kVaried, kZero };

// Inputs as the signature allows them. Varied ones differ between elements in a fixed pattern.
std::vector<Tensor> GeneratedInputs(const Signature& signature, std::int64_t rows, Content content) {
  std::vector<Tensor> inputs;
  std::uint32_t state = 12345;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 24; };
  for (const TensorSpec& spec : signature.inputs) {
    Tensor input{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape};
    for (std::int64_t& size : input.shape) size = size == -1 ? kFreeDimension : size;
    input.shape[0] = rows;
    const size_t count = static_cast<size_t>(std::max<std::int64_t>(ElementCount(input.shape), 0));
    if (spec.datatype == Datatype::kBytes) input.texts.resize(count);
    input.data.resize(count * ElementBytes(spec.datatype));
    for (size_t i = 0; content == Content::kVaried && i < count; ++i) {
      const std::uint32_t value = next();
      if (spec.datatype == Datatype::kUint8) input.As<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
      if (spec.datatype == Datatype::kFp32) input.As<float>()[i] = static_cast<float>(value) / 64.0f - 2.0f;
      if (spec.datatype == Datatype::kFp64) input.As<double>()[i] = value / 64.0 - 2.0;
      if (spec.datatype == Datatype::kBool) input.As<bool>()[i] = value % 2 == 1;
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

template <typename T>
bool CloseValues(const Tensor& a, const Tensor& b) {
  for (size_t i = 0; i < a.data.size() / sizeof(T); ++i) {
    const double x = a.As<T>()[i], y = b.As<T>()[i];
    if (std::isnan(x) && std::isnan(y)) continue;
    // Half the promise, so that what is added elsewhere stays within it.
    if (!(std::abs(x - y) <= kAnswerTolerance / 2 * std::max(1.0, std::abs(x)))) return false;
  }
  return true;
}

bool Close(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape || a.texts != b.texts) return false;
  if (a.datatype == Datatype::kFp64) return CloseValues<double>(a, b);
  if (a.datatype == Datatype::kFp32 || a.datatype == Datatype::kFp16) return CloseValues<float>(a, b);
  return a.data == b.data;
}

bool AnswersAlike(Module& plain, Module& candidate, const Signature& signature) {
  for (std::int64_t rows : kComparedRows) {
    for (Content content : {Content::kVaried, Content::kZero}) {
      auto expected = TryForward(plain, signature, GeneratedInputs(signature, rows, content));
      for (int round = 0; round < kWarmUpRounds; ++round) {  // later rounds run the compiled graph
        auto got = TryForward(candidate, signature, GeneratedInputs(signature, rows, content));
        if (expected.has_value() != got.has_value()) return false;
        for (size_t i = 0; expected && i < expected->size(); ++i) {
          if (!Close((*expected)[i], (*got)[i])) return false;
        }
      }
    }
  }
  return true;
}

enum class Optimisation { kFreezeAndFuse, kFreeze };

std::optional<Module> Optimised(const Module& plain, Optimisation how) {
  try {
    Module frozen = torch::jit::freeze(plain);
    return how == Optimisation::kFreeze ? frozen : torch::jit::optimize_for_inference(frozen);
  } catch (const std::exception& exception) {
    spdlog::debug("a module is served as it was saved: {}", ShortText(exception));
    return std::nullopt;
  }
}

Module FastestAlike(Module plain, const Signature& signature) {
  for (Optimisation how : {Optimisation::kFreezeAndFuse, Optimisation::kFreeze}) {
    std::optional<Module> candidate = Optimised(plain, how);
    if (candidate && AnswersAlike(plain, *candidate, signature)) return *candidate;
  }
  return plain;
}

// Whether rows get the answer among others that they get alone, to the promised tolerance. Where that cannot be tried,
// they do not.
bool AnswersAloneAlike(Module& module, const Signature& signature) {
  const std::vector<Tensor> inputs = GeneratedInputs(signature, kCompanyRows, Content::kVaried);
  const std::vector<std::int64_t> single(kCompanyRows, 1);
  auto together = TryForward(module, signature, inputs);
  if (!together) return false;
  const auto expected = SplitRows(*together, single);
  const auto alone = SplitRows(inputs, single);
  for (size_t row = 0; row < alone.size(); ++row) {
    auto got = TryForward(module, signature, alone[row]);
    if (!got || !std::ranges::equal(*got, expected[row], Close)) return false;
  }
  return true;
}

bool HasFreeDimension(const Signature& signature) {
  return std::any_of(signature.inputs.begin(), signature.inputs.end(),
                     [](const TensorSpec& spec) { return std::count(spec.shape.begin(), spec.shape.end(), -1) > 1; });
}

// Zeros must be answered, unless the signature leaves sizes open that the generated inputs may have guessed wrong.
Status AnswersZeros(Module& module, const Signature& signature, std::int64_t rows) {
  auto answer = TryForward(module, signature, GeneratedInputs(signature, rows, Content::kZero));
  if (!answer && !HasFreeDimension(signature)) return std::unexpected(answer.error());
  return {};
}

Status WarmUp(Module& module, const Signature& signature) {
  for (std::int64_t rows : kWarmUpRows) {
    const auto begun = std::chrono::steady_clock::now();
    for (int round = 0; round < kWarmUpRounds; ++round) RATCHET_TRY(AnswersZeros(module, signature, rows));
    if (std::chrono::steady_clock::now() - begun > kLongWarmUp) break;
  }
  return {};
}

class TorchRunner final : public ModelRunner {
 public:
  TorchRunner(Module module, Signature signature, bool joinable)
      : module_(std::move(module)), signature_(std::move(signature)), joinable_(joinable) {}

  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    auto outputs = TryForward(module_, signature_, std::move(inputs));
    if (outputs) return outputs;
    return Fail(ErrorCode::kInternal, "run model", "", outputs.error().cause);
  }
  bool Joinable() const override { return joinable_; }

 private:
  mutable Module module_;  // forward is not const, yet an eval module's is safe from many threads
  const Signature signature_;
  const bool joinable_;
};

Result<Module> LoadModule(const std::string& path) {
  try {
    Module module = torch::jit::load(path, torch::kCPU);
    module.eval();
    RATCHET_TRY(sdk::CheckOperators(module));
    return module;
  } catch (const std::exception& exception) {
    return Broken(ShortText(exception));
  }
}

}  // namespace

Result<std::shared_ptr<const ModelRunner>> LoadTorchModel(const LocalBundle& bundle) {
  const Signature& signature = bundle.manifest.signature;
  if (!bundle.manifest.ops.empty()) {
    return Broken("it needs the ops library of plugin " + bundle.manifest.ops[0] + ", which this program cannot load");
  }
  RATCHET_ASSIGN(Module plain, LoadModule(bundle.model_path));
  RATCHET_TRY(AnswersZeros(plain, signature, 1));
  Module module = FastestAlike(std::move(plain), signature);
  RATCHET_TRY(WarmUp(module, signature));
  const bool joinable = AnswersAloneAlike(module, signature);
  if (!joinable) spdlog::info("rows of different requests are not joined: the model's answers to a row depend on the rows beside it");
  return std::make_shared<TorchRunner>(std::move(module), signature, joinable);
}

void ConfigureTorch() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  torch::jit::setTensorExprFuserEnabled(false);
}

}  // namespace ratchet::serving
