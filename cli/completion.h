#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace ratchet::cli {

// The hidden first word by which the shells ask.
inline constexpr const char* kCompleteWord = "__complete";

// What may stand in place of the last of `words` (the command line after the program's name, the last word as far as it
// is typed): sub-commands, options, their values, and names that the server knows. Empty = the shell's own file names.
// Asks the server silently and for a second at most.
std::vector<std::string> Completions(const CLI::App& app, Context& context, const std::vector<std::string>& words);

// Prints them one a line; always returns 0.
int PrintCompletions(const CLI::App& app, Context& context, const std::vector<std::string>& words);

}  // namespace ratchet::cli
