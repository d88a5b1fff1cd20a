#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "serving/http_messages.h"
#include "serving/model_host.h"

namespace ratchet::serving {

struct InvokedModel {
  std::string model;
  std::optional<std::int64_t> version;  // absent = the live one
};

// Which model a request to /invocations means, whose path names none: the one named by the header X-Ratchet-Model or by
// ?model=, else the only one that is served. A version may be named by X-Ratchet-Version or ?version=. kInvalid with the
// models there are where one has to be named, kUnavailable while the routes are not known, kNotFound where none is served.
// Pure; any thread.
Result<InvokedModel> ModelOfInvocation(const HttpRequest& request, const RouteSnapshot& snapshot);

}  // namespace ratchet::serving
