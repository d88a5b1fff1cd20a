#include "serving/traffic.h"

namespace ratchet::serving {
namespace {

std::string VersionList(const ServedModel& model) {
  std::string text;
  for (const auto& [version, served] : model.ready) text += (text.empty() ? "" : ", ") + std::to_string(version);
  return text.empty() ? "none yet" : text;
}

Result<Picked> PickNamed(const ServedModel& model, std::int64_t named) {
  if (auto found = model.ready.find(named); found != model.ready.end()) return Picked{.version = found->second, .role = "version"};
  return std::unexpected(Error{.code = ErrorCode::kNotFound,
                               .cause = "version " + std::to_string(named) + " of model " + model.name +
                                        " is not served here (served: " + VersionList(model) + ")"});
}

}  // namespace

Result<Picked> PickVersion(const ServedModel& model, std::optional<std::int64_t> named, std::string_view /*sticky_key*/) {
  if (named) return PickNamed(model, *named);
  if (model.live) return Picked{.version = model.live};
  return std::unexpected(
      Error{.code = ErrorCode::kUnavailable, .cause = "model " + model.name + " has no live version ready"});
}

}  // namespace ratchet::serving
