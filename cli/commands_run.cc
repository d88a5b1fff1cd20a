#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/names.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/log_events.h"
#include "cli/progress_bar.h"
#include "cli/run_tables.h"
#include "cli/run_view.h"
#include "cli/table.h"
#include "cli/terminal_text.h"

namespace ratchet::cli {
namespace {

constexpr std::chrono::milliseconds kPollEvery{200};
constexpr std::int64_t kRestartPatienceUs = 60'000'000;  // a server that is being restarted comes back within this
constexpr int kLogPatienceS = 24 * 3600;
constexpr int kFollowPatienceS = 60;  // an event stream shows every 15 s that it lives
constexpr const char* kWaitExitStatus =
    "  0                       done; with --wait: the run's candidate was promoted\n"
    "  1                       refused; with --wait: the run was rejected, failed or cancelled\n";

volatile std::sig_atomic_t interrupted = 0;

std::string RunPath(std::int64_t id) { return fmt::format("/api/v1/runs/{}", id); }

// Shows a run until it ends. Owns the live lines on the terminal.
class RunWatch {
 public:
  RunWatch(Context& context, Client& client, std::int64_t id)
      : context_(context), client_(client), id_(id), lines_(context.console) {}

  // The run as it ended, as the server sent it; empty when the user interrupted.
  Result<std::string> UntilEnded() {
    interrupted = 0;
    std::signal(SIGINT, [](int) { interrupted = 1; });
    auto ended = Poll();
    std::signal(SIGINT, SIG_DFL);
    return ended;
  }

 private:
  Result<std::string> Poll() {
    std::int64_t reached_us = context_.clock.MonotonicUs();
    while (!interrupted) {
      auto body = client_.Get(RunPath(id_));
      std::int64_t now_us = context_.clock.MonotonicUs();
      if (body) {
        reached_us = now_us;
        silent_ = false;
        RATCHET_ASSIGN(Json run, DecodeAnswer(*body));
        Show(run);
        if (RunEnded(run)) return std::move(*body);
      } else if (!OutOfReach(body.error()) || now_us - reached_us > kRestartPatienceUs) {
        lines_.Clear();
        return std::unexpected(std::move(body).error());
      } else {
        ShowSilence();
      }
      std::this_thread::sleep_for(kPollEvery);
    }
    lines_.Clear();
    context_.console.NoteLine(
        fmt::format("run {0} goes on. Look at it: ratchet run show {0}  stop it: ratchet run cancel {0}", id_));
    return std::string();
  }

  void Show(const Json& run) {
    const Surroundings& around = context_.console.Around();
    if (context_.console.Live()) {
      lines_.Show(RunLines(run, context_.clock.WallUs(),
                           {.columns = around.columns, .utf8 = around.utf8, .color = around.color_allowed}));
    } else {
      for (const std::string& line : RunChanges(before_, run)) context_.console.NoteLine(line);
    }
    before_ = run;
  }

  void ShowSilence() {
    if (!silent_) {
      lines_.Clear();
      context_.console.NoteLine("The server does not answer; waiting for it to come back.");
    }
    silent_ = true;
  }

