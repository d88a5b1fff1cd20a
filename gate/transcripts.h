#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

// How far a transcript is from its reference: the per-row evidence of wer and cer.
namespace ratchet::gate {

inline constexpr size_t kMostTranscriptSymbols = 100'000;  // words or characters; two of these take about two seconds

struct Edits {
  std::int32_t edits = 0;      // the fewest insertions, deletions and substitutions (Levenshtein)
  std::int32_t reference = 0;  // words or characters of the reference
};

// Words stand between white space (Unicode's); nothing else is taken for equal: case and punctuation are the caller's
// to fold. An empty reference is allowed; every word of the answer is then an edit.
// kInvalid: not UTF-8. kTooLarge: above kMostTranscriptSymbols.
Result<Edits> WordEdits(std::string_view reference, std::string_view answer);

// Characters are Unicode code points; white space at either end does not count, that between words does.
Result<Edits> CharacterEdits(std::string_view reference, std::string_view answer);

}  // namespace ratchet::gate
