#pragma once

#include <memory>

#include "cli/context.h"

namespace ratchet::cli {

// The whole command line with every command, its callbacks bound to `context`.
std::unique_ptr<CLI::App> BuildCommandLine(Context& context);

// Reads the arguments, does what they say, prints what went wrong; returns the exit code.
int RunProgram(int argc, char** argv);

// The lines that tell of an error. Exposed for tests.
std::string ErrorText(const Error& error);
// The same for programs, on one line: {"code","message","hint":null|"…","errors":[{"field","line":null|n,"detail"}]}.
std::string ErrorJson(const Error& error);

}  // namespace ratchet::cli
