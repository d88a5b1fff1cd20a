#include "cli/program.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>

#include "base/names.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/human.h"

namespace ratchet::cli {
namespace {

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--server", options.server, "Address of ratchetd (default http://127.0.0.1:7300)")
      ->type_name("URL")
      ->envname("RATCHET_SERVER");
  app.add_option("--token", options.token, "Access token; prefer RATCHET_TOKEN")
      ->type_name("TOKEN")
      ->envname("RATCHET_TOKEN");
  app.add_option("-o,--output", options.output, "table, for people, or json, for programs (see 'ratchet --help')")
      ->type_name("table|json")
      ->check(OneOf({"table", "json"}));
  app.add_flag("-q,--quiet", options.quiet, "Say nothing but results and errors: no progress, no confirmations");
  app.add_flag("--no-color", options.no_color, "No colours, even on a terminal");
}

// Whether the words ask for JSON, told before they are parsed, since a line that cannot be parsed has an answer too.
bool AsksForJson(int argc, char** argv) {
  bool json = false;
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    const std::string_view word = argv[i];
    if ((word == "-o" || word == "--output") && i + 1 < argc)
      json = std::string_view(argv[i + 1]) == "json";
    else if (word.starts_with("-o") || word.starts_with("--output="))
      json = word == "-ojson" || word == "-o=json" || word == "--output=json";
  }
  return json;
}

std::string Dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string ItemLines(const Json& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) text += (i == 0 ? "\n" : ",\n") + Dumped(items[i]);
  return text + (items.empty() ? "]" : "\n]");
}

// Commands that Ratchet is to have and this version has not.
constexpr std::string_view kLater[] = {"backup",       "restore",       "token",
                                       "model import", "audit verify",  "release abort",   "release approve"};

// The first word of the command line that stands where a command should and is none.
struct UnknownCommand {
  std::string path;               // with the words before it: "release abort"
  std::string word;               // empty = there is none
  std::vector<std::string> known;  // what could stand there
};

UnknownCommand FindUnknownCommand(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  UnknownCommand found;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) {
      const bool takes_value = word == "--server" || word == "--token" || word == "--output" || word == "-o";
      if (takes_value) ++i;
      continue;
    }
    found.known.clear();
    const CLI::App* next = nullptr;
    for (const CLI::App* command : at->get_subcommands({})) {
      found.known.push_back(command->get_name());
      if (command->get_name() == word) next = command;
    }
    if (found.known.empty()) return found;
    found.path += (found.path.empty() ? "" : " ") + word;
    if (!next) {
      found.word = word;
      return found;
    }
    at = next;
  }
  return found;
}

std::string Suggestion(const UnknownCommand& unknown) {
  std::string near = NearestName(unknown.word, unknown.known);
  // Two letters that changed places are two edits, and the commonest slip.
  for (const std::string& command : unknown.known)
    if (near.empty() && unknown.word.size() > 3 && EditDistance(unknown.word, command) <= 2) near = command;
  return near.empty() ? "" : fmt::format(" Did you mean '{}'?", near);
}

// A wrong command line told: what is wrong, and where the right one stands.
int RefuseUsage(Context& context, const std::string& what, const std::string& see) {
  if (context.Json()) {
    context.console.ErrorLine(
        ErrorJson({.code = ErrorCode::kInvalid,
                   .operation = {},
                   .subject = {},
                   .cause = what,
                   .hint = see,
                   .field = {}}));
    return kExitUsage;
  }
  context.console.ErrorLine(fmt::format("{} {}", context.console.OnErr(Paint::kRed, "ratchet:"), what));
  context.console.ErrorLine(see);
  return kExitUsage;
}

int RefuseUnknown(const UnknownCommand& unknown, Context& context) {
  const bool later = std::find(std::begin(kLater), std::end(kLater), unknown.path) != std::end(kLater);
  const std::string what = later ? fmt::format("'{}' is not in this version.", unknown.path)
                                 : "no such command." + Suggestion(unknown);
  const std::string group = unknown.path.substr(0, unknown.path.size() - unknown.word.size());
  return RefuseUsage(context, what, fmt::format("See 'ratchet {}--help'.", later ? "" : OneLine(group)));
}

// The command as far as it was understood: "ratchet run start".
std::string UnderstoodCommand(const CLI::App& app) {
  std::string name = app.get_name();
  auto parsed = app.get_subcommands();
  return parsed.empty() ? name : name + " " + UnderstoodCommand(*parsed.front());
}

const CLI::App& DeepestParsed(const CLI::App& app) {
  auto parsed = app.get_subcommands();
  return parsed.empty() ? app : DeepestParsed(*parsed.front());
}

std::string Lowered(std::string text) {
  if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[0])) &&
      std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

int UsageFailure(const CLI::App& app, const CLI::ParseError& error, Context& context) {
  std::string what = error.what();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) &&
      !DeepestParsed(app).get_subcommands({}).empty())
    what = app.get_subcommands().empty() ? "no command was given." : "it needs one more word.";
  return RefuseUsage(context, Lowered(OneLine(what)), fmt::format("See '{} --help'.", UnderstoodCommand(app)));
}

int Report(Context& context, const Error& error) {
  context.console.ErrorLine(context.Json() ? ErrorJson(error)
                                           : context.console.OnErr(Paint::kRed, "ratchet:") + " " + ErrorText(error));
  return OutOfReach(error) ? kExitOutOfReach : kExitFailed;
}

}  // namespace

