#include "serving/tensor_fill.h"

#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

#include "base/names.h"
#include "serving/json_body.h"

namespace ratchet::serving {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::dom::array;
using simdjson::dom::element;

constexpr float kLargestHalf = 65504.0f;
constexpr size_t kMostShownBytes = 40;  // of a wrong value, in a message

// Values by the hundreds are read through the library's tree, whose code is chosen for the processor at run time; what it
// has on demand is compiled into us, for any processor, and takes several times as long (bench/parse_body.cc). The text lies
// in a JsonBody, with its padding behind it.
class Tree {
 public:
  // The root lives as long as the tree, and until the next one of this thread.
  Result<element> Parse(std::string_view text) {
    thread_local simdjson::dom::parser of_thread;
    if (text.size() > kLargeTextBytes) own_ = std::make_unique<simdjson::dom::parser>();  // its memory shall not stay
    element root;
    if (auto error = (own_ ? *own_ : of_thread).parse(text.data(), text.size(), false).get(root)) return NotJson(error);
    return root;
  }

 private:
  static constexpr size_t kLargeTextBytes = 1u << 20;
  std::unique_ptr<simdjson::dom::parser> own_;
};

bool ReadBool(const element& value, bool& out) {
  std::int64_t number;
  if (value.get_bool().get(out) == simdjson::SUCCESS) return true;
  if (value.get_int64().get(number) != simdjson::SUCCESS || (number != 0 && number != 1)) return false;
  out = number == 1;
  return true;
}

template <typename T>
bool ReadFloating(const element& value, T& out) {
  double number;
  if (value.get_double().get(number) != simdjson::SUCCESS) [[unlikely]] {
    out = std::numeric_limits<T>::quiet_NaN();
    return value.is_null();
  }
  out = static_cast<T>(number);
  return out - out == 0;  // a number beyond the type's range became infinite
}

template <typename T>
bool ReadInteger(const element& value, T& out) {
  std::int64_t number;
  if (value.get_int64().get(number) != simdjson::SUCCESS) return false;
  out = static_cast<T>(number);
  return static_cast<std::int64_t>(out) == number;
}

bool ReadText(const element& value, std::string& out) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return value.is_null();
  out = text;
  return true;
}

// One JSON value as one element of a tensor; false when it is of another type or out of range.
template <typename T>
bool ReadValue(const element& value, T& out) {
  if constexpr (std::is_same_v<T, bool>)
    return ReadBool(value, out);
  else if constexpr (std::is_floating_point_v<T>)
    return ReadFloating(value, out);
  else if constexpr (std::is_same_v<T, std::string>)
    return ReadText(value, out);
  else
    return ReadInteger(value, out);
}

// Fills memory with the elements of nested or flat lists, and checks their counts against the shape.
template <typename T>
class Filler {
 public:
  // Numbers go to `out` on; texts are appended to the tensor's.
  Filler(const TensorSpec& spec, std::span<const std::int64_t> shape, Tensor& tensor, T* out)
      : spec_(spec), shape_(shape), tensor_(tensor), out_(out) {
    counts_[shape.size()] = 1;
    for (size_t i = shape.size(); i-- > 0;) counts_[i] = counts_[i + 1] * shape[i];
  }

  // `values` stands for the dimensions from `dimension` on, either one by one or flattened.
  Status Fill(const array& values, size_t dimension) {
    auto first = values.begin();
    const bool nested = first != values.end() && (*first).is_array();
    const std::int64_t expected = nested && dimension < shape_.size() ? shape_[dimension] : counts_[dimension];
    std::int64_t count = 0;
    for (const element value : values) {
      if (++count > expected) break;
      if (nested) {
        RATCHET_TRY(Deeper(value, dimension));
      } else if (!Take(value)) [[unlikely]] {
        return Wrong(value);
      }
    }
    if (count != expected) return Miscounted(count, expected);
    return {};
  }

  Status One(const element& value) {
    if (!Take(value)) return Wrong(value);
    return {};
  }

