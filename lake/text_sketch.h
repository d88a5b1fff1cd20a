#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ratchet::lake {

inline constexpr std::size_t kSketchSize = 128;
inline constexpr std::size_t kSketchBands = 16;

// What a text is compared by: of how many places two sketches agree is, within some 4 points of 100, how much of their
// word triples two texts share (Jaccard index).
struct TextSketch {
  std::array<std::uint8_t, kSketchSize> places{};
  std::array<std::uint16_t, kSketchBands> bands{};  // texts that share 80 % agree in one of these with probability 0.95
};

// Two texts that share this much of their word triples count as one: the threshold of Lee et al., "Deduplicating Training
// Data Makes Language Models Better", ACL 2022. (They take sequences of five words, of whole pages; rows are shorter.)
inline constexpr double kSameTextShare = 0.8;
bool LookAlike(const TextSketch& a, const TextSketch& b);

inline constexpr std::size_t kLeastWords = 8;  // of a text that can be near another; shorter ones are equal or they are not

// MinHash by one permutation (Broder 1997; Li, Owen, Zhang 2012), places that stay empty filled from others (Shrivastava
// 2017). Words are runs of letters and digits, the case of ASCII letters aside; each character of scripts without spaces
// (from U+2E80) is a word. One thread: keeps a buffer.
class TextSketcher {
 public:
  // Nothing for a text with fewer than kLeastWords words.
  std::optional<TextSketch> Sketch(std::string_view text);
  // How many words the text has.
  std::size_t Words(std::string_view text);

 private:
  void Split(std::string_view text);
  std::vector<std::uint64_t> words_;  // their hashes
};

}  // namespace ratchet::lake
