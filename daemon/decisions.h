#pragma once

#include "daemon/api.h"
#include "registry/records.h"

// What the routes below …/versions/{version}/decision share.
namespace ratchet::daemon {

// The version that the path names. kInvalid, kNotFound.
Result<registry::Version> AskedVersion(Api& api, const Request& request);

// The gate's report as it was written, but for what came of it: a release by force went past it. kNotFound while there is none.
Result<Json> DecisionOf(Api& api, const registry::Version& version);

}  // namespace ratchet::daemon
