// The reading half of v2_protocol.h: an infer request's body, checked against the model's signature.
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include "base/names.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving::v2 {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

std::unexpected<Error> Refuse(std::string cause) {
  return std::unexpected(Error{.code = ErrorCode::kInvalid, .cause = std::move(cause)});
}

std::string About(const TensorSpec& spec) { return "input " + Quoted(spec.name); }

std::string Names(const std::vector<TensorSpec>& specs) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(specs.size(), 20); ++i) text += (i ? ", " : "") + specs[i].name;
  return specs.size() > 20 ? text + ", …" : text;
}

// One JSON value as one element of a tensor; false when it is of another type or out of range.
template <typename T>
bool ReadValue(const element& value, T& out) {
  if constexpr (std::is_same_v<T, bool>) {
    std::int64_t number;
    if (value.get_bool().get(out) == simdjson::SUCCESS) return true;
    if (value.get_int64().get(number) != simdjson::SUCCESS || (number != 0 && number != 1)) return false;
    out = number == 1;
    return true;
  } else if constexpr (std::is_floating_point_v<T>) {
    double number;
    if (value.is_null()) {
      out = std::numeric_limits<T>::quiet_NaN();
      return true;
    }
    if (value.get_double().get(number) != simdjson::SUCCESS) return false;
    out = static_cast<T>(number);
    return out - out == 0;  // a number beyond the type's range became infinite
  } else {
    std::int64_t number;
    if (value.get_int64().get(number) != simdjson::SUCCESS) return false;
    out = static_cast<T>(number);
    return static_cast<std::int64_t>(out) == number;
  }
}

bool ReadValue(const element& value, std::string& out) {
  if (value.is_null()) {
    out.clear();
    return true;
  }
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return false;
  out = text;
  return true;
}

std::string Expected(Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
      return "true or false";
    case Datatype::kUint8:
      return "integers from 0 to 255";
    case Datatype::kInt8:
      return "integers from -128 to 127";
    case Datatype::kInt16:
      return "integers from -32768 to 32767";
    case Datatype::kInt32:
      return "32-bit integers";
    case Datatype::kInt64:
      return "64-bit integers";
    case Datatype::kFp16:
    case Datatype::kFp32:
    case Datatype::kFp64:
      return "numbers within the range of " + std::string(registry::DatatypeName(datatype)) +
             " (null for a missing one)";
    case Datatype::kBytes:
      return "texts (null for a missing one)";
  }
  return "";
}

// Fills `out` with the elements of nested or flat lists, and checks their counts against the shape.
template <typename T>
class Filler {
 public:
  Filler(const TensorSpec& spec, const std::vector<std::int64_t>& shape, T* out)
      : spec_(spec), shape_(shape), counts_(shape.size() + 1, 1), out_(out) {
    for (size_t i = shape.size(); i-- > 0;) counts_[i] = counts_[i + 1] * shape[i];
  }

  // `values` stands for the dimensions from `dimension` on, either one by one or flattened.
  Status Fill(const array& values, size_t dimension) {
    auto first = values.begin();
    const bool nested = first != values.end() && (*first).is_array();
    const std::int64_t expected = nested ? shape_[dimension] : counts_[dimension];
    std::int64_t count = 0;
    for (element value : values) {
      if (++count > expected) break;
      RATCHET_TRY(nested ? Deeper(value, dimension) : One(value));
    }
    if (count != expected) {
      return Refuse(About(spec_) + " has data that does not match its shape " + ShapeText(shape_) +
                    ": expected a list of " + std::to_string(expected) + ", got " +
                    (count > expected ? "more" : std::to_string(count)));
    }
    return {};
  }

 private:
  Status Deeper(const element& value, size_t dimension) {
    array inner;
    if (dimension + 1 >= shape_.size() || value.get_array().get(inner) != simdjson::SUCCESS) {
      return Refuse(About(spec_) + " has data nested otherwise than its shape " + ShapeText(shape_));
    }
    return Fill(inner, dimension + 1);
  }
  bool Fits(const T& value) const {
    if constexpr (std::is_same_v<T, float>) {
      return spec_.datatype != Datatype::kFp16 || !(std::abs(value) > 65504.0f);
    }
    return true;
  }
  Status One(const element& value) {
    if (ReadValue(value, *out_) && Fits(*out_)) {
      ++out_;
      return {};
    }
    return Refuse(About(spec_) + " has a value " + Quoted(simdjson::minify(value).substr(0, 40)) + ", expected " +
                  Expected(spec_.datatype));
  }

  const TensorSpec& spec_;
  const std::vector<std::int64_t>& shape_;
  std::vector<std::int64_t> counts_;  // [i] = elements below one step of dimension i - 1
  T* out_;
};

