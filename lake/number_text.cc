#include "lake/number_text.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

namespace ratchet::lake {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view Trimmed(std::string_view text) {
  auto space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

bool EqualsFolded(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

// Words for what is no finite number. `body` has no sign.
NumberKind WordKind(std::string_view body) {
  if (EqualsFolded(body, "nan")) return NumberKind::kNan;
  if (EqualsFolded(body, "inf") || EqualsFolded(body, "infinity")) return NumberKind::kNotFinite;
  return NumberKind::kNone;
}

Number ReadReal(std::string_view text) {
  Number number{.kind = NumberKind::kReal};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.real);
  if (end != text.data() + text.size()) return {};
  if (error == std::errc::result_out_of_range) number.real = std::strtod(std::string(text).c_str(), nullptr);
  if (!std::isfinite(number.real)) number.kind = NumberKind::kNotFinite;
  return number;
}

}  // namespace

Number ReadNumber(std::string_view text) {
  text = Trimmed(text);
  std::string_view body = text;
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) body.remove_prefix(1);
  if (body.empty()) return {};
  if (!IsDigit(body[0]) && body[0] != '.') return {.kind = WordKind(body)};
  if (text[0] == '+' || (body[0] == '0' && body.size() > 1 && IsDigit(body[1]))) return {};
  Number number{.kind = NumberKind::kInteger};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.integer);
  const bool whole = end == text.data() + text.size();
  if (whole && error == std::errc()) return number;
  const bool huge = whole && error == std::errc::result_out_of_range;
  number = ReadReal(text);
  if (huge && number.kind == NumberKind::kReal) number.kind = NumberKind::kHugeInteger;
  return number;
}

}  // namespace ratchet::lake
