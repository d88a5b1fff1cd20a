#include <array>
#include <utility>

#include "base/digest.h"
#include "serving/route_split_json.h"

namespace ratchet::serving {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<SplitMode, const char*>, 3> kModes{
    {{SplitMode::kShadow, "shadow"}, {SplitMode::kCanary, "canary"}, {SplitMode::kAb, "ab"}}};
constexpr size_t kMaxRoleBytes = 32;

std::unexpected<Error> Corrupt(std::string cause) { return Fail(ErrorCode::kCorrupt, "read route table", "", std::move(cause)); }

Result<std::int64_t> Number(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0) return Corrupt(std::string("split: ") + key + " must be an integer from 0");
  return value.get<std::int64_t>();
}

std::string Text(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : "";
}

Result<SplitArm> ReadArm(const Json& json) {
  SplitArm arm{.role = Text(json, "role"), .ref = {.version = 0, .bundle = Text(json, "bundle")}};
  RATCHET_ASSIGN(arm.ref.version, Number(json, "version"));
  if (arm.role.empty() || arm.role.size() > kMaxRoleBytes) return Corrupt("split: an arm must have a role");
  if (!IsSha256Hex(arm.ref.bundle)) return Corrupt("split: an arm's bundle must be a SHA-256");
  const Json share = json.value("share", Json());
  if (!share.is_number() || !(share.get<double>() > 0) || share.get<double>() > 1) return Corrupt("split: a share must be above 0 and at most 1");
  arm.share = share.get<double>();
  return arm;
}

}  // namespace

Result<std::optional<RouteSplit>> ReadSplit(const Json& route) {
  const Json json = route.value("split", Json());
  if (json.is_null()) return std::nullopt;
  RouteSplit split;
  RATCHET_ASSIGN(split.release, Number(json, "release"));
  RATCHET_ASSIGN(split.step, Number(json, "step"));
  bool known = false;
  for (const auto& [mode, name] : kModes)
    if (Text(json, "mode") == name) split.mode = mode, known = true;
  if (!known) return Corrupt("split: mode must be shadow, canary or ab");
  const Json arms = json.value("arms", Json());
  if (!arms.is_array() || arms.size() > kMaxArms) return Corrupt("split: arms must be a list of at most 16");
  double sum = 0;
  for (const Json& each : arms) {
    RATCHET_ASSIGN(SplitArm arm, ReadArm(each));
    sum += arm.share;
    split.arms.push_back(std::move(arm));
  }
  if (sum > 1 + 1e-9) return Corrupt("split: the shares must be at most 1 together");
  return split;
}

Json SplitJson(const std::optional<RouteSplit>& split) {
  if (!split) return nullptr;
  Json arms = Json::array();
  for (const SplitArm& arm : split->arms)
    arms.push_back({{"role", arm.role}, {"version", arm.ref.version}, {"bundle", arm.ref.bundle}, {"share", arm.share}});
  Json json = {{"release", split->release}, {"step", split->step}, {"arms", std::move(arms)}};
  for (const auto& [mode, name] : kModes)
    if (mode == split->mode) json["mode"] = name;
  return json;
}

Json ArmsJson(const ArmsTold& told) {
  Json arms = Json::object();
  for (const auto& [version, values] : told.arms) {
    Json latencies = Json::array();
    for (const auto& [bound_us, count] : values.latencies) latencies.push_back({bound_us, count});
    arms[std::to_string(version)] = {{"requests", values.requests}, {"errors", values.errors}, {"unkeyed", values.unkeyed},
                                     {"latencies", std::move(latencies)}};
  }
  Json counts = {{"arms", std::move(arms)}};
  if (told.shadow)
    counts["shadow"] = {{"compared", told.shadow->compared}, {"differing", told.shadow->differing}, {"dropped", told.shadow->dropped},
                        {"largest_difference", told.shadow->largest_difference}};
  return {{"release", told.release}, {"step", told.step}, {"instance", told.instance}, {"counts", std::move(counts)}};
}

}  // namespace ratchet::serving
