#include "serving/tensor.h"

namespace ratchet::serving {

size_t ElementBytes(Datatype datatype) {
  switch (datatype) {
    case Datatype::kBool:
    case Datatype::kUint8:
    case Datatype::kInt8:
      return 1;
    case Datatype::kInt16:
      return 2;
    case Datatype::kInt32:
    case Datatype::kFp16:
    case Datatype::kFp32:
      return 4;
    case Datatype::kInt64:
    case Datatype::kFp64:
      return 8;
    case Datatype::kBytes:
      return 0;
  }
  return 0;
}

std::int64_t ElementCount(const std::vector<std::int64_t>& shape) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  std::int64_t count = 1;
  for (std::int64_t size : shape) {
    if (size < 0 || (size > 0 && count > kMost / size)) return -1;
    count *= size;
  }
  return count;
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

bool ShapeFits(const std::vector<std::int64_t>& shape, const TensorSpec& spec) {
  if (shape.size() != spec.shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (spec.shape[i] == -1 ? shape[i] < 1 : shape[i] != spec.shape[i]) return false;
  }
  return true;
}

}  // namespace ratchet::serving
