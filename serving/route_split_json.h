#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "base/result.h"
#include "serving/arm_counts.h"
#include "serving/route_split.h"

// The wire form of a split and of what was counted in it. Included by route_table.cc alone.
namespace ratchet::serving {

// `split` of a route; nothing where it has none. kCorrupt when it is not what the format says.
Result<std::optional<RouteSplit>> ReadSplit(const nlohmann::json& route);
nlohmann::json SplitJson(const std::optional<RouteSplit>& split);
nlohmann::json ArmsJson(const ArmsTold& told);

}  // namespace ratchet::serving
