#include "serving/tensor_fill.h"

#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "base/names.h"
#include "serving/json_body.h"

namespace ratchet::serving {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr float kLargestHalf = 65504.0f;

bool ReadBool(ondemand::value& value, bool& out) {
  std::int64_t number;
  if (value.get_bool().get(out) == simdjson::SUCCESS) return true;
  if (value.get_int64().get(number) != simdjson::SUCCESS || (number != 0 && number != 1)) return false;
  out = number == 1;
  return true;
}

template <typename T>
bool ReadFloating(ondemand::value& value, T& out) {
  double number;
  if (value.get_double().get(number) != simdjson::SUCCESS) [[unlikely]] {
    out = std::numeric_limits<T>::quiet_NaN();
    return IsNull(value);
  }
  out = static_cast<T>(number);
  return out - out == 0;  // a number beyond the type's range became infinite
}

template <typename T>
bool ReadInteger(ondemand::value& value, T& out) {
  std::int64_t number;
  if (value.get_int64().get(number) != simdjson::SUCCESS) return false;
  out = static_cast<T>(number);
  return static_cast<std::int64_t>(out) == number;
}

bool ReadText(ondemand::value& value, std::string& out) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return IsNull(value);
  out = text;
  return true;
}

// One JSON value as one element of a tensor; false when it is of another type or out of range.
template <typename T>
bool ReadValue(ondemand::value& value, T& out) {
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
  Status Fill(ondemand::array& values, size_t dimension) {
    bool nested = false;
    std::int64_t expected = counts_[dimension], count = 0;
    for (auto entry : values) {
      ondemand::value value;
      if (auto error = std::move(entry).get(value)) return NotJson(error);
      if (count == 0) {
        ondemand::json_type type;
        if (auto error = value.type().get(type)) return NotJson(error);
        nested = type == ondemand::json_type::array;
        if (nested && dimension < shape_.size()) expected = shape_[dimension];
      }
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

  Status One(ondemand::value& value) {
    if (!Take(value)) return Wrong(value);
    return {};
  }

 private:
  bool Take(ondemand::value& value) {
    T element{};
    if (!ReadValue(value, element) || !Fits(element)) return false;
    if constexpr (std::is_same_v<T, std::string>)
      tensor_.texts.push_back(std::move(element));
    else
      *out_++ = element;
    return true;
  }
  std::unexpected<Error> Wrong(ondemand::value& value) const {
    return Refuse(AboutInput(spec_) + " has a value " + Quoted(Shown(value)) + ", expected " + ExpectedValues(spec_.datatype));
  }
  Status Deeper(ondemand::value& value, size_t dimension) {
    ondemand::array inner;
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
  return WithElements(tensor, [&]<typename T>(T* out) { return Filler<T>(spec, tensor.shape, tensor, out).Fill(data, 0); });
}

Status FillRow(ondemand::value& value, const TensorSpec& spec, std::int64_t row, Tensor& tensor) {
  const std::span<const std::int64_t> shape = std::span<const std::int64_t>(tensor.shape).subspan(1);
  const std::int64_t count = ElementCount({shape.begin(), shape.end()});
  return WithElements(tensor, [&]<typename T>(T* out) -> Status {
    Filler<T> filler(spec, shape, tensor, std::is_same_v<T, std::string> ? out : out + row * count);
    ondemand::json_type type;
    if (auto error = value.type().get(type)) return NotJson(error);
    if (type != ondemand::json_type::array) {
      if (count != 1) {
        return Refuse(AboutInput(spec) + " has a single value, expected a list of shape " + ShapeText({shape.begin(), shape.end()}));
      }
      return filler.One(value);
    }
    ondemand::array data;
    if (auto error = value.get_array().get(data)) return NotJson(error);
    return filler.Fill(data, 0);
  });
}

}  // namespace ratchet::serving
