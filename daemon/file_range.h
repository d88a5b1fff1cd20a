#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

struct ByteRange {
  std::uint64_t first = 0, count = 0;
};

// The part of `size` bytes that a Range header asks for ("bytes=0-99", "bytes=100-", "bytes=-5"). Nothing for what is
// no such header, which RFC 9110 says to ignore; kInvalid when the part lies outside.
Result<std::optional<ByteRange>> ParseRange(std::string_view header, std::uint64_t size);

// Streams a file that never changes, or the part of it that the request's Range asks for.
Result<Response> FileResponse(const Request& request, const std::string& path, const std::string& content_type,
                              const std::string& etag);

}  // namespace ratchet::daemon
