#include "serving/v2_protocol.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

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

std::optional<Target> ModelTarget(const std::vector<std::string_view>& segments) {
  Target target{.question = Question::kModelMetadata, .model = std::string(segments[2])};
  size_t next = 3;
  if (segments.size() > next && segments[next] == "versions") {
    if (segments.size() < next + 2) return std::nullopt;
    target.version = VersionNumber(segments[next + 1]);
    if (!target.version) return std::nullopt;
    next += 2;
  }
  if (segments.size() == next) return target;
  if (segments.size() > next + 1) return std::nullopt;
  if (segments[next] == "ready")
    target.question = Question::kModelReady;
  else if (segments[next] == "infer")
    target.question = Question::kInfer;
  else
    return std::nullopt;
  return target;
}

// Appends numbers in their shortest text that reads back to the same value.
template <typename T>
void AppendNumbers(const T* values, size_t count, std::string& text) {
  char buffer[64];
  for (size_t i = 0; i < count; ++i) {
    if (i) text += ',';
    if constexpr (std::is_floating_point_v<T>) {
      if (!(values[i] - values[i] == 0)) {
        text += "null";
        continue;
      }
    }
    auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, values[i]);
    text.append(buffer, end);
  }
}

std::string JsonText(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void AppendData(const Tensor& tensor, std::string& text) {
  const size_t count = tensor.datatype == Datatype::kBytes ? 0 : tensor.data.size() / ElementBytes(tensor.datatype);
  switch (tensor.datatype) {
    case Datatype::kBool:
      for (size_t i = 0; i < count; ++i) {
        text += i ? "," : "";
        text += tensor.As<bool>()[i] ? "true" : "false";
      }
      return;
    case Datatype::kUint8:
      return AppendNumbers(tensor.As<std::uint8_t>(), count, text);
    case Datatype::kInt8:
      return AppendNumbers(tensor.As<std::int8_t>(), count, text);
    case Datatype::kInt16:
      return AppendNumbers(tensor.As<std::int16_t>(), count, text);
    case Datatype::kInt32:
      return AppendNumbers(tensor.As<std::int32_t>(), count, text);
    case Datatype::kInt64:
      return AppendNumbers(tensor.As<std::int64_t>(), count, text);
    case Datatype::kFp16:
    case Datatype::kFp32:
      return AppendNumbers(tensor.As<float>(), count, text);
    case Datatype::kFp64:
      return AppendNumbers(tensor.As<double>(), count, text);
    case Datatype::kBytes:
      for (size_t i = 0; i < tensor.texts.size(); ++i) text += (i ? "," : "") + JsonText(tensor.texts[i]);
      return;
  }
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
  if (segments.empty() || segments[0] != "v2") return std::nullopt;
  if (segments.size() == 1) return Target{.question = Question::kServerMetadata};
  if (segments[1] == "health" && segments.size() == 3) {
    if (segments[2] == "live") return Target{.question = Question::kServerLive};
    if (segments[2] == "ready") return Target{.question = Question::kServerReady};
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
  std::string text = "{\"model_name\":" + JsonText(model) + ",\"model_version\":\"" + std::to_string(version) +
                     "\",\"id\":" + JsonText(id);
  if (prediction_id != id) text += ",\"parameters\":{\"prediction_id\":" + JsonText(prediction_id) + "}";
  text += ",\"outputs\":[";
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& tensor = outputs[i];
    text += (i ? ",{\"name\":" : "{\"name\":") + JsonText(tensor.name);
    text += ",\"datatype\":\"" + std::string(registry::DatatypeName(tensor.datatype)) + "\"";
    text += ",\"shape\":" + ShapeText(tensor.shape) + ",\"data\":[";
    AppendData(tensor, text);
    text += "]}";
  }
  return text + "]}";
}

std::string ServerMetadataJson(const std::string& program_version) {
  return nlohmann::json{
      {"name", "ratchet-serve"}, {"version", program_version}, {"extensions", nlohmann::json::array()}}
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
