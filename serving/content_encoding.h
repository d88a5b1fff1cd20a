#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// Compressed bodies (RFC 9110, section 8.4; zstd as RFC 9659 bounds it). Pure functions; any thread; they compute, so not
// for threads that do I/O.
namespace ratchet::serving {

enum class Coding { kIdentity, kGzip, kDeflate, kZstd };

inline constexpr char kAcceptedCodings[] = "gzip, deflate, zstd";
inline constexpr size_t kLeastCompressedBytes = 1024;  // smaller answers are sent as they are

// What a Content-Encoding header says; empty when it names a coding that is not known, or more than one.
std::optional<Coding> ParseCoding(std::string_view content_encoding);

// The body as it was before it was coded. kInvalid when it is not what the coding makes, or ends early; kTooLarge as soon as
// it is more than `limit_bytes`, so that memory stays within that. The result has room for a JSON parser's padding.
Result<std::string> Decoded(Coding coding, std::string_view body, size_t limit_bytes);

// The best of gzip and zstd by the weights of an Accept-Encoding header, zstd where both are as good; identity where
// neither is wanted.
Coding ChooseCoding(std::string_view accept_encoding);

// Coded at the fastest level. kInternal when the library refuses.
Result<std::string> Encoded(Coding coding, std::string_view body);
std::string_view CodingName(Coding coding);

}  // namespace ratchet::serving
