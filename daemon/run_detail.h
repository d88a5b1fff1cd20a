#pragma once

#include "daemon/api.h"
#include "registry/records.h"

namespace ratchet::daemon {

// A run as its own address shows it: RunJson, and for its steps what is too costly for a list: why one waits, and the
// checks of `validate`.
Json RunDetailJson(Api& api, const registry::Run& run);

// The `checks` of a step's result.json, bounded: the failing ones first, no example over 200 bytes. Null where there are
// none.
Json BoundedChecks(const Json& result);

}  // namespace ratchet::daemon
