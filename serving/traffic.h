#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serving/model_host.h"

namespace ratchet::serving {

// The version that answers a request, and on what terms it came to it.
struct Picked {
  ServedVersionPtr version;
  std::string role = "live";  // or "version", where the client named one
  double share = 1;           // probability with which such a request goes this way
};

// Decides which version of a model answers one request: the named one, else the live one. `sticky_key` is what keeps a
// client with one version where several share the traffic: a key of its own, else the request's id. kNotFound where the
// named version is not served here, kUnavailable where no version is ready. Pure; any thread.
Result<Picked> PickVersion(const ServedModel& model, std::optional<std::int64_t> named, std::string_view sticky_key);

}  // namespace ratchet::serving
