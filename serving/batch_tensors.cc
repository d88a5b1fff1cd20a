#include "serving/batch_tensors.h"

#include <algorithm>

namespace ratchet::serving {
namespace {

bool SameButRows(const Tensor& a, const Tensor& b) {
  return a.datatype == b.datatype && a.shape.size() == b.shape.size() && !a.shape.empty() &&
         std::equal(a.shape.begin() + 1, a.shape.end(), b.shape.begin() + 1);
}

Tensor JoinInput(std::span<const std::vector<Tensor>* const> parts, size_t input) {
  const Tensor& first = (*parts.front())[input];
  Tensor joined{.name = first.name, .datatype = first.datatype, .shape = first.shape};
  joined.shape[0] = 0;
  size_t bytes = 0;
  for (const auto* part : parts) {
    joined.shape[0] += (*part)[input].Rows();
    bytes += (*part)[input].data.size();
  }
  joined.data.reserve(bytes);
  for (const auto* part : parts) {
    const Tensor& tensor = (*part)[input];
    joined.data.insert(joined.data.end(), tensor.data.begin(), tensor.data.end());
    joined.texts.insert(joined.texts.end(), tensor.texts.begin(), tensor.texts.end());
  }
  return joined;
}

// Elements below one row of the tensor.
size_t PerRow(const Tensor& tensor, size_t elements) {
  return tensor.Rows() > 0 ? elements / static_cast<size_t>(tensor.Rows()) : 0;
}

Tensor Rows(const Tensor& whole, std::int64_t from, std::int64_t count) {
  Tensor part{.name = whole.name, .datatype = whole.datatype, .shape = whole.shape};
  part.shape[0] = count;
  const auto slice = [&](const auto& elements, auto& into) {
    const auto per_row = static_cast<std::ptrdiff_t>(PerRow(whole, elements.size()));
    into.assign(elements.begin() + from * per_row, elements.begin() + (from + count) * per_row);
  };
  slice(whole.data, part.data);
  slice(whole.texts, part.texts);
  return part;
}

}  // namespace

bool Joinable(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, SameButRows);
}

std::vector<Tensor> JoinRows(std::span<const std::vector<Tensor>* const> parts) {
  std::vector<Tensor> joined;
  for (size_t input = 0; input < parts.front()->size(); ++input) joined.push_back(JoinInput(parts, input));
  return joined;
}

std::vector<std::vector<Tensor>> SplitRows(const std::vector<Tensor>& whole, std::span<const std::int64_t> rows) {
  std::vector<std::vector<Tensor>> parts;
  std::int64_t from = 0;
  for (std::int64_t count : rows) {
    std::vector<Tensor>& part = parts.emplace_back();
    for (const Tensor& tensor : whole) part.push_back(Rows(tensor, from, count));
    from += count;
  }
  return parts;
}

}  // namespace ratchet::serving
