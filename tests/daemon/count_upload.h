#pragma once

#include <string>
#include <vector>

#include "daemon/http_types.h"

namespace ratchet::daemon {

// Reads an upload to its end and answers with its size.
inline Result<Response> CountUpload(const Request& request) {
  std::vector<char> buffer(64 * 1024);
  size_t total = 0;
  for (;;) {
    RATCHET_ASSIGN(const size_t got, request.source->Read(buffer.data(), buffer.size()));
    if (got == 0) break;
    total += got;
  }
  return Response{.content_type = "text/plain", .body = std::to_string(total)};
}

}  // namespace ratchet::daemon