  Context& context_;
  Client& client_;
  const std::int64_t id_;
  LiveLines lines_;
  Json before_;
  bool silent_ = false;
};

// A sentence of the result, on a terminal broken between its words.
void OutSentence(Console& console, const std::string& text, Paint paint = Paint::kPlain) {
  const Surroundings& around = console.Around();
  for (const std::string& line : around.out_is_terminal ? WrapToWidth(text, around.columns) : std::vector{text})
    console.OutLine(paint == Paint::kPlain ? line : console.OnOut(paint, line));
}

// Waits for the end of the run and prints the verdict (or, for json, the run as it ended).
Outcome WaitForRun(Context& context, Client& client, std::int64_t id) {
  RATCHET_ASSIGN(std::string body, RunWatch(context, client, id).UntilEnded());
  if (body.empty()) return kExitInterrupted;
  RATCHET_ASSIGN(Json run, DecodeAnswer(body));
  int code = RunExitCode(run);
  if (context.Json())
    PrintRaw(context.console, body);
  else
    OutSentence(context.console, RunVerdict(run), code == 0 ? Paint::kGreen : Paint::kRed);
  if (!context.Json() && !FailingChecks(run).Empty())
    context.console.NoteLine(fmt::format("Which checks fail, and where: ratchet run show {}", id));
  else if (!context.Json() && Field(run, "error").is_object())
    context.console.NoteLine(fmt::format("More on that: ratchet run show {}", id));
  return code;
}

// "train.params.epochs=3": the value is JSON where it can be, else text.
void AddOverride(const std::string& setting, Json& overrides) {
  size_t equals = setting.find('=');
  std::string text = setting.substr(equals + 1);
  Json value = ParseJson(text);
  overrides[setting.substr(0, equals)] = value.is_discarded() ? Json(text) : std::move(value);
}

struct StartOptions {
  std::string pipeline;
  std::vector<std::string> settings;
  std::string reason;
  std::optional<std::int64_t> priority;
  bool no_cache = false;
  bool wait = false;
};

// What start and retry end with: one line, or the wait.
Outcome AfterStart(Context& context, Client& client, const std::string& body, bool wait) {
  RATCHET_ASSIGN(Json run, DecodeAnswer(body));
  auto id = IntField(run, "id");
  if (!id) return Fail(ErrorCode::kCorrupt, "read the server's answer", "", "it names no run");
  if (wait) return WaitForRun(context, client, *id);
  if (context.Json()) {
    PrintRaw(context.console, body);
  } else if (context.console.Quiet()) {
    context.console.OutLine(std::to_string(*id));
  } else {
    context.console.OutLine(
        fmt::format("run {} of {} is {}", *id, TextField(run, "pipeline"), TextField(run, "state")));
    context.console.NoteLine(fmt::format("Follow it: ratchet run show {} --wait", *id));
  }
  return kExitDone;
}

Outcome Start(Context& context, const StartOptions& options) {
  Json request = Json::object();
  for (const std::string& setting : options.settings) AddOverride(setting, request["set"]);
  if (!options.reason.empty()) request["reason"] = options.reason;
  if (options.priority) request["priority"] = *options.priority;
  if (options.no_cache) request["fresh"] = true;
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Post("/api/v1/pipelines/" + options.pipeline + "/runs",
                                               {.text = request.dump(-1, ' ', false, Json::error_handler_t::replace),
                                                .idempotency_key = NewIdempotencyKey()}));
  return AfterStart(context, client, body, options.wait);
}

struct ListOptions {
  std::string pipeline;
  std::string state;
  PageOptions page;
};

constexpr int kPriorityColumn = 4;

std::string ReasonText(const Json& run) {
  const Json& reason = Field(run, "reason");
  std::string detail = TextField(reason, "detail");
  return TextField(reason, "kind") + (detail.empty() ? "" : ": " + detail);
}

Outcome List(Context& context, const ListOptions& options) {
  RATCHET_ASSIGN(Client client, context.Connect());
  std::string query;
  if (!options.pipeline.empty()) query += "?pipeline=" + PercentEncoded(options.pipeline);
  if (!options.state.empty()) query += (query.empty() ? "?state=" : "&state=") + PercentEncoded(options.state);
  RATCHET_ASSIGN(const Json list, client.GetList("/api/v1/runs" + query, options.page.limit, options.page.after));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  // A column of zeros would take the place that the words need on a narrow screen.
  const bool urgent = std::ranges::any_of(
      Field(list, "items"), [](const Json& run) { return IntField(run, "priority").value_or(0) != 0; });
  std::vector<Column> columns = {{"RUN", Align::kRight}, {"PIPELINE"}, WordColumn("STATE"), WordColumn("OUTCOME"),
                                 {"CANDIDATE", Align::kRight}, {"DATA"}, {"TOOK", Align::kRight}, {"CREATED"}, {"REASON"}};
  if (urgent) columns.insert(columns.begin() + kPriorityColumn, {"PRIORITY", Align::kRight});
  Table table(columns);
  for (const Json& run : Field(list, "items")) {
    auto created = IntField(run, "created_at");
    auto started = IntField(run, "started_at");
    auto ended = IntField(run, "ended_at");
    std::string data = TextField(run, "dataset");
    if (auto version = IntField(run, "dataset_version")) data += fmt::format("@{}", *version);
    std::vector<std::string> cells = {
        ShownInt(IntField(run, "id")), TextField(run, "pipeline"), TextField(run, "state"),
        ShownValue(Field(run, "outcome")), ShownInt(IntField(run, "candidate")), data,
        started && ended ? ShownDuration(static_cast<double>(*ended - *started) / 1000) : kAbsent,
        created ? ShownAge(*created, now_us) : kAbsent, ReasonText(run)};
    if (urgent) cells.insert(cells.begin() + kPriorityColumn, ShownInt(IntField(run, "priority")));
    table.Add(std::move(cells));
    table.PaintLast(2, PaintOfState(TextField(run, "state")));
    table.PaintLast(3, PaintOfState(TextField(run, "outcome")));
  }
  context.console.Out(table.Render(context.console));
  if (table.Empty()) context.console.NoteLine("No runs. Start one: ratchet run start PIPELINE");
  NoteMore(context.console, list);
  return kExitDone;
}

void ShowTable(Console& console, const std::string& title, const Table& table) {
  if (!table.Empty()) console.Out("\n" + title + "\n" + table.Render(console, Overflow::kWrap));
}

// What a run has beside its steps' lines, as far as it has it.
void ShowTables(Context& context, Client& client, const Json& run) {
  Console& console = context.console;
  const Json& steps = Field(run, "steps");
  const bool swept = std::ranges::any_of(steps, [](const Json& step) { return TextField(step, "kind") == "trial"; });
  if (swept) {
    auto trials = client.GetJson(RunPath(IntField(run, "id").value_or(0)) + "/trials");
    if (trials) ShowTable(console, "Trials", TrialsTable(*trials, console.Around().utf8));
  }
  ShowTable(console, "Attempts that failed", FailedAttempts(run));
  ShowTable(console, "Failing checks of data.expect", FailingChecks(run));
  ShowTable(console, "Columns unlike the live version's training data", DriftedColumns(run));
  const std::vector<std::string> error = ErrorLines(run);
  if (!error.empty()) console.OutLine("");
  for (const std::string& line : error) console.OutLine(line);
}

Outcome Show(Context& context, std::int64_t id, bool wait) {
  RATCHET_ASSIGN(Client client, context.Connect());
  if (wait) return WaitForRun(context, client, id);
  RATCHET_ASSIGN(std::string body, client.Get(RunPath(id)));
  RATCHET_ASSIGN(Json run, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  const Surroundings& around = context.console.Around();
  RunStyle style{
      .columns = around.columns, .utf8 = around.utf8, .color = around.color_allowed && around.out_is_terminal};
  for (const std::string& line : RunLines(run, context.clock.WallUs(), style)) context.console.OutLine(line);
  std::string overrides;
  for (const auto& [key, value] : Field(run, "overrides").items())
    overrides += fmt::format("{}{}={}", overrides.empty() ? "" : " ", key, ShownValue(value));
  auto created = IntField(run, "created_at");
  context.console.Out("\n" + RenderPairs({{"Reason", OneLine(ReasonText(run))},
                                          {"Set", OneLine(overrides)},
                                          {"Revision", ShownInt(IntField(run, "revision"))},
                                          {"Priority", IntField(run, "priority").value_or(0) == 0 ? "" : ShownInt(IntField(run, "priority"))},
                                          {"Reproduces", IntField(run, "reproduces") ? fmt::format("run {}", *IntField(run, "reproduces")) : ""},
                                          {"Next look", OneLine(TextField(Field(run, "forecast"), "sentence"))},
                                          {"Trace", TextField(run, "trace_id")},
                                          {"Created", created ? ShownTime(*created) : ""}}, context.console));
  // What went wrong stands below, with what to do.
  const std::string summary = TextField(run, "summary");
  const Json& error = Field(run, "error");
  const bool told_below = error.is_object() && (summary.empty() || summary == TextField(error, "message"));
  if (RunEnded(run) && !told_below) OutSentence(context.console, RunVerdict(run));
  ShowTables(context, client, run);
  return kExitDone;
}

struct LogOptions {
  std::int64_t id = 0;
  std::string step;
  std::int64_t attempt = 0;  // 0 = the latest
  bool follow = false;
};

// Follows a log through broken connections until the step has ended.
Status FollowLog(Context& context, Client& client, const LogOptions& options, const std::string& query, const PieceReceiver& print) {
  LogEvents events(print);
  bool read = true;
  std::int64_t reached_us = context.clock.MonotonicUs();
  while (!events.ended()) {
    HeaderLines headers = {{"Accept", "text/event-stream"}};
    if (!events.last_id().empty()) headers.emplace_back("Last-Event-ID", events.last_id());
    // What the first answer chose is held to, whatever else runs by then.
    const std::string step = options.step.empty() && !events.step().empty() ? "&step=" + PercentEncoded(events.step()) : "";
    const std::uint64_t before = events.bytes();
    Status got = client.Download(
        RunPath(options.id) + "/logs" + query + step, [&](std::string_view piece) { return read = events.Feed(piece); }, kFollowPatienceS,
        headers);
    if (!read) return {};
    if (events.bytes() > before) reached_us = context.clock.MonotonicUs();
    const bool patient = context.clock.MonotonicUs() - reached_us < kRestartPatienceUs;
    if (!got && (!OutOfReach(got.error()) || !patient)) return got;
    if (!events.ended()) std::this_thread::sleep_for(kPollEvery);
    events.Restart();
  }
  return {};
}

Outcome Logs(Context& context, const LogOptions& options) {
  RATCHET_ASSIGN(Client client, context.Connect());
  std::string query = options.follow ? "?follow=1" : "";
  if (!options.step.empty()) query += (query.empty() ? "?step=" : "&step=") + PercentEncoded(options.step);
  if (options.attempt > 0) query += fmt::format("{}attempt={}", query.empty() ? "?" : "&", options.attempt);
  // What a trainer writes may not steer the terminal; a pipe gets every byte.
  TerminalText harmless;
  const bool terminal = context.console.Around().out_is_terminal;
  const auto print = [&](std::string_view piece) { return context.console.Out(terminal ? harmless.Feed(piece) : std::string(piece)); };
  if (options.follow)
    RATCHET_TRY(FollowLog(context, client, options, query, print));
  else
    RATCHET_TRY(client.Download(RunPath(options.id) + "/logs" + query, print, kLogPatienceS));
  return kExitDone;
}

Outcome Cancel(Context& context, std::int64_t id) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Post(RunPath(id) + "/cancel", {.text = "{}", .idempotency_key = {}}));
  if (context.Json()) {
    PrintRaw(context.console, body);
  } else if (!context.console.Quiet()) {
    RATCHET_ASSIGN(Json run, DecodeAnswer(body));
    context.console.OutLine(
        fmt::format("run {}: {}", id, RunEnded(run) ? TextField(run, "state") : "is being cancelled"));
  }
  return kExitDone;
}

