#include "serving/tensor_json.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace ratchet::serving {
namespace {

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

// The elements below one step of the dimensions from `dimension` on, nested; gives the number of elements.
size_t AppendNested(const Tensor& tensor, size_t dimension, size_t first, std::string& text) {
  if (dimension == tensor.shape.size()) {
    AppendElements(tensor, first, 1, text);
    return 1;
  }
  const auto size = static_cast<size_t>(tensor.shape[dimension]);
  text += '[';
  size_t done = 0;
  if (dimension + 1 == tensor.shape.size()) {
    AppendElements(tensor, first, size, text);
    done = size;
  }
  for (size_t i = 0; done == 0 && i < size; ++i) {
    if (i) text += ',';
    first += AppendNested(tensor, dimension + 1, first, text);
  }
  text += ']';
  return static_cast<size_t>(ElementCount({tensor.shape.begin() + static_cast<std::ptrdiff_t>(dimension), tensor.shape.end()}));
}

}  // namespace

std::string JsonText(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void AppendElements(const Tensor& tensor, size_t first, size_t count, std::string& text) {
  switch (tensor.datatype) {
    case Datatype::kBool:
      for (size_t i = 0; i < count; ++i) {
        text += i ? "," : "";
        text += tensor.As<bool>()[first + i] ? "true" : "false";
      }
      return;
    case Datatype::kUint8:
      return AppendNumbers(tensor.As<std::uint8_t>() + first, count, text);
    case Datatype::kInt8:
      return AppendNumbers(tensor.As<std::int8_t>() + first, count, text);
    case Datatype::kInt16:
      return AppendNumbers(tensor.As<std::int16_t>() + first, count, text);
    case Datatype::kInt32:
      return AppendNumbers(tensor.As<std::int32_t>() + first, count, text);
    case Datatype::kInt64:
      return AppendNumbers(tensor.As<std::int64_t>() + first, count, text);
    case Datatype::kFp16:
    case Datatype::kFp32:
      return AppendNumbers(tensor.As<float>() + first, count, text);
    case Datatype::kFp64:
      return AppendNumbers(tensor.As<double>() + first, count, text);
    case Datatype::kBytes:
      for (size_t i = 0; i < count; ++i) text += (i ? "," : "") + JsonText(tensor.texts[first + i]);
      return;
  }
}

void AppendRow(const Tensor& tensor, std::int64_t row, std::string& text) {
  const std::int64_t elements = ElementCount({tensor.shape.begin() + 1, tensor.shape.end()});
  AppendNested(tensor, 1, static_cast<size_t>(row * elements), text);
}

}  // namespace ratchet::serving
