#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"

// What a recipe implements. A plugin is a shared library `libratchet_plugin_<name>.so` that exports
//   extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3();
// One that links no LibTorch and only has recipes for `steps:` (sdk/step_recipe.h) is better called
// `libratchet_steps_<name>.so`: its steps run in the small fork server, where they start four times as fast.
// This header knows nothing of LibTorch: a recipe writes `model.pt` itself (sdk/torch_bundle.h helps).
namespace ratchet::sdk {

enum class ParamType { kInteger, kReal, kBoolean, kText };

// One parameter of a recipe: its default, range and one line of help. `train.params` is checked against these.
struct Param {
  std::string name;
  ParamType type = ParamType::kReal;
  nlohmann::json default_value;
  std::optional<double> min, max;    // numbers, inclusive
  std::vector<std::string> choices;  // text; empty = any
  std::string help;
};

struct RecipeInfo {
  std::string name;     // "vision.classifier"
  std::string summary;  // one sentence
  std::string task;     // "classification" or "regression"; "step" for what trains nothing
  std::string metric;   // the default test metric: "accuracy", "mae", …
  std::vector<Param> params;
  // What the first version must beat by the default metric: "majority" for classification, "mean" or "median" for
  // regression. Empty: the one that is best under the metric.
  std::string baseline = {};
};

// One report of how training goes; a line of progress.jsonl. Fields that are not known are left empty.
struct Progress {
  std::string phase;               // "load", "train", "validate", "save"
  std::int64_t epoch = 0, of = 0;  // 1-based; 0 = not yet
  std::int64_t from = 0;           // epochs that an earlier attempt did, of whose checkpoint this one goes on
  std::int64_t step = 0, steps = 0;
  double rows_per_s = 0;
  std::optional<double> loss;
  nlohmann::json metrics = nlohmann::json::object();
  std::string message;
};

// All that training may read. Paths are readable inside the sandbox, the work folder is writable.
struct TrainInput {
  std::vector<std::string> train_packs, validation_packs;  // of one schema; validation may be empty
  std::map<std::string, std::string> files;  // other steps' outputs that the spec names as inputs: name → path
  lake::Schema schema;
  std::string target;     // the column to learn
  std::string key;        // a column that is an identifier, not a feature; may be empty
  nlohmann::json params;  // checked and completed with the defaults
  std::uint64_t seed = 0;
  int threads = 1;
  std::string device = "auto";        // auto = CUDA where there is one; cpu
  std::string work_folder;            // for the recipe's own files
  std::string checkpoint_folder;      // written after every epoch, atomically
  std::optional<std::string> resume;  // checkpoint folder of an earlier attempt, or nothing
  std::string model_path;             // where `model.pt` has to be
  std::function<void(const Progress&)> report;
};

// What training hands back beside `model.pt`: the parts of the manifest that only the recipe knows.
struct TrainOutput {
  nlohmann::json signature;  // {"inputs":[…],"outputs":[…]}, docs/formats.md
  nlohmann::json classes;    // array for classification, null for regression
  nlohmann::json metrics;    // {"validation_accuracy":0.9,…}
  std::int64_t epochs = 0;
  std::int64_t rows = 0;  // training rows used
};

// One trainable algorithm. Stateless; Train runs in a child process of its own and may take as long as its limits
// allow.
class Recipe {
 public:
  virtual ~Recipe() = default;
  virtual const RecipeInfo& Info() const = 0;
  // Same input and seed on the same machine give bit-equal weights. kInvalid: the data or the parameters do not suit.
  virtual Result<TrainOutput> Train(const TrainInput& input) const = 0;
};

class StepRecipe;  // sdk/step_recipe.h

struct Plugin {
  const char* name;  // "vision"
  const char* version;
  std::vector<const Recipe*> recipes;  // owned by the plugin, alive as long as the library is loaded
  std::vector<const StepRecipe*> steps = {};
};

using PluginEntry = const Plugin* (*)();
inline constexpr char kPluginEntrySymbol[] = "ratchet_plugin_v3";

// Fills defaults in and refuses unknown names (with the near one), wrong types and values out of range.
Result<nlohmann::json> CompleteParams(const RecipeInfo& info, const nlohmann::json& given);

}  // namespace ratchet::sdk
