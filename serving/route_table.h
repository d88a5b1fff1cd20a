#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/arm_counts.h"
#include "serving/route_split.h"

// What the control plane wants served, as it comes over the wire and lies in routes.json; see docs/formats.md, "Routes
// to replicas". Plain values and pure functions; any thread.
namespace ratchet::serving {

// How a model's answers are logged, where the control plane says.
struct LogSettings {
  std::optional<double> sample = {};   // share of the answers, 0 to 1; none = this process's own setting
  std::set<std::string> redact = {};   // columns whose values are left out, beside this process's own

  bool operator==(const LogSettings&) const = default;
};

struct Route {
  std::string model;
  std::int64_t epoch = 0;
  std::optional<VersionRef> live, previous, loading;
  std::optional<RouteSplit> split = {};  // while a release is on its way
  LogSettings log = {};

  std::vector<VersionRef> Named() const;  // live first, each once
  bool operator==(const Route&) const = default;
};

struct RouteTable {
  std::int64_t revision = 0;
  std::map<std::string, Route> routes;  // by model

  bool operator==(const RouteTable&) const = default;
};

inline constexpr size_t kMaxRouteTableBytes = 4u << 20;
inline constexpr size_t kMaxRoutes = 1000;

// A sync answer or routes.json. kCorrupt when it is not what the format says.
Result<RouteTable> ParseRouteTable(std::string_view text);
std::string SerialiseRouteTable(const RouteTable& table);

// What a replica says of one model when it syncs.
struct ModelState {
  std::int64_t epoch = 0;                      // of the route it serves; 0 = none yet
  std::set<std::int64_t> ready;                // versions loaded and warm
  std::map<std::int64_t, std::string> failed;  // version → why
  std::optional<ArmsTold> arms = {};           // what was counted in the step of the route served
};
// What a replica says of itself.
struct ReplicaState {
  std::set<std::string> only = {};  // the models that it follows; empty = all
  struct Predictions {
    std::uint64_t waiting = 0, spool_bytes = 0;  // for the control plane to take them
    std::uint64_t dropped = 0;                   // answered but not kept, since the spool's beginning
  };
  std::optional<Predictions> predictions = {};   // none: it logs none
};
std::string SyncRequestJson(std::int64_t revision, const std::map<std::string, ModelState>& models,
                            const ReplicaState& replica = {});
// The table without the routes of other models; the whole one where `only` is empty.
RouteTable OnlyOf(RouteTable table, const std::set<std::string>& only);

// The table to strive for: the incoming one, but for routes of an older epoch than the one held, which stay as held.
struct Adoption {
  RouteTable table;
  std::vector<std::string> refused;  // models whose incoming route was older
};
Adoption AdoptRoutes(const RouteTable& held, const RouteTable& incoming);

}  // namespace ratchet::serving