Status FillTensor(const TensorSpec& spec, const array& data, Tensor& tensor) {
  const auto fill = [&]<typename T>(T* out) { return Filler<T>(spec, tensor.shape, out).Fill(data, 0); };
  switch (spec.datatype) {
    case Datatype::kBool:
      return fill(tensor.As<bool>());
    case Datatype::kUint8:
      return fill(tensor.As<std::uint8_t>());
    case Datatype::kInt8:
      return fill(tensor.As<std::int8_t>());
    case Datatype::kInt16:
      return fill(tensor.As<std::int16_t>());
    case Datatype::kInt32:
      return fill(tensor.As<std::int32_t>());
    case Datatype::kInt64:
      return fill(tensor.As<std::int64_t>());
    case Datatype::kFp16:
    case Datatype::kFp32:
      return fill(tensor.As<float>());
    case Datatype::kFp64:
      return fill(tensor.As<double>());
    case Datatype::kBytes:
      return fill(tensor.texts.data());
  }
  return {};
}

Result<std::vector<std::int64_t>> ReadShape(const object& input, const TensorSpec& spec) {
  array list;
  if (input["shape"].get_array().get(list) != simdjson::SUCCESS) {
    return Refuse(About(spec) + " needs a \"shape\": a list of integers, expected " + ShapeText(spec.shape));
  }
  std::vector<std::int64_t> shape;
  for (element value : list) {
    std::int64_t size = 0;
    if (value.get_int64().get(size) != simdjson::SUCCESS || shape.size() >= registry::kMaxDimensions) size = -1;
    shape.push_back(size);
    if (size < 0) break;
  }
  if (!ShapeFits(shape, spec) || ElementCount(shape) < 0) {
    return Refuse(About(spec) + " has shape " + ShapeText(shape) + ", expected " + ShapeText(spec.shape) +
                  " (-1 = any size from 1)");
  }
  return shape;
}

Status CheckDatatype(const object& input, const TensorSpec& spec) {
  const std::string expected(registry::DatatypeName(spec.datatype));
  std::string_view datatype;
  if (input["datatype"].get_string().get(datatype) != simdjson::SUCCESS) {
    return Refuse(About(spec) + " needs a \"datatype\", expected " + expected);
  }
  if (datatype != expected) {
    return Refuse(About(spec) + " has datatype " + Quoted(datatype) + ", expected " + expected);
  }
  return {};
}

// `body_bytes` bounds what is allocated: every element costs at least two bytes of JSON.
Result<Tensor> ReadTensor(const object& input, const TensorSpec& spec, size_t body_bytes) {
  RATCHET_TRY(CheckDatatype(input, spec));
  Tensor tensor{.name = spec.name, .datatype = spec.datatype};
  RATCHET_ASSIGN(tensor.shape, ReadShape(input, spec));
  array data;
  if (input["data"].get_array().get(data) != simdjson::SUCCESS) {
    element parameter;
    if (input.at_pointer("/parameters/binary_data_size").get(parameter) == simdjson::SUCCESS) {
      return Refuse(About(spec) + " comes as binary data, which is not supported: send \"data\" as JSON");
    }
    return Refuse(About(spec) + " needs \"data\": a list of " + Expected(spec.datatype));
  }
  const size_t count = static_cast<size_t>(ElementCount(tensor.shape));
  if (count > body_bytes / 2 + 1 || (spec.datatype == Datatype::kBytes && count > data.size())) {
    return Refuse(About(spec) + " has fewer data than its shape " + ShapeText(tensor.shape) + " says");
  }
  if (spec.datatype == Datatype::kBytes)
    tensor.texts.resize(count);
  else
    tensor.data.resize(count * ElementBytes(spec.datatype));
  RATCHET_TRY(FillTensor(spec, data, tensor));
  return tensor;
}

Result<std::vector<Tensor>> ReadInputs(const object& root, const Signature& signature, size_t body_bytes) {
  array list;
  if (root["inputs"].get_array().get(list) != simdjson::SUCCESS) {
    return Refuse("the request needs \"inputs\": a list of tensors, expected " + Names(signature.inputs));
  }
  std::vector<std::optional<Tensor>> found(signature.inputs.size());
  for (element entry : list) {
    object input;
    std::string_view name;
    if (entry.get_object().get(input) != simdjson::SUCCESS ||
        input["name"].get_string().get(name) != simdjson::SUCCESS) {
      return Refuse("every entry of \"inputs\" must be an object with a \"name\"");
    }
    auto spec = std::find_if(signature.inputs.begin(), signature.inputs.end(),
                             [&](const TensorSpec& known) { return known.name == name; });
    if (spec == signature.inputs.end()) {
      return Refuse("input " + Quoted(name) + " is unknown, expected " + Names(signature.inputs));
    }
    auto& place = found[static_cast<size_t>(spec - signature.inputs.begin())];
    if (place) return Refuse(About(*spec) + " is given twice");
    RATCHET_ASSIGN(place, ReadTensor(input, *spec, body_bytes));
  }
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < found.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    if (!found[i]) {
      return Refuse(About(spec) + " is missing, expected " + std::string(registry::DatatypeName(spec.datatype)) + " " +
                    ShapeText(spec.shape));
    }
    if (const std::int64_t rows = i ? inputs[0].Rows() : found[i]->Rows(); found[i]->Rows() != rows) {
      return Refuse(About(spec) + " has " + std::to_string(found[i]->Rows()) + " rows, expected " +
                    std::to_string(rows) + " as " + About(signature.inputs[0]) + " has");
    }
    inputs.push_back(std::move(*found[i]));
  }
  return inputs;
}

