#pragma once

#include <string>

#include "base/result.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

// Streams a file that never changes. One range of bytes that begins within it ("bytes=100-", "bytes=100-199") is sent
// alone, with 206, unless If-Range names another ETag; any other Range header is passed over, as RFC 9110 allows.
Result<Response> FileResponse(const Request& request, const std::string& path, const std::string& content_type,
                              const std::string& etag);

}  // namespace ratchet::daemon
