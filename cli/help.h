#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace ratchet::cli {

// What a command's help page says, beside its options.
struct CommandText {
  std::string name;
  std::string summary;           // a few words, no full stop
  std::string details;           // whole sentences; lines are wrapped where they stand
  std::string examples;          // shell lines, one a line, without prompt
  std::string exit_status = {};  // in place of the common meanings, where a command says more
};

// Adds a command that does something: `run` is what it does. The returned App takes the options.
CLI::App* AddCommand(CLI::App& parent, Context& context, const CommandText& text, std::function<Outcome()> run);
// Adds a word under which commands stand ("run", "model").
CLI::App* AddGroup(CLI::App& root, const std::string& name, const std::string& summary, const std::string& details);

// A required argument: checked to be a name, a NAME@V (or, where the term says so, a NAME[@V]) by what it completes to.
CLI::Option* AddArgument(CLI::App* command, Context& context, const std::string& term, std::string& target,
                         const std::string& help, Completes completes);

// Checks of an option's value that say what is allowed.
CLI::Validator NameOf(Completes what);
CLI::Validator KeyAndValue();
CLI::Validator OneOf(std::vector<std::string> allowed);
CLI::Validator WholeNumberFromOne();
CLI::Validator NumberWithin(double least, double most);

// Man-page layout for every command: synopsis, description, arguments, options, commands, examples, exit status,
// environment. Inherited by sub-commands.
class HelpPage final : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace ratchet::cli
