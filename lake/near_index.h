#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "lake/image_hash.h"
#include "lake/text_sketch.h"

// Which of the rows kept look like another one, found without comparing it with all of them.
namespace ratchet::lake {

// Rows by a number of keys each; rows with one of their keys in common meet. Some 4 bytes a row and key.
class KeyBuckets {
 public:
  explicit KeyBuckets(std::size_t keys) : keys_(keys) {}
  // The keys of the next row, in [0, 65536).
  void Add(std::span<const std::uint16_t> keys) { added_.insert(added_.end(), keys.begin(), keys.end()); }
  // Once, after the last row.
  void Close();
  // The rows that have this key as their key number `at`.
  std::span<const std::uint32_t> Rows(std::size_t at, std::uint16_t key) const;

 private:
  static constexpr std::size_t kBuckets = 65'536;
  std::size_t keys_;
  std::vector<std::uint16_t> added_;
  std::vector<std::uint32_t> begins_;  // keys_ × (kBuckets + 1)
  std::vector<std::uint32_t> rows_;    // keys_ × rows
};

// At most kMostLooked rows are looked at for one question: where very many rows have a key in common, likeness of the
// whole says little, and time is bounded.
inline constexpr std::size_t kMostLooked = 4'096;

// Pictures: 16 pieces of 16 bits of the hash; two hashes that are 15 bits apart or fewer have one in common for certain,
// at 24 bits with probability 0.98, at kSameImageBits 0.92 (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012).
class ImageIndex {
 public:
  void Add(std::uint32_t row, const ImageHash& hash);
  void Close() { buckets_.Close(); }
  std::size_t size() const { return rows_.size(); }
  // Rows that look like it, each once or more.
  void Find(const ImageHash& hash, const std::function<void(std::uint32_t row)>& found) const;

 private:
  KeyBuckets buckets_{16};
  std::vector<ImageHash> hashes_;
  std::vector<std::uint32_t> rows_;
};

// Texts: 16 bands of 8 places of the sketch.
class TextIndex {
 public:
  void Add(std::uint32_t row, const TextSketch& sketch);
  void Close() { buckets_.Close(); }
  std::size_t size() const { return rows_.size(); }
  void Find(const TextSketch& sketch, const std::function<void(std::uint32_t row)>& found) const;

 private:
  KeyBuckets buckets_{kSketchBands};
  std::vector<TextSketch> sketches_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace ratchet::lake
