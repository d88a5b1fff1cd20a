#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

namespace ratchet::vision {

struct NetworkShape {
  std::int64_t channels = 1, height = 28, width = 28;  // of the image, pixels
  std::int64_t classes = 10;
  std::int64_t filters = 24;  // of the first convolution; doubled twice
};

// The smallest side of an image that the network takes, in pixels.
inline constexpr std::int64_t kMinSide = 8;

// A convolutional network as TorchScript: blocks of convolution, max pooling, batch normalisation (Ioffe & Szegedy
// 2015) and ReLU until the map is about 4 x 4, then one linear layer. Weights are drawn from LibTorch's generator.
//   forward(image: uint8 [rows, channels, height, width]) -> float32 [rows, classes], probabilities
//   logits(image) -> float32 [rows, classes], for training
// `mean` and `deviation` (float32 [channels], of the bytes) become buffers: normalisation is part of the model.
torch::jit::Module MakeNetwork(const NetworkShape& shape, const torch::Tensor& mean, const torch::Tensor& deviation);

}  // namespace ratchet::vision
