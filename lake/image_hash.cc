#include "lake/image_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "base/result.h"

namespace ratchet::lake {
namespace {

constexpr std::size_t kWaves = 16;
constexpr std::size_t kMostSide = 64;
constexpr std::int64_t kLeastSide = 17;     // the 16th wave needs one more sample
constexpr float kPlainSurface = 2.0F;       // root mean square of what the waves hold, in levels of 255

std::vector<float> Waves(std::size_t samples) {
  std::vector<float> waves;
  const double n = static_cast<double>(samples);
  for (std::size_t wave = 1; wave <= kWaves; ++wave)
    for (std::size_t at = 0; at < samples; ++at)
      waves.push_back(static_cast<float>(std::sqrt(2 / n) * std::cos(std::numbers::pi * (2 * static_cast<double>(at) + 1) *
                                                                     static_cast<double>(wave) / (2 * n))));
  return waves;
}

// Brightness as ITU-R BT.601 weighs it; of one channel, the channel; a fourth one (opacity) is passed over.
float Brightness(std::span<const std::uint8_t> pixels, std::size_t channels, std::size_t plane, std::size_t at) {
  if (channels == 1) return pixels[at];
  return 0.299F * pixels[at] + 0.587F * pixels[plane + at] + 0.114F * pixels[2 * plane + at];
}

}  // namespace

int BitsApart(const ImageHash& a, const ImageHash& b) {
  int bits = 0;
  for (std::size_t i = 0; i < a.size(); ++i) bits += std::popcount(a[i] ^ b[i]);
  return bits;
}

bool ImageHasher::Takes(const Column& column) {
  if (column.type != ColumnType::kBlob || column.shape.size() != 3) return false;
  const std::int64_t channels = column.shape[0];
  return (channels == 1 || channels == 3 || channels == 4) && column.shape[1] >= kLeastSide && column.shape[2] >= kLeastSide;
}

ImageHasher::ImageHasher(const Column& column)
    : channels_(static_cast<std::size_t>(column.shape.at(0))),
      height_(static_cast<std::size_t>(column.shape.at(1))),
      width_(static_cast<std::size_t>(column.shape.at(2))),
      rows_(std::min(height_, kMostSide)),
      columns_(std::min(width_, kMostSide)),
      row_waves_(Waves(rows_)),
      column_waves_(Waves(columns_)),
      plane_(rows_ * columns_),
      half_(kWaves * columns_) {}

void ImageHasher::Shrink(std::span<const std::uint8_t> pixels) {
  const std::size_t whole = height_ * width_;
  for (std::size_t row = 0; row < rows_; ++row) {
    const std::size_t top = row * height_ / rows_, bottom = (row + 1) * height_ / rows_;
    for (std::size_t column = 0; column < columns_; ++column) {
      const std::size_t left = column * width_ / columns_, right = (column + 1) * width_ / columns_;
      float sum = 0;
      for (std::size_t y = top; y < bottom; ++y)
        for (std::size_t x = left; x < right; ++x) sum += Brightness(pixels, channels_, whole, y * width_ + x);
      plane_[row * columns_ + column] = sum / static_cast<float>((bottom - top) * (right - left));
    }
  }
}

void ImageHasher::Transform() {
  std::ranges::fill(half_, 0.0F);
  for (std::size_t wave = 0; wave < kWaves; ++wave)
    for (std::size_t row = 0; row < rows_; ++row) {
      const float weight = row_waves_[wave * rows_ + row];
      const float* from = &plane_[row * columns_];
      float* to = &half_[wave * columns_];
      for (std::size_t column = 0; column < columns_; ++column) to[column] += weight * from[column];
    }
  for (std::size_t down = 0; down < kWaves; ++down)
    for (std::size_t across = 0; across < kWaves; ++across) {
      const float* from = &half_[down * columns_];
      const float* waves = &column_waves_[across * columns_];
      float sum = 0;
      for (std::size_t column = 0; column < columns_; ++column) sum += from[column] * waves[column];
      frequencies_[down * kWaves + across] = sum;
    }
}

std::optional<ImageHash> ImageHasher::Hash(std::span<const std::uint8_t> pixels) {
  RATCHET_CHECK(pixels.size() == channels_ * height_ * width_);
  Shrink(pixels);
  Transform();
  float energy = 0;
  for (const float frequency : frequencies_) energy += frequency * frequency;
  if (energy < kPlainSurface * kPlainSurface * static_cast<float>(rows_ * columns_)) return std::nullopt;
  std::array<float, 256> sorted = frequencies_;
  std::ranges::nth_element(sorted, sorted.begin() + sorted.size() / 2);
  const float median = sorted[sorted.size() / 2];
  ImageHash hash{};
  for (std::size_t i = 0; i < frequencies_.size(); ++i)
    if (frequencies_[i] > median) hash[i / 64] |= std::uint64_t{1} << (i % 64);
  return hash;
}

}  // namespace ratchet::lake
