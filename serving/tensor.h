#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "registry/bundle_manifest.h"

namespace ratchet::serving {

using registry::Datatype;
using registry::Signature;
using registry::TensorSpec;

// Values on their way between the wire and a model. Row-major.
struct Tensor {
  std::string name;
  Datatype datatype = Datatype::kFp32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;     // all but BYTES: ElementBytes(datatype) each, in the machine's byte order
  std::vector<std::string> texts;  // BYTES only

  std::int64_t Rows() const { return shape.empty() ? 0 : shape[0]; }
  template <typename T>
  const T* As() const {
    return reinterpret_cast<const T*>(data.data());
  }
  template <typename T>
  T* As() {
    return reinterpret_cast<T*>(data.data());
  }
};

// Size of one element in Tensor::data. FP16 travels as a 4-byte float and is narrowed by whoever runs the model;
// BYTES has none (0).
size_t ElementBytes(Datatype datatype);

// Product of the sizes, or -1 when one is negative or the product is beyond 2^40.
std::int64_t ElementCount(const std::vector<std::int64_t>& shape);

// "[2,1,28,28]"
std::string ShapeText(const std::vector<std::int64_t>& shape);

// True where the shape has the rank of the spec and its sizes, -1 in the spec standing for any size of 1 or more.
bool ShapeFits(const std::vector<std::int64_t>& shape, const TensorSpec& spec);

}  // namespace ratchet::serving