std::string ErrorText(const Error& error) {
  std::string text;
  if (error.details.empty()) {
    if (error.line > 0) text += fmt::format("line {}: ", error.line);
    if (!error.field.empty()) text += error.field + ": ";
  }
  text += error.Message();
  for (const FieldError& detail : error.details) {
    text += "\n  ";
    if (detail.line > 0) text += fmt::format("line {}: ", detail.line);
    if (!detail.field.empty()) text += detail.field + ": ";
    text += detail.detail;
  }
  if (!text.ends_with('.') && !text.ends_with('?') && !text.ends_with('!') && error.details.empty()) text += '.';
  return text;
}

std::string ErrorJson(const Error& error) {
  Error sentence = error;
  sentence.hint.clear();
  std::vector<FieldError> faults = error.details;
  if (faults.empty() && (error.line > 0 || !error.field.empty()))
    faults.push_back({.field = error.field, .line = error.line, .detail = error.cause});
  Json errors = Json::array();
  for (const FieldError& fault : faults)
    errors.push_back({{"field", fault.field},
                      {"line", fault.line > 0 ? Json(fault.line) : Json()},
                      {"detail", fault.detail}});
  return Dumped({{"code", ErrorCodeName(error.code)},
                 {"message", sentence.Message()},
                 {"hint", error.hint.empty() ? Json() : Json(error.hint)},
                 {"errors", std::move(errors)}});
}

Result<Client> Context::Connect() const {
  RATCHET_ASSIGN(ServerUrl url, ParseServerUrl(options.server));
  return Client(std::move(url), options.token);
}

void PrintRaw(Console& console, std::string_view body) {
  console.Out(body);
  if (!body.ends_with('\n')) console.Out("\n");
}

void PrintItems(Console& console, const Json& items) { console.OutLine(ItemLines(items)); }

void PrintList(Console& console, const Json& list) {
  const std::string next = Dumped(Field(list, "next"));
  console.OutLine(fmt::format(R"({{"items":{},"next":{}}})", ItemLines(Field(list, "items")), next));
}

void NoteMore(Console& console, const Json& list) {
  if (const Json& next = Field(list, "next"); !next.is_null())
    console.NoteLine("There are more: --after " + OneLine(ShownValue(next)));
}

void AddPageOptions(CLI::App* command, PageOptions& options) {
  command->add_option("--limit", options.limit, "At most so many (default all)")->type_name("N");
  command->add_option("--after", options.after, "Go on behind this cursor: the `next` of an answer before")
      ->type_name("CURSOR");
}

Result<VersionedName> ParseVersionedName(std::string_view kind, std::string_view text, VersionIs version_is) {
  size_t at = text.find('@');
  VersionedName parsed{.name = std::string(text.substr(0, at))};
  RATCHET_TRY(CheckName(kind, parsed.name));
  if (at == std::string_view::npos) {
    if (version_is == VersionIs::kOptional) return parsed;
    return Fail(ErrorCode::kInvalid, "read", Quoted(text), "it names no version",
                fmt::format("Write {}@7", parsed.name));
  }
  std::string_view digits = text.substr(at + 1);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.version);
  if (error != std::errc() || end != digits.data() + digits.size() || parsed.version < 1)
    return Fail(ErrorCode::kInvalid, "read", Quoted(text), "the version is not a whole number from 1",
                fmt::format("Write {}@7", parsed.name));
  return parsed;
}

std::unique_ptr<CLI::App> BuildCommandLine(Context& context) {
  auto app = std::make_unique<CLI::App>(
      std::string("train, judge, release and serve models: the command line of Ratchet\x1f") +
          "Ratchet runs the loop dev, test, retrain, release for every model of a team. A model moves\n"
          "forward only when a new version is proven better than the live one on rows that its\n"
          "training never saw; a rollback takes one command and no time.\n\n"
          "Names are 1 to 64 characters of a-z, 0-9, '-', '_' and '.'; a version is written NAME@7.",
      "ratchet");
  app->formatter(std::make_shared<HelpPage>());
  app->set_help_flag("-h,--help", "Show this page");
  app->set_version_flag("--version", "ratchet " RATCHET_VERSION, "Show the program's version");
  app->footer(
      "ratchet dataset push parcels parcels-1.pack --key id\n"
      "ratchet pipeline apply parcel-sorter.yaml\n"
      "ratchet run start parcel-sorter --wait\n"
      "ratchet predict parcel-sorter photo.png\n"
      "ratchet rollback parcel-sorter");
  app->fallthrough();
  app->require_subcommand(1);
  AddGlobalOptions(*app, context.options);
  AddStatusCommand(*app, context);
  AddDoctorCommand(*app, context);
  AddPipelineCommands(*app, context);
  AddRunCommands(*app, context);
  AddDatasetCommands(*app, context);
  AddModelCommands(*app, context);
  AddReleaseCommands(*app, context);
  AddPredictCommand(*app, context);
  AddFeedbackCommand(*app, context);
  AddAuditCommands(*app, context);
  AddCompletionCommand(*app, context);
  return app;
}

int RunProgram(int argc, char** argv) {
  // A server that goes away during an upload is an error to tell, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  Context context(LookAround());
  auto app = BuildCommandLine(context);
  if (argc > 1 && std::string_view(argv[1]) == kCompleteWord)
    return PrintCompletions(*app, context, std::vector<std::string>(argv + 2, argv + argc));
  if (AsksForJson(argc, argv)) context.options.output = "json";
  if (const UnknownCommand unknown = FindUnknownCommand(*app, argc, argv); !unknown.word.empty())
    return RefuseUnknown(unknown, context);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);
    return UsageFailure(*app, error, context);
  }
  context.console.SetQuiet(context.options.quiet);
  if (context.options.no_color) context.console.ForbidColor();
  const char* terminal = std::getenv("TERM");
  context.console.SetDumb(terminal != nullptr && std::string_view(terminal) == "dumb");
  Outcome outcome = context.chosen();
  return outcome ? *outcome : Report(context, outcome.error());
}

}  // namespace ratchet::cli
