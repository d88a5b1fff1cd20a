#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "serving/http_messages.h"

// Compressed bodies of requests and answers, as their headers say. Any thread.
namespace ratchet::serving {

inline constexpr size_t kMaxUnpackedBytes = 64u << 20;  // as large as a body may be that comes as it is

// 415 where the request's Content-Encoding is none that is understood. Computes nothing.
std::optional<HttpResponse> RefuseCoding(const HttpRequest& request);

// Replaces the body by what it was before it was compressed. kInvalid, kTooLarge. Computes.
Status UnpackBody(HttpRequest& request);

// What to call with the answer instead of `respond`: compresses it where the request asks for that and it is worth it,
// on the thread that it is called from.
std::function<void(HttpResponse)> Compressing(const HttpRequest& request, std::function<void(HttpResponse)> respond);

}  // namespace ratchet::serving
