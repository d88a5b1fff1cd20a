#pragma once

#include <CLI/CLI.hpp>

#include "cli/context.h"
#include "cli/json_fields.h"

namespace ratchet::cli {

// What the release under way, if the list has one, shares and waits for, beneath its table.
void ShowReleaseUnderWay(Context& context, const Json& list);

// `release approve` and `release abort`.
void AddReleaseStepCommands(CLI::App& group, Context& context);

}  // namespace ratchet::cli
