#include "serving/binary_tensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "serving/json_body.h"
#include "serving/tensor_fill.h"

namespace ratchet::serving {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kLengthBytes = sizeof(std::uint32_t);

// Bytes of one element on the wire; 0 for BYTES, whose elements differ.
size_t WireBytes(Datatype datatype) { return datatype == Datatype::kFp16 ? sizeof(_Float16) : ElementBytes(datatype); }

std::unexpected<Error> WrongSize(const TensorSpec& spec, const std::vector<std::int64_t>& shape, size_t bytes, size_t expected) {
  return Refuse(AboutInput(spec) + " has " + std::to_string(bytes) + " bytes of binary data, expected " +
                std::to_string(expected) + " for " + std::string(registry::DatatypeName(spec.datatype)) + " " + ShapeText(shape));
}

Status TakeTexts(const TensorSpec& spec, std::int64_t count, std::string_view bytes, Tensor& tensor) {
  tensor.texts.reserve(std::min(static_cast<size_t>(count), bytes.size() / kLengthBytes));
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t length = 0;
    if (bytes.size() >= kLengthBytes) std::memcpy(&length, bytes.data(), kLengthBytes);
    if (bytes.size() < kLengthBytes || bytes.size() - kLengthBytes < length) {
      return Refuse(AboutInput(spec) + " has binary data that ends within element " + std::to_string(i) + " of " +
                    std::to_string(count) + ", expected a length of 4 bytes and as many bytes for each");
    }
    tensor.texts.emplace_back(bytes.substr(kLengthBytes, length));
    bytes.remove_prefix(kLengthBytes + length);
  }
  if (bytes.empty()) return {};
  return Refuse(AboutInput(spec) + " has " + std::to_string(bytes.size()) + " bytes of binary data after its last element");
}

Status TakeNumbers(const TensorSpec& spec, std::string_view bytes, Tensor& tensor) {
  const size_t count = bytes.size() / WireBytes(spec.datatype);
  tensor.data.resize(count * ElementBytes(spec.datatype));
  if (spec.datatype == Datatype::kFp16) {
    for (size_t i = 0; i < count; ++i) {
      _Float16 half;
      std::memcpy(&half, bytes.data() + i * sizeof half, sizeof half);
      tensor.As<float>()[i] = static_cast<float>(half);
    }
    return {};
  }
  if (!bytes.empty()) std::memcpy(tensor.data.data(), bytes.data(), bytes.size());
  if (spec.datatype == Datatype::kBool && std::ranges::any_of(bytes, [](char byte) { return byte != 0 && byte != 1; })) {
    return Refuse(AboutInput(spec) + " has a byte other than 0 and 1, expected those for BOOL");
  }
  return {};
}

Result<std::vector<std::int64_t>> ShapeOfRawBody(const TensorSpec& spec, size_t bytes) {
  std::vector<std::int64_t> shape = spec.shape;
  shape[0] = 1;
  const auto open = std::ranges::count(shape, -1);
  if (open > 1 || (open == 1 && spec.datatype == Datatype::kBytes)) {
    return Refuse(AboutInput(spec) + " of shape " + ShapeText(spec.shape) + " cannot be told from a body without a header: " +
                  "send \"inputs\" with its shape");
  }
  auto told = open == 1 ? std::ranges::find(shape, -1) : shape.begin();
  *told = 1;
  const std::int64_t elements = ElementCount(shape);
  const size_t step = static_cast<size_t>(std::max<std::int64_t>(elements, 1)) * std::max<size_t>(WireBytes(spec.datatype), 1);
  if (spec.datatype == Datatype::kBytes) {
    if (elements == 1) return shape;
    return Refuse(AboutInput(spec) + " has rows of more than one text, which a body without a header cannot tell apart");
  }
  if (elements < 1 || bytes < step || bytes % step != 0) {
    return Refuse(AboutInput(spec) + " has " + std::to_string(bytes) + " bytes, expected a multiple of " + std::to_string(step) +
                  " for " + std::string(registry::DatatypeName(spec.datatype)) + " " + ShapeText(spec.shape));
  }
  *told = static_cast<std::int64_t>(bytes / step);
  return shape;
}

}  // namespace

Result<Tensor> TensorFromBytes(const TensorSpec& spec, std::vector<std::int64_t> shape, std::string_view bytes) {
  Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = std::move(shape)};
  const std::int64_t count = ElementCount(tensor.shape);
  if (spec.datatype == Datatype::kBytes) {
    RATCHET_TRY(TakeTexts(spec, count, bytes, tensor));
    return tensor;
  }
  const size_t expected = static_cast<size_t>(count) * WireBytes(spec.datatype);
  if (bytes.size() != expected) return WrongSize(spec, tensor.shape, bytes.size(), expected);
  RATCHET_TRY(TakeNumbers(spec, bytes, tensor));
  return tensor;
}

Result<Tensor> TensorFromRawBody(const Signature& signature, std::string_view bytes) {
  if (signature.inputs.size() != 1) {
    return Refuse("a body without a header (" + std::string(kBinaryHeader) + ": 0) is for models of one input, this one has " +
                  std::to_string(signature.inputs.size()));
  }
  const TensorSpec& spec = signature.inputs[0];
  RATCHET_ASSIGN(std::vector<std::int64_t> shape, ShapeOfRawBody(spec, bytes.size()));
  if (spec.datatype != Datatype::kBytes) return TensorFromBytes(spec, std::move(shape), bytes);
  return Tensor{.name = spec.name, .datatype = spec.datatype, .shape = std::move(shape), .texts = {std::string(bytes)}};
}

size_t BinaryBytes(const Tensor& tensor) {
  if (tensor.datatype == Datatype::kFp16) return tensor.data.size() / sizeof(float) * sizeof(_Float16);
  if (tensor.datatype != Datatype::kBytes) return tensor.data.size();
  size_t bytes = 0;
  for (const std::string& text : tensor.texts) bytes += kLengthBytes + text.size();
  return bytes;
}

void AppendBinary(const Tensor& tensor, std::string& bytes) {
  if (tensor.datatype == Datatype::kBytes) {
    for (const std::string& text : tensor.texts) {
      const auto length = static_cast<std::uint32_t>(text.size());
      bytes.append(reinterpret_cast<const char*>(&length), kLengthBytes);
      bytes += text;
    }
  } else if (tensor.datatype == Datatype::kFp16) {
    for (size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) {
      const auto half = static_cast<_Float16>(tensor.As<float>()[i]);
      bytes.append(reinterpret_cast<const char*>(&half), sizeof half);
    }
  } else {
    bytes.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  }
}

}  // namespace ratchet::serving
