#include "cli/completion.h"

#include <spdlog/fmt/fmt.h>

namespace ratchet::cli {
namespace {

constexpr int kPatienceMs = 1000;
constexpr size_t kMostNames = 200;

const CLI::Option* FindOption(const CLI::App* app, const std::string& word) {
  for (; app; app = app->get_parent())
    if (const CLI::Option* option = app->get_option_no_throw(word)) return option;
  return nullptr;
}

const CLI::App* FindCommand(const CLI::App* app, const std::string& word) {
  for (const CLI::App* command : app->get_subcommands({}))
    if (command->get_name() == word) return command;
  return nullptr;
}

bool TakesValue(const CLI::Option* option) { return option && option->get_type_size() > 0; }

// Where the words before the last lead to.
struct Position {
  const CLI::App* command;
  size_t positionals = 0;               // how many arguments of it stand there already
  const CLI::Option* awaits = nullptr;  // the option whose value comes next
};

Position Walk(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  Position at{.command = &app};
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (at.awaits) {
      if (at.awaits->check_lname("server")) context.options.server = word;
      if (at.awaits->check_lname("token")) context.options.token = word;
      at.awaits = nullptr;
    } else if (word.starts_with('-') && word.size() > 1) {
      const CLI::Option* option = word.find('=') == std::string::npos ? FindOption(at.command, word) : nullptr;
      if (TakesValue(option)) at.awaits = option;
    } else if (const CLI::App* next = FindCommand(at.command, word)) {
      at.command = next;
    } else {
      ++at.positionals;
    }
  }
  return at;
}

void AddOptions(const CLI::App* app, const std::string& prefix, std::vector<std::string>& found) {
  for (; app; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options({})) {
      for (const std::string& name : option->get_lnames())
        if (std::string word = "--" + name; word.starts_with(prefix)) found.push_back(word);
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
}

std::string PathOf(Completes what) {
  switch (what) {
    case Completes::kFile:
      return {};
    case Completes::kPipeline:
      return "/api/v1/pipelines";
    case Completes::kModel:
    case Completes::kModelVersion:
      return "/api/v1/models";
    case Completes::kDataset:
      return "/api/v1/datasets";
    case Completes::kRun:
      return "/api/v1/runs";
  }
  return {};
}

std::vector<std::string> AskServer(const Context& context, Completes what, const std::string& typed) {
  std::vector<std::string> found;
  auto client = context.Connect();
  std::string path = PathOf(what);
  if (!client || path.empty()) return found;
  client->SetPatience(kPatienceMs);
  auto items = client->GetItems(path, kMostNames);
  if (!items) return found;
  for (const Json& item : *items) {
    std::string word = what == Completes::kRun ? ShownValue(Field(item, "id")) : TextField(item, "name");
    std::int64_t versions = IntField(item, "latest_version").value_or(0);
    if (what != Completes::kModelVersion)
      found.push_back(word);
    else if (versions > 0)
      for (std::int64_t v = std::max<std::int64_t>(1, versions - 9); v <= versions; ++v)
        found.push_back(fmt::format("{}@{}", word, v));
  }
  std::erase_if(found, [&](const std::string& word) { return !word.starts_with(typed); });
  return found;
}

std::vector<std::string> ValuesOf(const CLI::Option* option, const Context& context, const std::string& typed) {
  std::vector<std::string> found;
  if (auto known = context.completions.find(option); known != context.completions.end())
    return AskServer(context, known->second, typed);
  std::string type = option->get_type_name();  // "table|json" lists the values themselves
  if (type.find('|') == std::string::npos) return found;
  for (const std::string& value : CLI::detail::split(type, '|'))
    if (value.starts_with(typed)) found.push_back(value);
  return found;
}

const CLI::Option* Positional(const CLI::App* command, size_t index) {
  const CLI::Option* last = nullptr;
  for (const CLI::Option* option : command->get_options({})) {
    if (!option->get_positional()) continue;
    last = option;
    if (index == 0) return option;
    --index;
  }
  return last && last->get_expected_max() > 1 ? last : nullptr;
}

}  // namespace

std::vector<std::string> Completions(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  std::vector<std::string> found;
  if (words.empty()) return found;
  for (const char* name : {"RATCHET_SERVER", "RATCHET_TOKEN"}) {
    const char* value = std::getenv(name);
    if (value) (std::string_view(name) == "RATCHET_SERVER" ? context.options.server : context.options.token) = value;
  }
  Position at = Walk(app, context, words);
  const std::string& typed = words.back();
  if (at.awaits) return ValuesOf(at.awaits, context, typed);
  if (typed.starts_with('-')) {
    AddOptions(at.command, typed, found);
    return found;
  }
  for (const CLI::App* command : at.command->get_subcommands({}))
    if (command->get_name().starts_with(typed)) found.push_back(command->get_name());
  if (!found.empty()) return found;
  const CLI::Option* option = Positional(at.command, at.positionals);
  return option ? ValuesOf(option, context, typed) : found;
}

int PrintCompletions(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : Completions(app, context, words)) text += word + "\n";
  context.console.Out(text);
  return kExitDone;
}

}  // namespace ratchet::cli
