#include "pipeline/step_cache.h"

#include <algorithm>

#include "base/digest.h"

namespace ratchet::pipeline {
namespace {

using Json = nlohmann::json;

// "/data/blobs/sha256/ab/abcd…" → "abcd…"; within lists and maps as well.
Json Digests(const Json& paths) {
  if (paths.is_string()) {
    const std::string path = paths;
    return path.substr(path.rfind('/') + 1);
  }
  Json digests = paths;
  for (Json& part : digests) part = Digests(part);
  return digests;
}

bool AsksTheTime(const Json& expect) {
  return std::ranges::any_of(expect, [](const Json& item) { return item.is_object() && item.contains("fresh"); });
}

}  // namespace

std::optional<std::string> CacheKey(const Json& step, const std::string& build) {
  const std::string kind = step.at("kind");
  if (kind == "test") return std::nullopt;
  Json key = {{"format", 1}, {"kind", kind}, {"build", build}, {"recipe", step.at("recipe")},
              {"inputs", Digests(step.at("inputs"))}, {"input_names", step.value("input_names", Json())}, {"outputs", step.value("outputs", Json())}};
  if (kind != "validate")  // which asks about the data alone
    key.update({{"params", step.at("params")}, {"seed", step.at("seed")}, {"command", step.at("command")},
                {"command_files", Digests(step.at("command_files"))}, {"cpus", step.at("limits").at("cpus")}});
  const Json& data = step.at("data");
  if (data.is_object()) {
    key["target"] = data.at("target");
    key["key"] = data.at("key");
    key["schema"] = data.at("schema");
    if (kind == "validate") key["expect"] = data.at("expect");
    if (kind == "validate" && AsksTheTime(data.at("expect"))) return std::nullopt;
  }
  return Sha256Hex(key.dump());
}

std::string BuildOf(const Json& step, const Json& ready) {
  if (!step.at("recipe").is_string() || !ready.is_object()) return "";
  for (const Json& recipe : ready.value("recipes", Json::array()))
    if (recipe.value("name", "") == step["recipe"].get<std::string>()) return recipe.value("build", "") + ready.value("torch", "");
  return "";
}

}  // namespace ratchet::pipeline
