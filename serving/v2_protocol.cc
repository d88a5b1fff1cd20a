#include "serving/v2_protocol.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "serving/binary_tensors.h"
#include "serving/tensor_json.h"

namespace ratchet::serving::v2 {
namespace {

constexpr char kLabel[] = "label";

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  if (!segments.empty() && segments.back().empty()) segments.pop_back();  // a trailing slash
  return segments;
}

std::optional<std::int64_t> VersionNumber(std::string_view text) {
  std::int64_t version = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1) return std::nullopt;
  return version;
}

// Of segments …/models/{m}[/versions/{v}][/{last}]: the target with `last`, empty where there is none.
struct ModelPath {
  Target target;
  std::string_view last;
};

std::optional<ModelPath> ReadModelPath(const std::vector<std::string_view>& segments) {
  ModelPath path{.target = {.model = std::string(segments[2])}};
  size_t next = 3;
  if (segments.size() > next && segments[next] == "versions") {
    if (segments.size() < next + 2) return std::nullopt;
    path.target.version = VersionNumber(segments[next + 1]);
    if (!path.target.version) return std::nullopt;
    next += 2;
  }
  if (segments.size() > next + 1) return std::nullopt;
  if (segments.size() == next + 1) path.last = segments[next];
  return path;
}

std::optional<Target> ModelTarget(const std::vector<std::string_view>& segments) {
  static constexpr std::pair<std::string_view, Question> kLast[] = {{"", Question::kModelMetadata},
                                                                    {"ready", Question::kModelReady},
                                                                    {"infer", Question::kInfer},
                                                                    {"stats", Question::kStatistics}};
  if (segments.size() == 3 && segments[2] == "stats") return Target{.question = Question::kStatistics};
  std::optional<ModelPath> path = ReadModelPath(segments);
  const auto found = std::ranges::find(kLast, path ? path->last : "none", [](const auto& entry) { return entry.first; });
  if (!path || found == std::end(kLast)) return std::nullopt;
  path->target.question = found->second;
  return path->target;
}

// /v1/models/{m}[/versions/{v}]:predict
std::optional<Target> PredictTarget(std::string_view path) {
  constexpr std::string_view kVerb = ":predict";
  if (!path.ends_with(kVerb)) return std::nullopt;
  path.remove_suffix(kVerb.size());
  const std::vector<std::string_view> segments = Segments(path);
  if (segments.size() < 3 || segments[1] != "models" || segments[2].empty()) return std::nullopt;
  std::optional<ModelPath> model = ReadModelPath(segments);
  if (!model || !model->last.empty()) return std::nullopt;
  model->target.question = Question::kInfer;
  model->target.dialect = Dialect::kPredict;
  return model->target;
}

std::string AnswerHead(const std::string& model, std::int64_t version, const std::string& id, const std::string& prediction_id) {
  std::string text = "{\"model_name\":" + JsonText(model) + ",\"model_version\":\"" + std::to_string(version) +
                     "\",\"id\":" + JsonText(id);
  if (prediction_id != id) text += ",\"parameters\":{\"prediction_id\":" + JsonText(prediction_id) + "}";
  return text + ",\"outputs\":[";
}

void AppendTensorHead(const Tensor& tensor, size_t index, std::string& text) {
  text += (index ? ",{\"name\":" : "{\"name\":") + JsonText(tensor.name);
  text += ",\"datatype\":\"" + std::string(registry::DatatypeName(tensor.datatype)) + "\"";
  text += ",\"shape\":" + ShapeText(tensor.shape);
}

void AppendTensor(const Tensor& tensor, size_t index, std::string& text) {
  const bool texts = tensor.datatype == Datatype::kBytes;
  AppendTensorHead(tensor, index, text);
  text += ",\"data\":[";
  AppendElements(tensor, 0, texts ? tensor.texts.size() : tensor.data.size() / ElementBytes(tensor.datatype), text);
  text += "]}";
}

nlohmann::json SpecsJson(const std::vector<TensorSpec>& specs) {
  auto list = nlohmann::json::array();
  for (const TensorSpec& spec : specs) {
    list.push_back({{"name", spec.name}, {"datatype", registry::DatatypeName(spec.datatype)}, {"shape", spec.shape}});
  }
  return list;
}

bool HasDerivedLabel(const Signature& signature) {
  if (signature.task != registry::Task::kClassification) return false;
  return std::none_of(signature.outputs.begin(), signature.outputs.end(),
                      [](const TensorSpec& spec) { return spec.name == kLabel; });
}

template <typename T>
std::vector<size_t> LargestOfEachRow(const Tensor& tensor) {
  const size_t columns = static_cast<size_t>(tensor.shape[1]);
  std::vector<size_t> largest;
  for (std::int64_t row = 0; row < tensor.Rows(); ++row) {
    const T* begin = tensor.As<T>() + static_cast<size_t>(row) * columns;
    largest.push_back(static_cast<size_t>(std::max_element(begin, begin + columns) - begin));
  }
  return largest;
}

}  // namespace