Outcome Retry(Context& context, std::int64_t id, bool wait) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body,
                 client.Post(RunPath(id) + "/retry", {.text = "{}", .idempotency_key = NewIdempotencyKey()}));
  return AfterStart(context, client, body, wait);
}

Outcome Reproduce(Context& context, std::int64_t id, bool wait) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body,
                 client.Post(RunPath(id) + "/reproduce", {.text = "{}", .idempotency_key = NewIdempotencyKey()}));
  return AfterStart(context, client, body, wait);
}

CLI::Option* AddRunId(CLI::App* command, Context& context, std::int64_t& id) {
  CLI::Option* option = command->add_option("ID", id, "The run's number")->required()->check(WholeNumberFromOne());
  context.completions[option] = Completes::kRun;
  return option;
}

constexpr const char* kWaitHelp =
    "Watch until the run ends; exit 0 when promoted, 1 when rejected, failed or cancelled";

void AddStart(CLI::App& group, Context& context) {
  auto options = std::make_shared<StartOptions>();
  CLI::App* command = AddCommand(
      group, context,
      {.name = "start",
       .summary = "start a run of a pipeline",
       .details = "A run validates the data, trains a candidate, tests it against the live version on the\n"
                  "sealed holdout, and promotes it when the gate finds it better.\n"
                  "With --wait the run is shown until it ends, with a bar for the step under way on a\n"
                  "terminal and a line for each change in a pipe (both on standard error), then its verdict.\n"
                  "Ctrl-C ends the watching with exit code 130; the run itself goes on.",
       .examples = "ratchet run start parcel-sorter --wait\n"
                   "ratchet run start parcel-sorter --set train.params.epochs=8 --reason 'longer training'",
       .exit_status = kWaitExitStatus},
      [&context, options] { return Start(context, *options); });
  AddArgument(command, context, "PIPELINE", options->pipeline, "The pipeline's name", Completes::kPipeline);
  command
      ->add_option("--set", options->settings,
                   "Another value for one key of the spec, in this run only; may be repeated")
      ->type_name("KEY=VALUE")
      ->check(KeyAndValue())
      ->allow_extra_args(false);
  command->add_option("--reason", options->reason, "Why, for the record")->type_name("TEXT");
  command->add_option("--priority", options->priority, "-100 to 100, higher first in the queue (default: the spec's)")
      ->type_name("N")
      ->check(NumberWithin(-100, 100));
  command->add_flag("--no-cache", options->no_cache, "Do every step, also where an equal one was done before");
  command->add_flag("--wait", options->wait, kWaitHelp);
}

