#pragma once

#include <string>
#include <string_view>

#include "serving/tensor.h"

// A tensor's values as JSON. NaN and infinities, which JSON has no words for, become null; numbers are the shortest text
// that reads back to the same value. Pure; any thread.
namespace ratchet::serving {

std::string JsonText(std::string_view text);  // quoted and escaped; what is no UTF-8 is replaced

// Elements first, first + 1, … as a list's inside: `1,2,3`.
void AppendElements(const Tensor& tensor, size_t first, size_t count, std::string& text);

// One row, nested as the shape is: `5`, `[1,2]`, `[[1,2],[3,4]]`.
void AppendRow(const Tensor& tensor, std::int64_t row, std::string& text);

}  // namespace ratchet::serving
