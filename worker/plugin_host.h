#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plugins/sdk/recipe.h"
#include "plugins/sdk/step_recipe.h"

namespace ratchet::worker {

// The recipes of the plugins that are loaded. Libraries stay loaded until the process ends. One thread.
class PluginHost {
 public:
  // kLight: `libratchet_steps_*.so`, plugins that link no LibTorch and bring recipes for `steps:` only. kAll: these and
  // `libratchet_plugin_*.so`.
  enum class Which { kAll, kLight };

  // Loads the libraries of `folder`, in the order of their names. One that cannot be loaded, or whose recipe's name is
  // taken, is left out and told in Faults(). kNotFound: no such folder.
  Status Load(const std::string& folder, Which which = Which::kAll);

  const sdk::Recipe* Find(std::string_view name) const;  // nullptr: unknown
  const sdk::StepRecipe* FindStep(std::string_view name) const;
  std::vector<std::string> Names() const;  // of those that train
  std::vector<std::string> StepNames() const;
  const std::vector<Error>& Faults() const { return faults_; }

  // As in the `ready` packet of docs/formats.md.
  nlohmann::json Describe() const;

 private:
  // Just one of the two recipes is there.
  struct Entry {
    const sdk::Recipe* recipe = nullptr;
    const sdk::StepRecipe* step = nullptr;
    std::string build;  // SHA-256 of the library
    const sdk::RecipeInfo& info() const { return recipe != nullptr ? recipe->Info() : step->Info(); }
  };

  void LoadOne(const std::string& path);
  const Entry* FindEntry(std::string_view name) const;

  std::vector<Entry> entries_;
  std::vector<Error> faults_;
};

}  // namespace ratchet::worker