void AddList(CLI::App& group, Context& context) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = AddCommand(group, context,
                                 {.name = "list",
                                  .summary = "list runs",
                                  .details = "One line for each run, in the server's order (newest first).",
                                  .examples = "ratchet run list --pipeline parcel-sorter --limit 10\n"
                                              "ratchet run list --state failed -o json"},
                                 [&context, options] { return List(context, *options); });
  context.completions[command->add_option("--pipeline", options->pipeline, "Only runs of this pipeline")
                          ->type_name("NAME")
                          ->check(NameOf(Completes::kPipeline))] = Completes::kPipeline;
  command->add_option("--state", options->state, "Only runs in this state")
      ->type_name("queued|running|succeeded|failed|cancelled")
      ->check(OneOf({"queued", "running", "succeeded", "failed", "cancelled"}));
  AddPageOptions(command, options->page);
}

void AddShow(CLI::App& group, Context& context) {
  auto id = std::make_shared<std::int64_t>(0);
  auto wait = std::make_shared<bool>(false);
  CLI::App* command = AddCommand(group, context,
                                 {.name = "show",
                                  .summary = "show a run with its steps",
                                  .details = "The steps with their state, duration, progress and error; of a sweep every\n"
                                             "trial, the best one marked; of a failure its class, the last lines of the log\n"
                                             "and what to do.",
                                  .examples = "ratchet run show 5\nratchet run show 5 --wait",
                                  .exit_status = kWaitExitStatus},
                                 [&context, id, wait] { return Show(context, *id, *wait); });
  AddRunId(command, context, *id);
  command->add_flag("--wait", *wait, kWaitHelp);
}

