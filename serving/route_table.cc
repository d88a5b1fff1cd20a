#include "serving/route_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/names.h"
#include "serving/route_split_json.h"

namespace ratchet::serving {
namespace {

using Json = nlohmann::json;

std::unexpected<Error> Corrupt(std::string cause) {
  return Fail(ErrorCode::kCorrupt, "read route table", "", std::move(cause));
}

const Json* Find(const Json& object, const char* key) {
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::int64_t> Integer(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (!value || !value->is_number_integer() || value->get<std::int64_t>() < 0) {
    return Corrupt(std::string(key) + " must be an integer from 0");
  }
  return value->get<std::int64_t>();
}

Result<std::optional<VersionRef>> ReadVersion(const Json& route, const char* key) {
  const Json* value = Find(route, key);
  if (!value) return std::nullopt;
  if (!value->is_object()) return Corrupt(std::string(key) + " must be an object or null");
  VersionRef version;
  RATCHET_ASSIGN(version.version, Integer(*value, "version"));
  const Json* bundle = Find(*value, "bundle");
  if (!bundle || !bundle->is_string() || !IsSha256Hex(bundle->get_ref<const std::string&>())) {
    return Corrupt(std::string(key) + ".bundle must be a SHA-256");
  }
  version.bundle = bundle->get<std::string>();
  return version;
}

Result<LogSettings> ReadLogSettings(const Json& route) {
  LogSettings settings;
  const Json* log = Find(route, "log");
  if (!log) return settings;
  if (!log->is_object()) return Corrupt("log must be an object or null");
  if (const Json* sample = Find(*log, "sample")) {
    if (!sample->is_number() || sample->get<double>() < 0 || sample->get<double>() > 1)
      return Corrupt("log.sample must be a number from 0 to 1");
    settings.sample = sample->get<double>();
  }
  if (const Json* redact = Find(*log, "redact")) {
    if (!redact->is_array()) return Corrupt("log.redact must be a list of columns");
    for (const Json& column : *redact) {
      if (!column.is_string()) return Corrupt("log.redact must be a list of columns");
      settings.redact.insert(column.get<std::string>());
    }
  }
  return settings;
}

Json LogJson(const LogSettings& settings) {
  Json log = {{"redact", settings.redact}};
  if (settings.sample) log["sample"] = *settings.sample;
  return log;
}

Result<Route> ReadRoute(const Json& value) {
  if (!value.is_object()) return Corrupt("a route must be an object");
  const Json* model = Find(value, "model");
  if (!model || !model->is_string()) return Corrupt("a route must name its model");
  Route route{.model = model->get<std::string>()};
  if (auto name = CheckName("model", route.model); !name) return Corrupt(name.error().Message());
  RATCHET_ASSIGN(route.epoch, Integer(value, "epoch"));
  RATCHET_ASSIGN(route.live, ReadVersion(value, "live"));
  RATCHET_ASSIGN(route.previous, ReadVersion(value, "previous"));
  RATCHET_ASSIGN(route.loading, ReadVersion(value, "loading"));
  RATCHET_ASSIGN(route.split, ReadSplit(value));
  RATCHET_ASSIGN(route.log, ReadLogSettings(value));
  return route;
}

Json VersionJson(const std::optional<VersionRef>& version) {
  if (!version) return nullptr;
  return {{"version", version->version}, {"bundle", version->bundle}};
}

}  // namespace

std::vector<VersionRef> Route::Named() const {
  std::vector<VersionRef> named;
  for (const auto& version : {live, previous, loading}) {
    if (version && std::find(named.begin(), named.end(), *version) == named.end()) named.push_back(*version);
  }
  for (const SplitArm& arm : split.value_or(RouteSplit{}).arms)
    if (std::find(named.begin(), named.end(), arm.ref) == named.end()) named.push_back(arm.ref);
  return named;
}

Result<RouteTable> ParseRouteTable(std::string_view text) {
  if (text.size() > kMaxRouteTableBytes) return Corrupt("it is larger than 4 MiB");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Corrupt("it is not a JSON object");
  RouteTable table;
  RATCHET_ASSIGN(table.revision, Integer(json, "revision"));
  const Json* routes = Find(json, "routes");
  if (!routes || !routes->is_array() || routes->size() > kMaxRoutes) {
    return Corrupt("routes must be a list of at most 1000");
  }
  for (const Json& value : *routes) {
    RATCHET_ASSIGN(Route route, ReadRoute(value));
    std::string model = route.model;
    if (!table.routes.emplace(model, std::move(route)).second) return Corrupt("model " + model + " has two routes");
  }
  return table;
}

std::string SerialiseRouteTable(const RouteTable& table) {
  Json routes = Json::array();
  for (const auto& [model, route] : table.routes) {
    routes.push_back({{"model", model},
                      {"epoch", route.epoch},
                      {"live", VersionJson(route.live)},
                      {"previous", VersionJson(route.previous)},
                      {"loading", VersionJson(route.loading)},
                      {"split", SplitJson(route.split)},
                      {"log", LogJson(route.log)}});
  }
  return Json{{"revision", table.revision}, {"routes", routes}}.dump();
}

std::string SyncRequestJson(std::int64_t revision, const std::map<std::string, ModelState>& models,
                            const ReplicaState& replica) {
  Json states = Json::object();
  for (const auto& [model, state] : models) {
    Json failed = Json::object();
    for (const auto& [version, why] : state.failed) failed[std::to_string(version)] = why;
    states[model] = {{"epoch", state.epoch}, {"ready", state.ready}, {"failed", failed}};
    if (state.arms) states[model]["arms"] = ArmsJson(*state.arms);
  }
  Json request = {{"revision", revision}, {"models", states}};
  if (!replica.only.empty()) request["only"] = replica.only;
  if (replica.predictions)
    request["predictions"] = {{"waiting", replica.predictions->waiting},
                              {"spool_bytes", replica.predictions->spool_bytes},
                              {"dropped", replica.predictions->dropped}};
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RouteTable OnlyOf(RouteTable table, const std::set<std::string>& only) {
  if (!only.empty()) std::erase_if(table.routes, [&](const auto& route) { return !only.contains(route.first); });
  return table;
}

Adoption AdoptRoutes(const RouteTable& held, const RouteTable& incoming) {
  Adoption adoption{.table = incoming};
  for (auto& [model, route] : adoption.table.routes) {
    auto old = held.routes.find(model);
    if (old == held.routes.end() || old->second.epoch <= route.epoch) continue;
    route = old->second;
    adoption.refused.push_back(model);
  }
  return adoption;
}

}  // namespace ratchet::serving
