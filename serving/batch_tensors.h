#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "serving/tensor.h"

// Several requests' tensors as those of one call of the model, and back. Pure functions; any thread.
namespace ratchet::serving {

// Whether the inputs of two requests can stand below each other: the same datatypes and, but for the rows, shapes.
bool Joinable(const std::vector<Tensor>& a, const std::vector<Tensor>& b);

// The rows of all parts, in their order; the parts are Joinable and at least one.
std::vector<Tensor> JoinRows(std::span<const std::vector<Tensor>* const> parts);

// The tensors cut into parts of so many rows each; the sum of `rows` is the tensors' rows.
std::vector<std::vector<Tensor>> SplitRows(const std::vector<Tensor>& whole, std::span<const std::int64_t> rows);

}  // namespace ratchet::serving
