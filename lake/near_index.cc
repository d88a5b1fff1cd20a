#include "lake/near_index.h"

namespace ratchet::lake {
namespace {

using Pieces = std::array<std::uint16_t, 16>;

Pieces PiecesOf(const ImageHash& hash) {
  Pieces pieces{};
  for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = static_cast<std::uint16_t>(hash[i / 4] >> (16 * (i % 4)));
  return pieces;
}

Pieces PiecesOf(const TextSketch& sketch) {
  static_assert(kSketchBands == 16);
  Pieces pieces{};
  for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = sketch.bands[i];
  return pieces;
}

template <typename Alike>
void FindIn(const KeyBuckets& buckets, const Pieces& pieces, const Alike& alike) {
  std::size_t looked = 0;
  for (std::size_t at = 0; at < pieces.size(); ++at)
    for (const std::uint32_t row : buckets.Rows(at, pieces[at])) {
      if (++looked > kMostLooked) return;
      alike(row);
    }
}

}  // namespace

void KeyBuckets::Close() {
  const std::size_t count = added_.size() / keys_;
  begins_.assign(keys_ * (kBuckets + 1), 0);
  rows_.resize(added_.size());
  for (std::size_t at = 0; at < keys_; ++at) {
    std::uint32_t* begin = &begins_[at * (kBuckets + 1)];
    for (std::size_t row = 0; row < count; ++row) ++begin[added_[row * keys_ + at] + 1];
    for (std::size_t key = 0; key < kBuckets; ++key) begin[key + 1] += begin[key];
    std::vector<std::uint32_t> next(begin, begin + kBuckets);
    for (std::size_t row = 0; row < count; ++row)
      rows_[at * count + next[added_[row * keys_ + at]]++] = static_cast<std::uint32_t>(row);
  }
  added_ = {};
}

std::span<const std::uint32_t> KeyBuckets::Rows(std::size_t at, std::uint16_t key) const {
  const std::uint32_t* begin = &begins_[at * (kBuckets + 1) + key];
  const std::size_t count = rows_.size() / keys_;
  return std::span(rows_).subspan(at * count + begin[0], begin[1] - begin[0]);
}

void ImageIndex::Add(std::uint32_t row, const ImageHash& hash) {
  buckets_.Add(PiecesOf(hash));
  hashes_.push_back(hash);
  rows_.push_back(row);
}

void ImageIndex::Find(const ImageHash& hash, const std::function<void(std::uint32_t row)>& found) const {
  if (rows_.empty()) return;
  FindIn(buckets_, PiecesOf(hash), [&](std::uint32_t at) {
    if (BitsApart(hash, hashes_[at]) <= kSameImageBits) found(rows_[at]);
  });
}

void TextIndex::Add(std::uint32_t row, const TextSketch& sketch) {
  buckets_.Add(PiecesOf(sketch));
  sketches_.push_back(sketch);
  rows_.push_back(row);
}

void TextIndex::Find(const TextSketch& sketch, const std::function<void(std::uint32_t row)>& found) const {
  if (rows_.empty()) return;
  FindIn(buckets_, PiecesOf(sketch), [&](std::uint32_t at) {
    if (LookAlike(sketch, sketches_[at])) found(rows_[at]);
  });
}

}  // namespace ratchet::lake
