#include "gate/transcripts.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/names.h"

namespace ratchet::gate {
namespace {

using Symbols = std::vector<std::int32_t>;  // numbers of words or characters, from 0

constexpr size_t kBlock = 64;

// One block of 64 pattern symbols against one text symbol. `above`: how the distance changes along the row above.
struct BitColumn {
  std::uint64_t rises = ~std::uint64_t{0}, falls = 0;

  int Advance(std::uint64_t equal, int above, std::uint64_t last) {
    const std::uint64_t diagonal = equal | falls;
    if (above < 0) equal |= 1;
    const std::uint64_t zero = (((equal & rises) + rises) ^ rises) | equal;
    std::uint64_t up = falls | ~(zero | rises), down = rises & zero;
    const int below = (up & last) != 0 ? 1 : (down & last) != 0 ? -1 : 0;
    up = up << 1 | (above > 0 ? 1 : 0);
    down = down << 1 | (above < 0 ? 1 : 0);
    rises = down | ~(diagonal | up);
    falls = up & diagonal;
    return below;
  }
};

// Bit-parallel (Myers 1999, Journal of the ACM 46:395–415, in the form of Hyyrö 2003, Nordic Journal of Computing
// 10:29–39), a block of the pattern at a time, so that the room needed is that of one row: O(pattern · text / 64).
std::int64_t Levenshtein(std::span<const std::int32_t> pattern, std::span<const std::int32_t> text, size_t symbols) {
  std::vector<signed char> change(text.size(), 1);
  std::vector<std::uint64_t> places(symbols);
  for (size_t begin = 0; begin < pattern.size(); begin += kBlock) {
    const auto block = pattern.subspan(begin, std::min(kBlock, pattern.size() - begin));
    for (size_t i = 0; i < block.size(); ++i) places[static_cast<size_t>(block[i])] |= std::uint64_t{1} << i;
    BitColumn column;
    const std::uint64_t last = std::uint64_t{1} << (block.size() - 1);
    for (size_t j = 0; j < text.size(); ++j)
      change[j] = static_cast<signed char>(column.Advance(places[static_cast<size_t>(text[j])], change[j], last));
    for (std::int32_t symbol : block) places[static_cast<size_t>(symbol)] = 0;
  }
  auto distance = static_cast<std::int64_t>(pattern.size());
  for (signed char one : change) distance += one;
  return distance;
}

bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// `text` is well-formed UTF-8.
std::u32string CodePoints(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80)
      points.back() = points.back() << 6 | (byte & 0x3F);
    else
      points.push_back(byte < 0x80 ? byte : byte < 0xE0 ? byte & 0x1F : byte < 0xF0 ? byte & 0x0F : byte & 0x07);
  }
  return points;
}

std::vector<std::u32string_view> WordsOf(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && !IsWhiteSpace(text[end])) ++end;
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::u32string_view CharactersOf(std::u32string_view text) {
  while (!text.empty() && IsWhiteSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsWhiteSpace(text.back())) text.remove_suffix(1);
  return text;
}

// Words or characters as numbers, the same number for the same one.
template <typename Symbol>
class Numbering {
 public:
  template <typename Text>
  Symbols Number(const Text& text) {
    Symbols numbers;
    numbers.reserve(text.size());
    for (const Symbol& symbol : text)
      numbers.push_back(known_.try_emplace(symbol, static_cast<std::int32_t>(known_.size())).first->second);
    return numbers;
  }
  size_t size() const { return known_.size(); }

 private:
  std::unordered_map<Symbol, std::int32_t> known_;
};

template <typename Symbol, typename Text>
Result<Edits> EditsOf(const Text& reference, const Text& answer) {
  if (const size_t most = std::max(reference.size(), answer.size()); most > kMostTranscriptSymbols)
    return Fail(ErrorCode::kTooLarge, "compare", "transcripts",
                fmt::format("one has {} words or characters; the most is {}", most, kMostTranscriptSymbols));
  Numbering<Symbol> numbering;
  const Symbols numbers = numbering.Number(reference), others = numbering.Number(answer);
  // What both begin and end with costs nothing.
  const auto same = std::ranges::mismatch(numbers, others);
  const auto left = static_cast<size_t>(same.in1 - numbers.begin());
  std::span<const std::int32_t> a(numbers), b(others);
  a = a.subspan(left), b = b.subspan(left);
  while (!a.empty() && !b.empty() && a.back() == b.back()) a = a.first(a.size() - 1), b = b.first(b.size() - 1);
  if (a.size() > b.size()) std::swap(a, b);
  return Edits{static_cast<std::int32_t>(Levenshtein(a, b, numbering.size())),
               static_cast<std::int32_t>(reference.size())};
}

Status CheckTexts(std::string_view reference, std::string_view answer) {
  for (auto [name, text] : {std::pair("the reference", reference), std::pair("the answer", answer)})
    if (!IsUtf8Text(text))
      return Fail(ErrorCode::kInvalid, "compare", "transcripts", fmt::format("{} is not UTF-8", name));
  return {};
}

}  // namespace

Result<Edits> WordEdits(std::string_view reference, std::string_view answer) {
  RATCHET_TRY(CheckTexts(reference, answer));
  const std::u32string reference_text = CodePoints(reference), answer_text = CodePoints(answer);
  return EditsOf<std::u32string_view>(WordsOf(reference_text), WordsOf(answer_text));
}

Result<Edits> CharacterEdits(std::string_view reference, std::string_view answer) {
  RATCHET_TRY(CheckTexts(reference, answer));
  const std::u32string reference_text = CodePoints(reference), answer_text = CodePoints(answer);
  return EditsOf<char32_t>(CharactersOf(reference_text), CharactersOf(answer_text));
}

}  // namespace ratchet::gate
