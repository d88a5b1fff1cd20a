#pragma once

#include <string>

#include "daemon/api.h"

namespace ratchet::daemon {

// All trials of a run's sweep, comparable: what they tried, how they did epoch by epoch, which is best; and the same as
// data of a parallel-coordinates plot. The shape is in docs/formats.md, "Trials"; without a sweep its lists are empty.
// `recipe_metric`: what the recipe is measured by, where the worker says so. Reads the progress of running trials.
Json TrialsJson(const registry::Run& run, const std::string& data_dir, const std::string& recipe_metric);

}  // namespace ratchet::daemon