void AddLogs(CLI::App& group, Context& context) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = AddCommand(group, context,
                                 {.name = "logs",
                                  .summary = "print the log of a run's step",
                                  .details = "What the step's process wrote to its standard output and error. Without\n"
                                             "--step it is the step that runs now, or the last one that ran. With -f a\n"
                                             "connection that breaks is made again, and no byte is lost or comes twice.",
                                  .examples = "ratchet run logs 5 -f\nratchet run logs 5 --step train | less"},
                                 [&context, options] { return Logs(context, *options); });
  AddRunId(command, context, options->id);
  command->add_flag("-f,--follow", options->follow, "Go on printing until the step ends");
  command->add_option("--step", options->step, "Which step's log")->type_name("NAME");
  command->add_option("--attempt", options->attempt, "Which attempt's (default: the latest)")->type_name("N")->check(WholeNumberFromOne());
}

}  // namespace

void AddRunCommands(CLI::App& root, Context& context) {
  CLI::App* group = AddGroup(root, "run", "start and watch runs of a pipeline",
                             "A run is one pass through a pipeline: validate, the pipeline's own steps, train, test,\n"
                             "gate, release.");
  AddStart(*group, context);
  AddList(*group, context);
  AddShow(*group, context);
  AddLogs(*group, context);

  auto cancel_id = std::make_shared<std::int64_t>(0);
  CLI::App* cancel = AddCommand(*group, context,
                                {.name = "cancel",
                                 .summary = "stop a run",
                                 .details = "The step under way is killed; what is live stays live.",
                                 .examples = "ratchet run cancel 5"},
                                [&context, cancel_id] { return Cancel(context, *cancel_id); });
  AddRunId(cancel, context, *cancel_id);

  auto retry_id = std::make_shared<std::int64_t>(0);
  auto wait = std::make_shared<bool>(false);
  CLI::App* retry = AddCommand(*group, context,
                               {.name = "retry",
                                .summary = "run an ended run again, with the same settings",
                                .details = "Works for runs that failed or were cancelled.",
                                .examples = "ratchet run retry 5 --wait",
                                .exit_status = kWaitExitStatus},
                               [&context, retry_id, wait] { return Retry(context, *retry_id, *wait); });
  AddRunId(retry, context, *retry_id);
  retry->add_flag("--wait", *wait, kWaitHelp);

  auto again_id = std::make_shared<std::int64_t>(0);
  auto again_wait = std::make_shared<bool>(false);
  CLI::App* again = AddCommand(*group, context,
                               {.name = "reproduce",
                                .summary = "train the same again and compare the weights",
                                .details = "A new run on the same revision, settings and dataset version, with nothing taken\n"
                                           "from the cache; of a sweep, the winning trial alone. It ends after training, as\n"
                                           "`reproduced` where the weights are bit for bit the same, else as `differs`. What is live\n"
                                           "stays live.",
                                .examples = "ratchet run reproduce 5 --wait",
                                .exit_status = "  0                       done; with --wait: the weights are the same\n"
                                               "  1                       refused; with --wait: they differ, or the run failed\n"},
                               [&context, again_id, again_wait] { return Reproduce(context, *again_id, *again_wait); });
  AddRunId(again, context, *again_id);
  again->add_flag("--wait", *again_wait, "Watch until the run ends; exit 0 when reproduced, 1 otherwise");
}

}  // namespace ratchet::cli
