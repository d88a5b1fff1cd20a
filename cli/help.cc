#include "cli/help.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/names.h"
#include "cli/human.h"

namespace ratchet::cli {
namespace {

constexpr size_t kPageWidth = 80;
constexpr size_t kTermWidth = 26;
// Divides what one description string carries; CLI11 has one description and one footer for each command.
constexpr char kDivider = '\x1f';

std::string Part(const std::string& text, size_t index) {
  size_t begin = 0;
  for (; index > 0; --index) {
    size_t divider = text.find(kDivider, begin);
    if (divider == std::string::npos) return {};
    begin = divider + 1;
  }
  return text.substr(begin, text.find(kDivider, begin) - begin);
}

std::string Indented(const std::string& text, const std::string& indent) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    out += (end > begin ? indent : "") + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out;
}

// Paragraphs wrapped to the page; a line that begins with a space keeps its layout.
std::string Reflowed(const std::string& text) {
  std::string out;
  size_t column = 0;
  auto end_line = [&] {
    if (column > 0) out += "\n";
    column = 0;
  };
  for (const std::string& line : CLI::detail::split(text, '\n')) {
    if (line.empty() || line[0] == ' ') {
      end_line();
      out += (line.empty() ? "" : "  ") + line + "\n";
      continue;
    }
    for (const std::string& word : CLI::detail::split(line, ' ')) {
      if (column > 0 && column + 1 + DisplayWidth(word) > kPageWidth) end_line();
      out += (column == 0 ? "  " : " ") + word;
      column += (column == 0 ? 2 : 1) + DisplayWidth(word);
    }
  }
  end_line();
  return out;
}

// "  term    words wrapped beside it"
std::string Entry(const std::string& term, const std::string& words) {
  std::string out = "  " + term;
  size_t column = 2 + DisplayWidth(term);
  auto start_line = [&] {
    out += "\n" + std::string(kTermWidth, ' ');
    column = kTermWidth;
  };
  if (column + 2 > kTermWidth)
    start_line();
  else {
    out += std::string(kTermWidth - column, ' ');
    column = kTermWidth;
  }
  bool first = true;
  for (const std::string& word : CLI::detail::split(words, ' ')) {
    size_t width = DisplayWidth(word);
    if (!first && column + 1 + width > kPageWidth) start_line(), first = true;
    out += (first ? "" : " ") + word;
    column += width + (first ? 0 : 1);
    first = false;
  }
  return out + "\n";
}

std::string FullName(const CLI::App* app) {
  return app->get_parent() ? FullName(app->get_parent()) + " " + app->get_name() : app->get_name();
}

std::string ArgumentName(const CLI::Option* option) {
  std::string name = option->get_single_name();
  if (option->get_expected_max() > 1) name += "...";
  return option->get_required() ? name : "[" + name + "]";
}

std::string OptionTerm(const CLI::Option* option) {
  std::string term = option->get_name(false, true);
  size_t comma = term.find(',');
  if (comma != std::string::npos) term.insert(comma + 1, " ");
  if (option->get_type_size() > 0 && !option->get_type_name().empty()) term += " " + option->get_type_name();
  return term;
}

bool IsPositional(const CLI::Option* option) { return option->get_positional(); }

std::string Synopsis(const CLI::App* app) {
  std::string line = "  " + FullName(app);
  if (!app->get_subcommands({}).empty()) return line + " [OPTIONS] COMMAND ...\n";
  for (const CLI::Option* option : app->get_options({}))
    if (!IsPositional(option) && option->get_required()) line += " " + OptionTerm(option);
  line += " [OPTIONS]";
  for (const CLI::Option* option : app->get_options({}))
    if (IsPositional(option)) line += " " + ArgumentName(option);
  return line + "\n";
}

std::string Arguments(const CLI::App* app) {
  std::string out;
  for (const CLI::Option* option : app->get_options({}))
    if (IsPositional(option)) out += Entry(option->get_single_name(), option->get_description());
  return out.empty() ? "" : "\nARGUMENTS\n" + out;
}

// The help option is listed once, among the global ones.
std::string OptionEntries(const CLI::App* app) {
  std::string out;
  for (const CLI::Option* option : app->get_options({}))
    if (!IsPositional(option) && (!app->get_parent() || !option->check_lname("help")))
      out += Entry(OptionTerm(option), option->get_description());
  return out;
}

std::string Commands(const CLI::App* app) {
  std::string out;
  for (const CLI::App* command : app->get_subcommands({})) {
    if (command->get_group().empty()) continue;
    std::string name = command->get_name();
    std::string below;
    for (const CLI::App* leaf : command->get_subcommands({})) below += (below.empty() ? "" : "|") + leaf->get_name();
    out += Entry(name, Part(command->get_description(), 0) + (below.empty() ? "" : " (" + below + ")"));
  }
  return out.empty() ? "" : "\nCOMMANDS\n" + out;
}

std::string ExitStatus(const std::string& own) {
  std::string text = "\nEXIT STATUS\n";
  text += own.empty() ? Entry("0", "done") + Entry("1", "refused or failed") : own;
  return text + Entry("2", "the command line is wrong") + Entry("3", "the server is out of reach");
}

const char* KindOf(Completes what) {
  switch (what) {
    case Completes::kPipeline:
      return "pipeline";
    case Completes::kModel:
    case Completes::kModelVersion:
      return "model";
    case Completes::kDataset:
      return "dataset";
    case Completes::kRun:
      return "run";
    case Completes::kFile:
      return "file";
  }
  return "";
}

// A command's own examples; for a group, the first one of each of its commands.
std::string Examples(const CLI::App* app) {
  if (!app->get_parent() || app->get_subcommands({}).empty()) return Part(app->get_footer(), 0);
  std::string examples;
  for (const CLI::App* command : app->get_subcommands({})) {
    std::string own = Part(command->get_footer(), 0);
    examples += own.substr(0, own.find('\n')) + "\n";
  }
  return examples;
}

std::string OutputAsJson() {
  return "\nOUTPUT AS JSON (-o json)\n" +
         Reflowed("Standard output holds the server's own answer. A list is one page of the same shape,\n"
                  "{\"items\": [...], \"next\": ...}, with every item that was asked for; next is the cursor\n"
                  "for --after where --limit cut the list, otherwise null. A failure is one line on standard\n"
                  "error, behind what progress there was to tell (none with -q):\n"
                  "{\"code\", \"message\", \"hint\", \"errors\": [{\"field\", \"line\", \"detail\"}]}; the exit\n"
                  "status is the same as without.") +
         Indented("ratchet run list -o json | jq '.items[].id'\n"
                  "ratchet -o json model show nobody 2>&1 >/dev/null | jq -r .code", "  $ ");
}

std::string Environment() {
  return "\nENVIRONMENT\n" + Entry("RATCHET_SERVER", "the server's address, as --server") +
         Entry("RATCHET_TOKEN", "the token, as --token; not seen by other users of this machine, as an option is") +
         Entry("NO_COLOR", "where set to anything, no colours");
}

}  // namespace

