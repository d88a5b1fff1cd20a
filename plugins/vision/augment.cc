#include "plugins/vision/augment.h"

namespace ratchet::vision {
namespace {

using torch::indexing::None;
using torch::indexing::Slice;

// [rows, size] source positions along one axis, shifted by up to `shift` and mirrored where `mirrored` (bool [rows,
// 1]).
torch::Tensor Positions(std::int64_t rows, std::int64_t size, std::int64_t shift, const torch::Tensor& mirrored) {
  torch::Tensor at = torch::arange(size, torch::kInt64).unsqueeze(0);
  if (mirrored.defined()) at = torch::where(mirrored, size - 1 - at, at);
  if (shift > 0) at = (at + torch::randint(-shift, shift + 1, {rows, 1}, torch::kInt64)).clamp(0, size - 1);
  return at.expand({rows, size});
}

}  // namespace

torch::Tensor Augment(const torch::Tensor& images, const AugmentOptions& options) {
  if (!options.flip && options.shift == 0) return images;
  const auto rows = images.size(0), height = images.size(2), width = images.size(3);
  const torch::Tensor mirrored = options.flip ? torch::rand({rows, 1}) < 0.5 : torch::Tensor();
  if (options.shift == 0)
    return torch::where(mirrored.to(images.device()).view({rows, 1, 1, 1}), images.flip({3}), images);
  const torch::Tensor xs = Positions(rows, width, options.shift, mirrored).to(images.device());
  const torch::Tensor ys = Positions(rows, height, options.shift, {}).to(images.device());
  const torch::Tensor row = torch::arange(rows, images.options().dtype(torch::kInt64));
  // Advanced indices around a slice come first in the result: [rows, height, width, channels], just what channels-last
  // is.
  return images
      .index({row.index({Slice(), None, None}), Slice(), ys.index({Slice(), Slice(), None}),
              xs.index({Slice(), None, Slice()})})
      .permute({0, 3, 1, 2});
}

}  // namespace ratchet::vision
