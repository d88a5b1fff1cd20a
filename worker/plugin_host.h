#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plugins/sdk/recipe.h"

namespace ratchet::worker {

// The recipes of the plugins that are loaded. Libraries stay loaded until the process ends. One thread.
class PluginHost {
 public:
  // Loads every `libratchet_plugin_*.so` of `folder`, in the order of their names. One that cannot be loaded, or whose
  // recipe's name is taken, is left out and told in Faults(). kNotFound: no such folder. Empty: no plugins.
  Status Load(const std::string& folder);

  const sdk::Recipe* Find(std::string_view name) const;  // nullptr: unknown
  std::vector<std::string> Names() const;
  const std::vector<Error>& Faults() const { return faults_; }

  // As in the `ready` packet of docs/formats.md.
  nlohmann::json Describe() const;

 private:
  void LoadOne(const std::string& path);

  std::vector<const sdk::Recipe*> recipes_;
  std::vector<Error> faults_;
};

}  // namespace ratchet::worker
