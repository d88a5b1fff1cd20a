#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cli/client.h"
#include "cli/console.h"

namespace ratchet::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitOutOfReach = 3;
inline constexpr int kExitInterrupted = 130;

// What a command ends with: its exit code, or an error that main prints and turns into one.
using Outcome = Result<int>;

enum class OutputFormat { kTable, kJson };

// What the global options and the environment say.
struct GlobalOptions {
  std::string server = "http://127.0.0.1:7300";
  std::string token;
  std::string output = "table";
  bool quiet = false;
  bool no_color = false;
};

// What may stand where an argument stands; completion asks the server for it.
enum class Completes { kFile, kPipeline, kModel, kModelVersion, kDataset, kRun };

// Everything a command gets. Lives in main, outlives every command. One thread.
struct Context {
  explicit Context(Surroundings around) : console(around) {}

  GlobalOptions options;
  Console console;
  SystemClock clock;
  std::function<Outcome()> chosen;  // set by the command that was named
  std::map<const CLI::Option*, Completes> completions;

  bool Json() const { return options.output == "json"; }
  Result<Client> Connect() const;
};

// Each adds its commands below `root`.
void AddStatusCommand(CLI::App& root, Context& context);
void AddDoctorCommand(CLI::App& root, Context& context);
void AddPipelineCommands(CLI::App& root, Context& context);
void AddRunCommands(CLI::App& root, Context& context);
void AddDatasetCommands(CLI::App& root, Context& context);
void AddModelCommands(CLI::App& root, Context& context);
void AddReleaseCommands(CLI::App& root, Context& context);  // promote, rollback, release list
void AddPredictCommand(CLI::App& root, Context& context);
void AddFeedbackCommand(CLI::App& root, Context& context);
void AddAuditCommands(CLI::App& root, Context& context);
void AddCompletionCommand(CLI::App& root, Context& context);

// Prints a server's answer as it came, with a newline at its end.
void PrintRaw(Console& console, std::string_view body);
// What the command line made itself as one array, one item a line.
void PrintItems(Console& console, const Json& items);
// A list of the server's as the one page that Client::GetList makes of it, one item a line.
void PrintList(Console& console, const Json& list);
// Below a table that a limit cut: how to get what comes next.
void NoteMore(Console& console, const Json& list);

// --limit and --after of a command that lists.
struct PageOptions {
  std::size_t limit = 0;  // 0 = all
  std::string after;      // the cursor of an answer before; empty = from the first
};
void AddPageOptions(CLI::App* command, PageOptions& options);

// "name@7" taken apart; version 0 = none was given.
struct VersionedName {
  std::string name;
  std::int64_t version = 0;
};
enum class VersionIs { kOptional, kRequired };
Result<VersionedName> ParseVersionedName(std::string_view kind, std::string_view text, VersionIs version_is);

}  // namespace ratchet::cli
