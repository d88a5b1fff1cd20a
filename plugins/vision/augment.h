#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace ratchet::vision {

struct AugmentOptions {
  bool flip = true;        // mirror half of the images left to right
  std::int64_t shift = 0;  // pixels: at most so far up, down, left or right; the edge is repeated
};

// Changed copies of a batch (uint8 [rows, channels, height, width]), drawn from LibTorch's CPU generator: a few tensor
// operations for the whole batch, wherever it lies.
torch::Tensor Augment(const torch::Tensor& images, const AugmentOptions& options);

}  // namespace ratchet::vision
