#include "daemon/settings.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/names.h"
#include "daemon/version.h"
#include "pipeline/spec.h"
#include "pipeline/yaml_tree.h"

namespace ratchet::daemon {
namespace {

constexpr char kDescription[] =
    R"(ratchetd - the control plane of Ratchet: trains, tests, releases and rolls back models

SYNOPSIS
  ratchetd [--data DIR] [--listen HOST:PORT] [--serve-listen HOST:PORT] [OPTION...]

DESCRIPTION
  Runs the loop dev, test, retrain, release for every model: it keeps the registry and the lake of data in DIR, answers
  the HTTP API and the web page, starts training steps through ratchet-worker, and keeps ratchet-serve running, which
  answers predictions. One ratchetd owns a data directory at a time. Killed at any instant, it goes on where it stood when
  it is started again; ratchet-serve answers in the meantime.)";

constexpr char kFooter[] =
    R"(CONFIGURATION
  Each option but --help, --version and --config may also be set in the environment (RATCHET_ and its name in capitals,
  as RATCHET_SERVE_LISTEN) or in ratchet.yaml in the working directory (its name, as serve-listen: 127.0.0.1:7301).
  Flags go before the environment, the environment before the file.

FILES
  DIR/lock         held while it runs, with its process id
  DIR/address      HOST:PORT of the API, of use with port 0
  DIR/registry.db  what is known; DIR/blobs/ what it is known of
  DIR/events.db    answered predictions and their outcomes
  DIR/runs/        the folder of each attempt of a step, with its log
  DIR/logs/        worker.log, serve.log

SECURITY
  There are no accounts yet: whoever can reach the API from this machine is its administrator. Requests from other machines
  are refused, whatever --listen says. Training steps run in a sandbox that keeps them from the sealed holdout; where the
  kernel offers none, steps are refused unless --allow-unsandboxed is given.

SIGNALS
  SIGTERM          stop: requests under way finish, ratchet-serve and the workers end; steps go on, and the next ratchetd of
                   the data directory takes them on where they are
  SIGINT           the same, but steps are ended first; they are run again after the next start

EXIT CODES
  0 stopped as asked   1 could not start   2 wrong arguments

EXAMPLES
  ratchetd
  ratchetd --data /var/lib/ratchet --listen 127.0.0.1:7300 --serve-listen 0.0.0.0:7301
  RATCHET_LOG_LEVEL=debug ratchetd --no-serve
)";

std::string NoMoreThanAddress(const std::string& text) {
  const auto address = ParseHostPort(text);
  return address ? "" : address.error().Message();
}

CLI::Option* Named(CLI::Option* option, const char* environment, const char* type) {
  return option->envname(environment)->type_name(type);
}

std::string NoMoreThanBytes(const std::string& text) {
  const auto bytes = pipeline::ParseBytes(text);
  if (!bytes) return bytes.error().Message();
  return *bytes >= 1 << 20 ? "" : "it must be at least 1MiB";
}

std::string NoMoreThanTime(const std::string& text) {
  const auto seconds = pipeline::ParseSeconds(text);
  if (!seconds) return seconds.error().Message();
  return *seconds >= 60 && *seconds <= 36'500LL * 86'400 ? "" : "it must be from 1m to 36500d";
}

void AddFeedbackOptions(CLI::App& app, Settings& settings) {
  Named(app.add_option("--log-sample", settings.log_sample, "Share of the answered predictions that are logged, 0 to 1"),
        "RATCHET_LOG_SAMPLE", "SHARE")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  Named(app.add_option("--log-redact", settings.log_redact, "Columns whose values stay out of that log"),
        "RATCHET_LOG_REDACT", "COLUMN,...");
  Named(app.add_option("--spool-bytes", settings.spool_bytes,
                       "Most room that ratchet-serve takes for predictions while ratchetd is away"),
        "RATCHET_SPOOL_BYTES", "SIZE")
      ->capture_default_str()
      ->check(NoMoreThanBytes);
  Named(app.add_option("--keep-predictions", settings.keep_predictions, "Delete logged predictions and outcomes older than this"),
        "RATCHET_KEEP_PREDICTIONS", "TIME")
      ->capture_default_str()
      ->check(NoMoreThanTime);
  Named(app.add_option("--keep-events", settings.keep_events, "Delete the oldest of them while events.db holds more than this"),
        "RATCHET_KEEP_EVENTS", "SIZE")
      ->capture_default_str()
      ->check(NoMoreThanBytes);
}

