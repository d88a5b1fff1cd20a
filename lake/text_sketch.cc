#include "lake/text_sketch.h"

#include <algorithm>
#include <limits>

namespace ratchet::lake {
namespace {

constexpr std::uint64_t kEmpty = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kRowsOfBand = kSketchSize / kSketchBands;

// The finisher of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
std::uint64_t Mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

bool IsWordByte(unsigned char byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

std::uint64_t Lower(unsigned char byte) { return byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte; }

// Bytes of the character that begins here, where it is a word of its own (from U+2E80 on); 0 for any other.
std::size_t OwnWord(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const std::size_t bytes = byte >= 0xF0 ? 4 : byte >= 0xE3 ? 3 : byte == 0xE2 && at + 1 < text.size() &&
                            static_cast<unsigned char>(text[at + 1]) >= 0xBA ? 3 : 0;
  return std::min(bytes, text.size() - at);
}

using Minima = std::array<std::uint64_t, kSketchSize>;

// A place that no triple fell into takes over that of another, the same one in every text.
void FillEmpty(Minima& minima) {
  const Minima found = minima;
  for (std::size_t place = 0; place < kSketchSize; ++place)
    for (std::uint64_t attempt = 1; minima[place] == kEmpty; ++attempt)
      minima[place] = found[Mix(place * 1'000'003 + attempt) % kSketchSize];
}

}  // namespace

bool LookAlike(const TextSketch& a, const TextSketch& b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < kSketchSize; ++i) same += a.places[i] == b.places[i] ? 1 : 0;
  return static_cast<double>(same) >= kSameTextShare * kSketchSize;
}

void TextSketcher::Split(std::string_view text) {
  constexpr std::uint64_t kStart = 0xcbf29ce484222325, kPrime = 0x100000001b3;  // FNV-1a
  words_.clear();
  std::uint64_t word = kStart;
  const auto end_word = [&] {
    if (word != kStart) words_.push_back(word);
    word = kStart;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t own = OwnWord(text, at);
    if (own > 0) end_word();
    for (const std::size_t end = at + std::max<std::size_t>(own, 1); at < end; ++at) {
      if (own == 0 && !IsWordByte(static_cast<unsigned char>(text[at]))) end_word();
      else word = (word ^ Lower(static_cast<unsigned char>(text[at]))) * kPrime;
    }
    if (own > 0) end_word();
  }
  end_word();
}

std::size_t TextSketcher::Words(std::string_view text) {
  Split(text);
  return words_.size();
}

std::optional<TextSketch> TextSketcher::Sketch(std::string_view text) {
  Split(text);
  if (words_.size() < kLeastWords) return std::nullopt;
  Minima minima;
  minima.fill(kEmpty);
  for (std::size_t i = 0; i + 2 < words_.size(); ++i) {
    const std::uint64_t hash = Mix(words_[i] + 3 * Mix(words_[i + 1] + 5 * Mix(words_[i + 2])));
    std::uint64_t& least = minima[hash % kSketchSize];
    least = std::min(least, hash / kSketchSize);
  }
  FillEmpty(minima);
  TextSketch sketch;
  for (std::size_t i = 0; i < kSketchSize; ++i) sketch.places[i] = static_cast<std::uint8_t>(Mix(minima[i]));
  for (std::size_t band = 0; band < kSketchBands; ++band) {
    std::uint64_t key = band;
    for (std::size_t i = 0; i < kRowsOfBand; ++i) key = Mix(key ^ minima[band * kRowsOfBand + i]);
    sketch.bands[band] = static_cast<std::uint16_t>(key >> 48);
  }
  return sketch;
}

}  // namespace ratchet::lake
