#include "plugins/vision/network.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace ratchet::vision {
namespace {

constexpr std::int64_t kSmallestMap = 6;  // a map of at least this side gets one more block, which halves it
constexpr std::int64_t kLargestMap = 4;   // what the linear layer sees at most, for long and narrow images
constexpr int kMaxBlocks = 6;

// A float32 tensor as PyTorch's own layers begin: uniform within 1/sqrt(fan in).
torch::Tensor Uniform(at::IntArrayRef sizes, std::int64_t fan_in) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  return torch::empty(sizes).uniform_(-bound, bound);
}

// A kernel that says channels-last even where one input channel would leave that open: the format of the weights
// decides that of all that follows, and pooling is five times faster in this one.
torch::Tensor Kernel(std::int64_t out, std::int64_t in) {
  return torch::empty({out, in, 3, 3}, torch::kFloat32, at::MemoryFormat::ChannelsLast)
      .copy_(Uniform({out, in, 3, 3}, in * 9));
}

// Registers the weights of block i and returns its source lines.
std::string AddBlock(torch::jit::Module& net, int i, std::int64_t in, std::int64_t out) {
  const std::string conv = fmt::format("conv{}_", i), norm = fmt::format("norm{}_", i);
  net.register_parameter(conv + "weight", Kernel(out, in), false);
  net.register_parameter(norm + "scale", torch::ones({out}), false);
  net.register_parameter(norm + "shift", torch::zeros({out}), false);
  net.register_buffer(norm + "mean", torch::zeros({out}));
  net.register_buffer(norm + "variance", torch::ones({out}));
  // Pooling before normalisation leaves a quarter of the map to normalise.
  return fmt::format(
      "    x = torch.conv2d(x, self.{0}weight, None, [1, 1], [1, 1])\n"
      "    x = torch.max_pool2d(x, [2, 2])\n"
      "    x = torch.batch_norm(x, self.{1}scale, self.{1}shift, self.{1}mean, self.{1}variance, self.training, 0.1, "
      "1e-05, False)\n"
      "    x = torch.relu(x)\n",
      conv, norm);
}

}  // namespace

torch::jit::Module MakeNetwork(const NetworkShape& shape, const torch::Tensor& mean, const torch::Tensor& deviation) {
  torch::jit::Module net("VisionClassifier");
  net.register_attribute("training", c10::BoolType::get(), true);
  net.register_buffer("mean", mean.to(torch::kFloat32).reshape({1, shape.channels, 1, 1}));
  net.register_buffer("deviation", deviation.to(torch::kFloat32).reshape({1, shape.channels, 1, 1}));

  // 6 is torch.float32 and 2 torch.channels_last: TorchScript source in C++ has no names for them. A single image is
  // doubled, as LibTorch 1.13 takes a convolution ten times slower than oneDNN's for a single small one.
  std::string source =
      "def logits(self, image: Tensor) -> Tensor:\n"
      "    rows = image.size(0)\n"
      "    x = image.to(6).contiguous(memory_format=2)\n"
      "    if rows == 1:\n"
      "        x = torch.cat([x, x])\n"
      "    x = (x - self.mean) / self.deviation\n";
  std::int64_t height = shape.height, width = shape.width, in = shape.channels, out = shape.filters;
  for (int i = 0; i < kMaxBlocks && (i < 2 || std::min(height, width) >= kSmallestMap); ++i) {
    source += AddBlock(net, i, in, out);
    in = out;
    out = std::min(out * 2, shape.filters * 4);
    height /= 2;
    width /= 2;
  }
  const std::int64_t map_height = std::min(height, kLargestMap), map_width = std::min(width, kLargestMap);
  if (map_height != height || map_width != width)
    source += fmt::format("    x = torch.adaptive_avg_pool2d(x, [{}, {}])\n", map_height, map_width);
  const std::int64_t features = in * map_height * map_width;
  net.register_parameter("head_weight", Uniform({shape.classes, features}, features), false);
  net.register_parameter("head_bias", Uniform({shape.classes}, features), false);
  source +=
      "    x = torch.linear(torch.flatten(x, 1), self.head_weight, self.head_bias)\n"
      "    return torch.narrow(x, 0, 0, rows)\n"
      "def forward(self, image: Tensor) -> Tensor:\n"
      "    return torch.softmax(self.logits(image), 1)\n";
  net.define(source);
  for (torch::Tensor parameter : net.parameters()) parameter.requires_grad_(true);
  return net;
}

}  // namespace ratchet::vision
