#pragma once

#include <nlohmann/json.hpp>

#include "pipeline/spec.h"

namespace ratchet::pipeline {

// Checks the recipes of the training and of own steps, with their parameters and the values of a sweep, against what the
// workers can run: `recipes` is the list of the fork server's `ready` message ([{"name","task","metric","params":
// [{"name","type","default","min","max"}]}]; task "step": for own steps). kInvalid with one FieldError for each fault: an
// unknown recipe, an unknown parameter ("did you mean …?"), a wrong type, a value out of range. Commands pass. For a spec
// that has no text, such as one with overrides; ParseSpec checks the same with the lines.
Status CheckRecipe(const Spec& spec, const nlohmann::json& recipes);

}  // namespace ratchet::pipeline
