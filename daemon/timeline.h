#pragma once

#include <cstdint>
#include <vector>

#include "daemon/api.h"
#include "registry/run_views.h"

namespace ratchet::daemon {

// What each step of a run waited for and for how long, and which chain of steps made the run as long as it was; the
// shape is in docs/formats.md, "Timeline". Pure. `elsewhere`: when attempts of other runs ran.
Json TimelineJson(const registry::Run& run, const std::vector<registry::BusySpan>& elsewhere, std::int64_t now_us);

}  // namespace ratchet::daemon
