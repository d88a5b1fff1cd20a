#pragma once

#include "pipeline/spec.h"
#include "pipeline/yaml_tree.h"

namespace ratchet::pipeline {

// The one grammar of a spec, whether it came as text or as JSON values. Faults as ParseSpec tells them.
Result<Spec> SpecFromTree(const YamlNode& tree, const Known& known = {});

}  // namespace ratchet::pipeline
