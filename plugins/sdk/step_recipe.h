#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "plugins/sdk/recipe.h"

// A recipe for a step of the pipeline that trains nothing: a join, features, labelling.
namespace ratchet::sdk {

struct StepInput {
  std::string name;  // as in the pipeline's spec: "data.train", "join.joined.pack"
  std::string path;  // one file; a split of several packs has been made one
};

// All that a step may read and write. The files of `inputs` must not be changed.
struct StepContext {
  std::vector<StepInput> inputs;  // in the order of the spec
  std::vector<std::string> outputs;
  std::string out_folder;  // each output has to be a regular file of its name in here
  nlohmann::json params;   // checked and completed with the defaults
  std::uint64_t seed = 0;
  int threads = 1;
  std::string work_folder;  // for the recipe's own files
  std::function<void(const Progress&)> report;
};

// Stateless; Run is called in a child process of its own and may take as long as its limits allow.
class StepRecipe {
 public:
  virtual ~StepRecipe() = default;
  // `task` is "step", `metric` empty.
  virtual const RecipeInfo& Info() const = 0;
  // Same context, same bytes in the outputs. Gives metrics to be shown, {"rows":120}; may be empty. kInvalid: the
  // inputs or the parameters do not suit.
  virtual Result<nlohmann::json> Run(const StepContext& context) const = 0;
};

}  // namespace ratchet::sdk