std::optional<Target> ParseTarget(std::string_view path) {
  if (path.empty() || path[0] != '/') return std::nullopt;
  const std::vector<std::string_view> segments = Segments(path);
  if (segments.empty()) return std::nullopt;
  if (segments[0] == "v1") return PredictTarget(path);
  if (segments.size() == 1 && segments[0] == "invocations") {
    return Target{.question = Question::kInfer, .dialect = Dialect::kInvocations};
  }
  if (segments[0] != "v2") return std::nullopt;
  if (segments.size() == 1) return Target{.question = Question::kServerMetadata};
  if (segments[1] == "health" && segments.size() == 3) {
    if (segments[2] == "live") return Target{.question = Question::kServerLive};
    if (segments[2] == "ready") return Target{.question = Question::kServerReady};
  }
  if (segments[1] == "repository" && segments.size() == 3 && segments[2] == "index") {
    return Target{.question = Question::kRepositoryIndex};
  }
  if (segments[1] == "models" && segments.size() >= 3) return ModelTarget(segments);
  return std::nullopt;
}

std::optional<Tensor> DeriveLabel(const Signature& signature, const std::vector<Tensor>& outputs) {
  if (!HasDerivedLabel(signature) || outputs.empty() || outputs[0].shape.size() != 2) return std::nullopt;
  const Tensor& probabilities = outputs[0];
  if (static_cast<size_t>(probabilities.shape[1]) != registry::ClassCount(signature.classes)) return std::nullopt;
  const std::vector<size_t> largest = probabilities.datatype == Datatype::kFp64
                                          ? LargestOfEachRow<double>(probabilities)
                                          : LargestOfEachRow<float>(probabilities);
  Tensor label{.name = kLabel, .datatype = Datatype::kBytes, .shape = {probabilities.Rows()}};
  if (const auto* texts = std::get_if<std::vector<std::string>>(&signature.classes)) {
    for (size_t column : largest) label.texts.push_back((*texts)[column]);
    return label;
  }
  const auto& integers = std::get<std::vector<std::int64_t>>(signature.classes);
  label.datatype = Datatype::kInt64;
  label.data.resize(largest.size() * sizeof(std::int64_t));
  for (size_t row = 0; row < largest.size(); ++row) label.As<std::int64_t>()[row] = integers[largest[row]];
  return label;
}

std::vector<TensorSpec> AnswerSpecs(const Signature& signature) {
  std::vector<TensorSpec> specs = signature.outputs;
  if (HasDerivedLabel(signature)) {
    const bool texts = std::holds_alternative<std::vector<std::string>>(signature.classes);
    specs.push_back({.name = kLabel, .datatype = texts ? Datatype::kBytes : Datatype::kInt64, .shape = {-1}});
  }
  return specs;
}

std::vector<Tensor> SelectOutputs(std::vector<Tensor> outputs, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return outputs;
  std::vector<Tensor> selected;
  for (const std::string& name : wanted) {
    auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.name == name; });
    if (found != outputs.end()) selected.push_back(std::move(*found));
  }
  return selected;
}

std::string InferJson(const std::string& model, std::int64_t version, const std::string& id,
                      const std::string& prediction_id, const std::vector<Tensor>& outputs) {
  std::string text = AnswerHead(model, version, id, prediction_id);
  for (size_t i = 0; i < outputs.size(); ++i) AppendTensor(outputs[i], i, text);
  return text + "]}";
}

MixedBody InferMixed(const std::string& model, std::int64_t version, const std::string& id, const std::string& prediction_id,
                     const std::vector<Tensor>& outputs, const InferRequest& request) {
  MixedBody body{.bytes = AnswerHead(model, version, id, prediction_id)};
  size_t binary_bytes = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!request.WantsBinary(outputs[i].name)) {
      AppendTensor(outputs[i], i, body.bytes);
      continue;
    }
    const size_t bytes = BinaryBytes(outputs[i]);
    AppendTensorHead(outputs[i], i, body.bytes);
    body.bytes += ",\"parameters\":{\"binary_data_size\":" + std::to_string(bytes) + "}}";
    binary_bytes += bytes;
    body.has_binary = true;
  }
  body.bytes += "]}";
  body.json_bytes = body.bytes.size();
  body.bytes.reserve(body.json_bytes + binary_bytes);
  for (const Tensor& output : outputs) {
    if (request.WantsBinary(output.name)) AppendBinary(output, body.bytes);
  }
  return body;
}

std::string InputsJson(const std::vector<Tensor>& inputs) {
  std::string text = "{\"inputs\":[";
  for (size_t i = 0; i < inputs.size(); ++i) AppendTensor(inputs[i], i, text);
  return text + "]}";
}

std::string ServerMetadataJson(const std::string& program_version) {
  return nlohmann::json{{"name", "ratchet-serve"},
                        {"version", program_version},
                        {"extensions", {"binary_tensor_data", "model_repository_index", "statistics"}}}
      .dump();
}

std::string ModelMetadataJson(const std::string& model, const std::vector<std::int64_t>& versions,
                              const Signature& signature) {
  std::vector<std::string> names;
  for (std::int64_t version : versions) names.push_back(std::to_string(version));
  return nlohmann::json{{"name", model},
                        {"versions", names},
                        {"platform", "pytorch_torchscript"},
                        {"inputs", SpecsJson(signature.inputs)},
                        {"outputs", SpecsJson(AnswerSpecs(signature))}}
      .dump();
}

std::string ErrorJson(std::string_view message) { return "{\"error\":" + JsonText(message) + "}"; }

}  // namespace ratchet::serving::v2
