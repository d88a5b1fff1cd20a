#pragma once

#include <string>

#include "cli/console.h"
#include "cli/json_fields.h"

namespace ratchet::cli {

// A decision's `serving` (docs/formats.md) as a table, a figure a line with its budget; empty where nothing was measured
// and nothing asked for.
std::string ServingTable(const Console& console, const Json& serving);

}  // namespace ratchet::cli