void AddOptions(CLI::App& app, Settings& settings, std::string& config) {
  Named(app.add_option("--data", settings.data, "The data directory; made if it is not there"), "RATCHET_DATA", "DIR")
      ->capture_default_str();
  Named(app.add_option("--listen", settings.listen, "Where to answer the API and the page; port 0 takes any free one"),
        "RATCHET_LISTEN", "HOST:PORT")
      ->capture_default_str()
      ->check(NoMoreThanAddress);
  Named(app.add_option("--serve-listen", settings.serve_listen, "Where ratchet-serve is to answer predictions"),
        "RATCHET_SERVE_LISTEN", "HOST:PORT")
      ->capture_default_str()
      ->check(NoMoreThanAddress);
  Named(app.add_option("--max-runs", settings.max_runs, "How many runs are under way at a time; others wait"),
        "RATCHET_MAX_RUNS", "N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  Named(app.add_option("--cpus", settings.cpus, "Processors that steps take together, by limits.cpus; 0 = all there are"),
        "RATCHET_CPUS", "N")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_flag("--allow-unsandboxed", settings.allow_unsandboxed,
               "Run steps even where the kernel gives no means to keep them from the holdout")
      ->envname("RATCHET_ALLOW_UNSANDBOXED");
  app.add_flag("--no-serve", settings.no_serve, "Start no ratchet-serve of its own")->envname("RATCHET_NO_SERVE");
  Named(app.add_option("--plugins", settings.plugins, "Folder of plugins (default: beside the program)"),
        "RATCHET_PLUGINS", "DIR")
      ->check(CLI::ExistingDirectory);
  Named(app.add_option("--worker-program", settings.worker_program, "ratchet-worker (default: beside the program)"),
        "RATCHET_WORKER_PROGRAM", "FILE");
  Named(app.add_option("--serve-program", settings.serve_program, "ratchet-serve (default: beside the program)"),
        "RATCHET_SERVE_PROGRAM", "FILE");
  AddFeedbackOptions(app, settings);
  Named(app.add_option("--log-level", settings.log_level, "How much goes to stderr"), "RATCHET_LOG_LEVEL", "LEVEL")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_option("--config", config, "Configuration file (default: ratchet.yaml, if there is one)")->type_name("FILE");
}

Error ConfigError(const std::string& path, int line, std::string cause, std::string hint = {}) {
  const std::string where = line > 0 ? path + " line " + std::to_string(line) : path;
  return {.code = ErrorCode::kInvalid,
          .operation = "read",
          .subject = where,
          .cause = std::move(cause),
          .hint = std::move(hint)};
}

Status ApplyEntry(CLI::App& app, const std::string& path, const pipeline::YamlEntry& entry) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_envname().empty()) known.push_back(option->get_lnames().front());
  }
  CLI::Option* option = app.get_option_no_throw("--" + entry.key);
  if (!option || option->get_envname().empty()) {
    const std::string near = NearestName(entry.key, known);
    return std::unexpected(ConfigError(path, entry.line, "there is no setting " + Quoted(entry.key),
                                       near.empty() ? "" : "Did you mean " + near + "?"));
  }
  const bool scalar =
      entry.node.kind == pipeline::YamlNode::Kind::kPlain || entry.node.kind == pipeline::YamlNode::Kind::kQuoted;
  if (!scalar) return std::unexpected(ConfigError(path, entry.line, entry.key + " is not one value"));
  if (option->count() > 0) return {};
  try {
    option->add_result(entry.node.text);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    return std::unexpected(ConfigError(path, entry.line, error.what()));
  }
  return {};
}

Status ApplyConfig(CLI::App& app, const std::string& asked) {
  const std::string path = asked.empty() ? "ratchet.yaml" : asked;
  auto text = SystemFiles().Read(path, 64 * 1024);
  if (!text && asked.empty() && text.error().code == ErrorCode::kNotFound) return {};
  if (!text) return std::unexpected(text.error());
  auto tree = pipeline::ParseYamlTree(*text);
  if (!tree) return std::unexpected(ConfigError(path, tree.error().line, tree.error().cause));
  if (tree->kind == pipeline::YamlNode::Kind::kNull) return {};
  if (tree->kind != pipeline::YamlNode::Kind::kMap)
    return std::unexpected(ConfigError(path, tree->line, "it is no list of settings"));
  for (const pipeline::YamlEntry& entry : tree->entries) RATCHET_TRY(ApplyEntry(app, path, entry));
  return {};
}

}  // namespace

Result<HostPort> ParseHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || colon + 1 == text.size()) port = -1;
  }
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (port >= 0 && port <= 65535 && !host.empty()) return HostPort{host, port};
  return Fail(ErrorCode::kInvalid, "read the address", Quoted(text), "it is no HOST:PORT",
              "Give one such as 127.0.0.1:7300");
}

Parsed ParseSettings(int argc, char** argv) {
  Parsed parsed;
  std::string config;
  CLI::App app{kDescription, "ratchetd"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("ratchetd ") + kVersion);
  AddOptions(app, parsed.settings, config);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : 2;
    return parsed;
  }
  const Status applied = ApplyConfig(app, config);
  if (applied) return parsed;
  std::fprintf(stderr, "ratchetd: %s\n", applied.error().Message().c_str());
  parsed.exit_code = 2;
  return parsed;
}

void FindPrograms(Settings& settings, const std::string& own_path) {
  const std::filesystem::path here = std::filesystem::path(own_path).parent_path();
  if (settings.worker_program.empty()) settings.worker_program = (here / "ratchet-worker").string();
  if (settings.serve_program.empty()) settings.serve_program = (here / "ratchet-serve").string();
  const std::filesystem::path built = here / "../lib/ratchet/plugins";
  const std::filesystem::path installed = here / ".." / kLibraryFolder / "ratchet/plugins";
  std::error_code error;
  if (settings.plugins.empty())
    settings.plugins = (std::filesystem::exists(built, error) ? built : installed).lexically_normal().string();
}

}  // namespace ratchet::daemon
