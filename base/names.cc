#include "base/names.h"

#include <algorithm>
#include <numeric>

namespace ratchet {
namespace {

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

// Length of the well-formed sequence at the start of `bytes`, or 0.
size_t Utf8SequenceLength(std::string_view bytes) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  auto tail = [&](size_t i) { return i < bytes.size() && (byte(i) & 0xC0) == 0x80; };
  unsigned char first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

Status CheckName(std::string_view kind, std::string_view name) {
  auto refuse = [&](std::string cause) -> Status {
    return Fail(ErrorCode::kInvalid, "check the " + std::string(kind) + " name", Quoted(name), std::move(cause),
                "Use 1 to 64 characters of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit");
  };
  if (name.empty()) return refuse("it is empty");
  if (name.size() > kMaxNameLength) return refuse("it has " + std::to_string(name.size()) + " characters");
  if (!std::all_of(name.begin(), name.end(), IsNameCharacter)) return refuse("it has a character that is not allowed");
  if (name[0] == '-' || name[0] == '_' || name[0] == '.') return refuse("it begins with a punctuation mark");
  return {};
}

bool IsUtf8Text(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t length = Utf8SequenceLength(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string NearestName(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  if (word.size() > kMaxNameLength) return best;
  for (const std::string& candidate : known) {
    size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  std::string shown = "'";
  for (char c : text.substr(0, kShown)) shown += (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) ? '?' : c;
  if (!IsUtf8Text(shown))
    std::replace_if(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  shown += text.size() > kShown ? "…'" : "'";
  return shown;
}

}  // namespace ratchet
