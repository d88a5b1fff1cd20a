#include "worker/plugin_host.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/digest.h"

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

Status PluginHost::Load(const std::string& folder, Which which) {
  std::error_code failed;
  std::vector<std::string> libraries;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const auto name = entry.path().filename().string();
    const bool wanted = name.starts_with("libratchet_steps_") || (which == Which::kAll && name.starts_with("libratchet_plugin_"));
    if (wanted && name.ends_with(".so")) libraries.push_back(entry.path().string());
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
  const auto build = Sha256File(path);
  if (!build) return fault(build.error().cause);
  std::vector<Entry> offered;
  for (const auto* recipe : plugin->recipes) offered.push_back({recipe, nullptr, *build});
  for (const auto* step : plugin->steps) offered.push_back({nullptr, step, *build});
  for (auto& entry : offered) {
    if (FindEntry(entry.info().name) == nullptr)
      entries_.push_back(std::move(entry));
    else
      fault("its recipe " + entry.info().name + " is there already");
  }
}

const PluginHost::Entry* PluginHost::FindEntry(std::string_view name) const {
  const auto it = std::ranges::find_if(entries_, [&](const auto& entry) { return entry.info().name == name; });
  return it == entries_.end() ? nullptr : &*it;
}

const sdk::Recipe* PluginHost::Find(std::string_view name) const {
  const auto* entry = FindEntry(name);
  return entry == nullptr ? nullptr : entry->recipe;
}

const sdk::StepRecipe* PluginHost::FindStep(std::string_view name) const {
  const auto* entry = FindEntry(name);
  return entry == nullptr ? nullptr : entry->step;
}

std::vector<std::string> PluginHost::Names() const {
  std::vector<std::string> names;
  for (const auto& entry : entries_)
    if (entry.recipe != nullptr) names.push_back(entry.info().name);
  return names;
}

std::vector<std::string> PluginHost::StepNames() const {
  std::vector<std::string> names;
  for (const auto& entry : entries_)
    if (entry.step != nullptr) names.push_back(entry.info().name);
  return names;
}

nlohmann::json PluginHost::Describe() const {
  auto described = nlohmann::json::array();
  for (const auto& entry : entries_) {
    const auto& info = entry.info();
    auto params = nlohmann::json::array();
    for (const auto& param : info.params) params.push_back(DescribeParam(param));
    described.push_back({{"name", info.name},
                         {"summary", info.summary},
                         {"task", info.task},
                         {"metric", info.metric},
                         {"baseline", info.baseline},
                         {"build", entry.build},
                         {"params", params}});
  }
  return described;
}

}  // namespace ratchet::worker
