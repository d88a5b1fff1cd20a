#include "cli/human.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

namespace ratchet::cli {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Combining marks and joiners (no columns) and East Asian wide characters and emoji (two), after Unicode's
// DerivedGeneralCategory and EastAsianWidth, joined into blocks.
constexpr std::array kZeroWidth = {Range{0x300, 0x36F},   Range{0x483, 0x489},   Range{0x591, 0x5BD},
                                   Range{0x610, 0x61A},   Range{0x64B, 0x65F},   Range{0x1AB0, 0x1AFF},
                                   Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F}, Range{0x20D0, 0x20FF},
                                   Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}};
constexpr std::array kDoubleWidth = {Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0x33FF},
                                     Range{0x3400, 0x4DBF},   Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},
                                     Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},
                                     Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F},
                                     Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF}, Range{0x20000, 0x3FFFD}};

template <size_t N>
bool Within(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

struct Decoded {
  char32_t character;
  size_t length;
};

// A byte that begins no well-formed sequence counts as one character of its own.
Decoded DecodeFirst(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
  if (length == 1 || length > text.size()) return {first, 1};
  char32_t character = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {first, 1};
    character = (character << 6) | (byte(i) & 0x3F);
  }
  return {character, length};
}

size_t CharacterWidth(char32_t c) {
  if (c < 0x20 || c == 0x7F || Within(kZeroWidth, c)) return 0;
  return Within(kDoubleWidth, c) ? 2 : 1;
}

// Length of an ANSI escape sequence (ESC [ … letter) at the start, or 0.
size_t EscapeLength(std::string_view text) {
  if (text.size() < 2 || text[0] != '\x1b' || text[1] != '[') return 0;
  size_t end = text.find_first_not_of("0123456789;?", 2);
  return end == std::string_view::npos ? text.size() : end + 1;
}

}  // namespace

std::string ShownAge(std::int64_t then_us, std::int64_t now_us) {
  std::int64_t seconds = (now_us - then_us) / 1'000'000;
  if (seconds < 1) return "just now";
  if (seconds < 60) return fmt::format("{} s ago", seconds);
  if (seconds < 3600) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h ago", seconds / 3600);
  if (seconds < 30 * 86400) return fmt::format("{} days ago", seconds / 86400);
  return ShownTime(then_us).substr(0, 10);
}

std::string ShownDuration(double milliseconds) {
  if (milliseconds < 10) return fmt::format("{:.1f} ms", std::max(0.0, milliseconds));
  if (milliseconds < 999.5) return fmt::format("{:.0f} ms", milliseconds);
  if (milliseconds < 59'950) return fmt::format("{:.1f} s", milliseconds / 1000);
  auto seconds = static_cast<std::int64_t>(std::llround(milliseconds / 1000));
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

std::string ShownTimeLeft(double seconds) {
  auto whole = static_cast<std::int64_t>(std::ceil(std::clamp(seconds, 0.0, 359'999.0)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02} left", whole / 3600, whole % 3600 / 60, whole % 60);
  return fmt::format("{}:{:02} left", whole / 60, whole % 60);
}

std::string ShownSize(double bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1023.95 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string ShownCount(std::int64_t count) {
  std::string digits = std::to_string(count);
  size_t first = count < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string ShownNumber(double number) { return fmt::format("{:.6g}", number); }

// Below this a double is about to run out: what is left of the digits says nothing.
std::string ShownP(double p) { return p < 1e-300 ? "p < 1e-300" : fmt::format("p = {:.3g}", p); }

std::string ShownScore(std::optional<double> score) { return score ? fmt::format("{:.4f}", *score) : kAbsent; }

std::string ShownTime(std::int64_t at_us) {
  std::time_t seconds = at_us / 1'000'000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string ShownInt(std::optional<std::int64_t> number) { return number ? std::to_string(*number) : kAbsent; }

std::string Counted(std::int64_t count, std::string_view singular) {
  return fmt::format("{} {}{}", ShownCount(count), singular, count == 1 ? "" : "s");
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    size_t skip = EscapeLength(text);
    if (skip == 0) {
      Decoded next = DecodeFirst(text);
      width += CharacterWidth(next.character);
      skip = next.length;
    }
    text.remove_prefix(skip);
  }
  return width;
}

std::string CutToWidth(std::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return {};
  size_t used = 0;
  size_t end = 0;
  while (end < text.size()) {
    Decoded next = DecodeFirst(text.substr(end));
    size_t columns = CharacterWidth(next.character);
    if (used + columns > width - 1) break;
    used += columns;
    end += next.length;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::vector<std::string> WrapToWidth(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  size_t column = 0;
  const auto next_line = [&] { lines.emplace_back(), column = 0; };
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t gap = lines.back().empty() ? 0 : 1;
    if (gap > 0 && column + gap + DisplayWidth(word) > width) next_line();
    if (!lines.back().empty()) lines.back() += ' ', ++column;
    while (!word.empty()) {
      const Decoded character = DecodeFirst(word);
      const size_t columns = CharacterWidth(character.character);
      if (column > 0 && column + columns > width) next_line();
      lines.back() += word.substr(0, character.length);
      column += columns;
      word.remove_prefix(character.length);
    }
  }
  return lines;
}

std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\n' || c == '\t' || c == '\r')
      c = ' ';
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = '?';
  }
  return line;
}

}  // namespace ratchet::cli
