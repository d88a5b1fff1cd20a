#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serving/tensor.h"

// Tensors as bytes, the binary-data extension of the Open Inference Protocol: row-major, little-endian, nothing between
// elements; BOOL one byte, 0 or 1; FP16 two bytes; an element of BYTES its length in four bytes and then its bytes.
// Pure; any thread. The machine's own byte order is little-endian too.
namespace ratchet::serving {

inline constexpr char kBinaryHeader[] = "inference-header-content-length";  // how many bytes of a body are JSON

// Reads `bytes` as the tensor of this shape. kInvalid names the input and what was expected.
Result<Tensor> TensorFromBytes(const TensorSpec& spec, std::vector<std::int64_t> shape, std::string_view bytes);

// The whole body as the one input of a model: its shape follows from the size. Where the spec leaves a size open beside
// the rows, it is one row, and the size tells that one; a text is one row without its length before it. kInvalid when
// the model has other than one input, or more sizes are open than can be told.
Result<Tensor> TensorFromRawBody(const Signature& signature, std::string_view bytes);

size_t BinaryBytes(const Tensor& tensor);
void AppendBinary(const Tensor& tensor, std::string& bytes);

}  // namespace ratchet::serving
