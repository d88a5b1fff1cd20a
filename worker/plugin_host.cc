#include "worker/plugin_host.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>

namespace ratchet::worker {
namespace {

std::string_view ParamTypeName(sdk::ParamType type) {
  switch (type) {
    case sdk::ParamType::kInteger:
      return "integer";
    case sdk::ParamType::kReal:
      return "real";
    case sdk::ParamType::kBoolean:
      return "boolean";
    case sdk::ParamType::kText:
      return "text";
  }
  return "text";
}

nlohmann::json DescribeParam(const sdk::Param& param) {
  nlohmann::json described{{"name", param.name},
                           {"type", ParamTypeName(param.type)},
                           {"default", param.default_value},
                           {"help", param.help}};
  const auto bound = [&](const char* key, double value) {
    if (param.type == sdk::ParamType::kInteger)
      described[key] = static_cast<std::int64_t>(value);
    else
      described[key] = value;
  };
  if (param.min) bound("min", *param.min);
  if (param.max) bound("max", *param.max);
  if (!param.choices.empty()) described["choices"] = param.choices;
  return described;
}

}  // namespace

Status PluginHost::Load(const std::string& folder) {
  std::error_code failed;
  std::vector<std::string> libraries;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("libratchet_plugin_") && name.ends_with(".so")) libraries.push_back(entry.path().string());
  }
  if (failed)
    return Fail(ErrorCode::kNotFound, "read plugins", folder, failed.message(), "Name their folder by --plugins.");
  std::ranges::sort(libraries);
  for (const auto& path : libraries) LoadOne(path);
  return {};
}

void PluginHost::LoadOne(const std::string& path) {
  const auto fault = [&](const std::string& cause) {
    faults_.push_back(Fail(ErrorCode::kInvalid, "load plugin", path, cause).error());
  };
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fault(dlerror());
  const auto entry = reinterpret_cast<sdk::PluginEntry>(dlsym(library, sdk::kPluginEntrySymbol));
  if (entry == nullptr) return fault(std::string("it does not export ") + sdk::kPluginEntrySymbol);
  const auto* plugin = entry();
  if (plugin == nullptr) return fault("it gives no plugin");
  for (const auto* recipe : plugin->recipes) {
    if (Find(recipe->Info().name) == nullptr)
      recipes_.push_back(recipe);
    else
      fault("its recipe " + recipe->Info().name + " is there already");
  }
}

const sdk::Recipe* PluginHost::Find(std::string_view name) const {
  const auto it = std::ranges::find_if(recipes_, [&](const auto* recipe) { return recipe->Info().name == name; });
  return it == recipes_.end() ? nullptr : *it;
}

std::vector<std::string> PluginHost::Names() const {
  std::vector<std::string> names;
  for (const auto* recipe : recipes_) names.push_back(recipe->Info().name);
  return names;
}

nlohmann::json PluginHost::Describe() const {
  auto described = nlohmann::json::array();
  for (const auto* recipe : recipes_) {
    const auto& info = recipe->Info();
    auto params = nlohmann::json::array();
    for (const auto& param : info.params) params.push_back(DescribeParam(param));
    described.push_back({{"name", info.name},
                         {"summary", info.summary},
                         {"task", info.task},
                         {"metric", info.metric},
                         {"params", params}});
  }
  return described;
}

}  // namespace ratchet::worker
