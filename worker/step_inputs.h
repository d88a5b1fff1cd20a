#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/step_spec.h"

// The inputs of a step by name: the packs of a split as one file each, and other steps' outputs.
namespace ratchet::worker {

inline constexpr char kTrainInput[] = "data.train";
inline constexpr char kValidationInput[] = "data.validation";

// Names in the order of the spec: `input_names` of step.json, or else train, validation and then files.
std::vector<std::string> InputNames(const StepSpec& spec);

// Name → path. A split of several packs is one file in `folder`, which MergeInputs writes.
std::map<std::string, std::string> InputPaths(const StepSpec& spec, const std::string& folder);

// Writes FOLDER/inputs.json (name → path) and FOLDER/params.json, not durably. `merged`: the folder of InputPaths.
Status WriteInputs(const StepSpec& spec, const std::string& folder, const std::string& merged);

// Makes the files of splits that have several packs.
Status MergeInputs(const StepSpec& spec, const std::string& folder);

}  // namespace ratchet::worker
