#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet {

// Names of pipelines, models, datasets: 1–64 characters of a–z, 0–9, '-', '_', '.', beginning with a letter or digit.
// So no name can be a path, be read as a flag, or need escaping in a URL.
inline constexpr size_t kMaxNameLength = 64;
Status CheckName(std::string_view kind, std::string_view name);

// True when the bytes are well-formed UTF-8 without NUL.
bool IsUtf8Text(std::string_view bytes);

// Levenshtein distance of two short words.
size_t EditDistance(std::string_view a, std::string_view b);

// The one of `known` that a mistyped `word` most likely means, or empty when none is near (at most a third of its length).
std::string NearestName(std::string_view word, const std::vector<std::string>& known);

// Printable, quoted and cut to 80 characters: for showing hostile input in an error.
std::string Quoted(std::string_view text);

}  // namespace ratchet
