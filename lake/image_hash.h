#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lake/schema.h"

namespace ratchet::lake {

// 256 bits of which few differ between two pictures that look alike.
using ImageHash = std::array<std::uint64_t, 4>;

int BitsApart(const ImageHash& a, const ImageHash& b);

// Two pictures whose hashes are at most so many bits apart count as one: PDQ's published threshold (Facebook, "The
// TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019).
inline constexpr int kSameImageBits = 31;

// Hashes pictures in the manner of PDQ: brightness, means over boxes down to 64 × 64 where it is larger, the 16 × 16 lowest
// frequencies of a cosine transform but the constant ones, and of each whether it is above the median. Changes of
// brightness, contrast, size and compression and slight noise move few bits; a shift of the picture moves many. The bits
// are not PDQ's own (that smooths and scales smaller pictures up, too). One thread.
class ImageHasher {
 public:
  // Whether the column holds pictures: blobs [channels, height, width] with 1, 3 or 4 channels and sides of at least 17.
  static bool Takes(const Column& column);
  explicit ImageHasher(const Column& column);  // one that Takes() says yes to

  // `pixels`: as many as the column's shape says. Nothing for a picture that is one plain surface.
  std::optional<ImageHash> Hash(std::span<const std::uint8_t> pixels);

 private:
  void Shrink(std::span<const std::uint8_t> pixels);
  void Transform();

  std::size_t channels_, height_, width_;  // of the picture
  std::size_t rows_, columns_;             // of the means over boxes
  std::vector<float> row_waves_, column_waves_;  // 16 × rows_, 16 × columns_
  std::vector<float> plane_;                     // rows_ × columns_
  std::vector<float> half_;                      // 16 × columns_
  std::array<float, 256> frequencies_{};
};

}  // namespace ratchet::lake
