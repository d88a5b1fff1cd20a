#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "serving/tensor.h"

// JSON values into a tensor's memory. A null stands for a missing value: NaN in FP tensors, the
// empty text in BYTES. Errors are kInvalid and name the input and what was expected. Pure; any thread.
namespace ratchet::serving {

std::string AboutInput(const TensorSpec& spec);  // "input 'x'"
std::string ExpectedValues(Datatype datatype);   // "integers from 0 to 255"

// Makes room for the tensor's shape. Refused where a JSON body of so many bytes cannot hold that many elements, so that
// a small body never makes a large tensor.
Status MakeRoom(const TensorSpec& spec, size_t body_bytes, Tensor& tensor);

// All elements, flat or nested as the shape is. The tensor has its room, and its texts are empty.
Status FillTensor(simdjson::ondemand::array& data, const TensorSpec& spec, Tensor& tensor);

// The next row, `row`, of a tensor with room, as a value of the shape without its first dimension: a number or text
// where that has none or is [1]. Rows of texts are given in order.
Status FillRow(simdjson::ondemand::value& value, const TensorSpec& spec, std::int64_t row, Tensor& tensor);

}  // namespace ratchet::serving