Result<std::vector<std::string>> ReadWanted(const object& root, const Signature& signature) {
  std::vector<std::string> wanted;
  element outputs;
  if (root["outputs"].get(outputs) != simdjson::SUCCESS || outputs.is_null()) return wanted;
  array list;
  if (outputs.get_array().get(list) != simdjson::SUCCESS) return Refuse("\"outputs\" must be a list");
  const std::vector<TensorSpec> known = AnswerSpecs(signature);
  for (element entry : list) {
    std::string_view name;
    if (entry["name"].get_string().get(name) != simdjson::SUCCESS) {
      return Refuse("every entry of \"outputs\" must be an object with a \"name\"");
    }
    if (std::none_of(known.begin(), known.end(), [&](const TensorSpec& spec) { return spec.name == name; })) {
      return Refuse("output " + Quoted(name) + " is unknown, expected " + Names(known));
    }
    if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) {
      return Refuse("output " + Quoted(name) + " is asked for twice");
    }
    wanted.emplace_back(name);
  }
  return wanted;
}

Result<std::string> ReadId(const object& root) {
  element id;
  if (root["id"].get(id) != simdjson::SUCCESS || id.is_null()) return std::string();
  std::string_view text;
  if (id.get_string().get(text) != simdjson::SUCCESS || text.size() > kMaxIdBytes) {
    return Refuse("\"id\" must be a text of at most 256 bytes");
  }
  return std::string(text);
}

// A key that users know the case by, to send its outcome under later: a text or a whole number.
Result<std::string> ReadKey(const object& root) {
  element key;
  if (root.at_pointer("/parameters/key").get(key) != simdjson::SUCCESS || key.is_null()) return std::string();
  std::int64_t number = 0;
  if (key.get_int64().get(number) == simdjson::SUCCESS) return std::to_string(number);
  std::string_view text;
  if (key.get_string().get(text) != simdjson::SUCCESS || text.empty() || text.size() > kMaxIdBytes) {
    return Refuse("the parameter \"key\" must be a text of 1 to 256 bytes or a whole number");
  }
  return std::string(text);
}

// How long the client waits for its answer, µs, as Triton has it: a whole number.
Result<std::int64_t> ReadTimeout(const object& root) {
  element timeout;
  if (root.at_pointer("/parameters/timeout").get(timeout) != simdjson::SUCCESS || timeout.is_null()) return 0;
  std::int64_t us = 0;
  if (timeout.get_int64().get(us) == simdjson::SUCCESS && us >= 0) return us;
  return Refuse("the parameter \"timeout\" must be a whole number of microseconds from 0");
}

// A parser keeps its buffers for the next request of its thread, unless the body was large.
simdjson::dom::parser& ThreadParser() {
  thread_local simdjson::dom::parser parser;
  return parser;
}

}  // namespace

Result<InferRequest> ParseInfer(std::string_view body, const Signature& signature) {
  constexpr size_t kLargeBody = 1u << 20;
  std::unique_ptr<simdjson::dom::parser> own;
  if (body.size() > kLargeBody) own = std::make_unique<simdjson::dom::parser>();
  simdjson::dom::parser& parser = own ? *own : ThreadParser();
  element document;
  if (auto error = parser.parse(body.data(), body.size()).get(document); error != simdjson::SUCCESS) {
    return Refuse(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
  }
  object root;
  if (document.get_object().get(root) != simdjson::SUCCESS) return Refuse("the body must be a JSON object");
  InferRequest request;
  RATCHET_ASSIGN(request.id, ReadId(root));
  RATCHET_ASSIGN(request.key, ReadKey(root));
  RATCHET_ASSIGN(request.timeout_us, ReadTimeout(root));
  RATCHET_ASSIGN(request.inputs, ReadInputs(root, signature, body.size()));
  RATCHET_ASSIGN(request.wanted_outputs, ReadWanted(root, signature));
  return request;
}

}  // namespace ratchet::serving::v2
