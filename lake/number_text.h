#pragma once

#include <cstdint>
#include <string_view>

namespace ratchet::lake {

// What a piece of text is when read as a number, strictly: no plus sign, no leading zeros, no thousands separators.
enum class NumberKind {
  kNone,         // no number: "", "abc", "007", "+5", "1,000"
  kInteger,      // a 64-bit integer
  kHugeInteger,  // an integer beyond 64 bits; `real` is the nearest
  kReal,         // has a point or an exponent, and is finite
  kNotFinite,    // "inf", "-Infinity", "1e999"
  kNan,          // "nan", "NaN"
};

struct Number {
  NumberKind kind = NumberKind::kNone;
  std::int64_t integer = 0;
  double real = 0;
};

// Spaces and tabs around the number are passed over.
Number ReadNumber(std::string_view text);

}  // namespace ratchet::lake