CLI::App* AddGroup(CLI::App& root, const std::string& name, const std::string& summary, const std::string& details) {
  CLI::App* group = root.add_subcommand(name, summary + kDivider + details);
  group->require_subcommand(1);
  return group;
}

CLI::App* AddCommand(CLI::App& parent, Context& context, const CommandText& text, std::function<Outcome()> run) {
  CLI::App* command = parent.add_subcommand(text.name, text.summary + kDivider + text.details);
  command->footer(text.examples + kDivider + text.exit_status);
  command->callback([&context, run = std::move(run)] { context.chosen = run; });
  return command;
}

CLI::Option* AddArgument(CLI::App* command, Context& context, const std::string& term, std::string& target,
                         const std::string& help, Completes completes) {
  CLI::Option* option = command->add_option(term, target, help)->required();
  const bool may_name_version = term.ends_with("[@V]");
  if (may_name_version || completes == Completes::kModelVersion) {
    const VersionIs version_is = may_name_version ? VersionIs::kOptional : VersionIs::kRequired;
    option->check(CLI::Validator(
        [completes, version_is](std::string& text) {
          auto named = ParseVersionedName(KindOf(completes), text, version_is);
          return named ? std::string() : named.error().Message();
        },
        ""));
  } else if (completes != Completes::kFile) {
    option->check(NameOf(completes));
  }
  context.completions[option] = completes;
  return option;
}

CLI::Validator NameOf(Completes what) {
  return CLI::Validator(
      [what](std::string& text) {
        Status named = CheckName(KindOf(what), text);
        return named ? std::string() : named.error().Message();
      },
      "");
}

CLI::Validator KeyAndValue() {
  return CLI::Validator(
      [](std::string& text) {
        size_t equals = text.find('=');
        if (equals != std::string::npos && equals > 0) return std::string();
        return Quoted(text) + " is not KEY=VALUE. Write it like --set train.params.epochs=3";
      },
      "");
}

CLI::Validator OneOf(std::vector<std::string> allowed) {
  return CLI::Validator(
      [allowed = std::move(allowed)](std::string& text) {
        if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return std::string();
        return fmt::format("'{}' is not one of {}", text, CLI::detail::join(allowed, ", "));
      },
      "");
}

CLI::Validator WholeNumberFromOne() {
  return CLI::Validator(
      [](std::string& text) {
        std::int64_t number = 0;
        bool whole = CLI::detail::lexical_cast(text, number) && number >= 1;
        return whole ? std::string() : fmt::format("'{}' is not a whole number from 1", text);
      },
      "");
}

CLI::Validator NumberWithin(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        double number = 0;
        bool within = CLI::detail::lexical_cast(text, number) && number >= least && number <= most;
        return within ? std::string() : fmt::format("'{}' is not a number from {} to {}", text, least, most);
      },
      "");
}

std::string HelpPage::make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const {
  std::string about = app->get_description();
  std::string page = FullName(app) + " - " + Part(about, 0) + "\n\nSYNOPSIS\n" + Synopsis(app);
  if (std::string details = Part(about, 1); !details.empty()) page += "\nDESCRIPTION\n" + Reflowed(details);
  page += Commands(app) + Arguments(app);
  const CLI::App* root = app;
  while (root->get_parent()) root = root->get_parent();
  if (root != app)
    if (std::string own = OptionEntries(app); !own.empty()) page += "\nOPTIONS\n" + own;
  page += "\nGLOBAL OPTIONS (before or after the command)\n" + OptionEntries(root);
  if (std::string examples = Examples(app); !examples.empty())
    page += "\nEXAMPLES\n" + Indented(examples, "  $ ");
  return page + ExitStatus(app->get_subcommands({}).empty() ? Part(app->get_footer(), 1) : "") +
         (root == app ? OutputAsJson() : "") + Environment();
}

}  // namespace ratchet::cli