 private:
  bool Take(const element& value) {
    T element{};
    if (!ReadValue(value, element) || !Fits(element)) return false;
    if constexpr (std::is_same_v<T, std::string>)
      tensor_.texts.push_back(std::move(element));
    else
      *out_++ = element;
    return true;
  }
  std::unexpected<Error> Wrong(const element& value) const {
    return Refuse(AboutInput(spec_) + " has a value " + Quoted(simdjson::minify(value).substr(0, kMostShownBytes)) + ", expected " + ExpectedValues(spec_.datatype));
  }
  Status Deeper(const element& value, size_t dimension) {
    array inner;
    if (dimension + 1 >= shape_.size() || value.get_array().get(inner) != simdjson::SUCCESS) {
      return Refuse(AboutInput(spec_) + " has data nested otherwise than its shape " + Shape());
    }
    return Fill(inner, dimension + 1);
  }
  std::unexpected<Error> Miscounted(std::int64_t count, std::int64_t expected) const {
    return Refuse(AboutInput(spec_) + " has data that does not match its shape " + Shape() + ": expected a list of " +
                  std::to_string(expected) + ", got " + (count > expected ? "more" : std::to_string(count)));
  }
  std::string Shape() const { return ShapeText({shape_.begin(), shape_.end()}); }
  bool Fits(const T& value) const {
    if constexpr (std::is_same_v<T, float>) return spec_.datatype != Datatype::kFp16 || !(std::abs(value) > kLargestHalf);
    return true;
  }

  const TensorSpec& spec_;
  const std::span<const std::int64_t> shape_;
  std::int64_t counts_[registry::kMaxDimensions + 1] = {};  // [i] = elements below one step of dimension i - 1
  Tensor& tensor_;
  T* out_;
};

// Calls fill(pointer to the first element) with the pointer's type as the datatype says.
template <typename Fill>
Status WithElements(Tensor& tensor, Fill&& fill) {
  switch (tensor.datatype) {
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

}  // namespace

std::string AboutInput(const TensorSpec& spec) { return "input " + Quoted(spec.name); }

std::string ExpectedValues(Datatype datatype) {
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

Status MakeRoom(const TensorSpec& spec, size_t body_bytes, Tensor& tensor) {
  constexpr size_t kLeastBytes = 2;  // of JSON an element: a digit and a comma
  const std::int64_t count = ElementCount(tensor.shape);
  if (count < 0 || static_cast<size_t>(count) > body_bytes / kLeastBytes + 1) {
    return Refuse(AboutInput(spec) + " has fewer data than its shape " + ShapeText(tensor.shape) + " says");
  }
  tensor.data.resize(static_cast<size_t>(count) * ElementBytes(spec.datatype));
  return {};
}

Status FillTensor(ondemand::array& data, const TensorSpec& spec, Tensor& tensor) {
  std::string_view text;
  array values;
  if (auto error = data.raw_json().get(text)) return NotJson(error);
  Tree tree;
  RATCHET_ASSIGN(const element root, tree.Parse(text));
  if (auto error = root.get_array().get(values)) return NotJson(error);
  return WithElements(tensor, [&]<typename T>(T* out) { return Filler<T>(spec, tensor.shape, tensor, out).Fill(values, 0); });
}

Status FillRow(ondemand::value& value, const TensorSpec& spec, std::int64_t row, Tensor& tensor) {
  const std::span<const std::int64_t> shape = std::span<const std::int64_t>(tensor.shape).subspan(1);
  const std::int64_t count = ElementCount({shape.begin(), shape.end()});
  std::string_view text = value.raw_json_token();
  if (ondemand::array list; text.starts_with('[')) {
    if (auto error = value.get_array().get(list)) return NotJson(error);
    if (auto error = list.raw_json().get(text)) return NotJson(error);
  } else if (text.starts_with('{')) {
    return Refuse(AboutInput(spec) + " has a value " + Quoted(Shown(value)) + ", expected " + ExpectedValues(spec.datatype));
  }
  Tree tree;
  RATCHET_ASSIGN(const element root, tree.Parse(text));
  return WithElements(tensor, [&]<typename T>(T* out) -> Status {
    Filler<T> filler(spec, shape, tensor, std::is_same_v<T, std::string> ? out : out + row * count);
    if (array values; root.get_array().get(values) == simdjson::SUCCESS) return filler.Fill(values, 0);
    if (count == 1) return filler.One(root);
    return Refuse(AboutInput(spec) + " has a single value, expected a list of shape " + ShapeText({shape.begin(), shape.end()}));
  });
}

}  // namespace ratchet::serving
