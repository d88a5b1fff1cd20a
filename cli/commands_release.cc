#include <spdlog/fmt/fmt.h>

#include <chrono>
#include <thread>

#include "base/names.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/release_steps.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr std::chrono::milliseconds kPollEvery{100};
constexpr int kMostPolls = 600;  // a minute: loading a bundle takes seconds

std::string ModelPath(const std::string& name) { return "/api/v1/models/" + name; }

bool UnderWay(const Json& release) {
  std::string state = TextField(release, "state");
  return state == "pending" || state == "loading";
}

// A release that still loads is watched until it is done; the answer is the release as it came last.
Result<Json> Settled(Client& client, const std::string& model, Json release) {
  for (int poll = 0; UnderWay(release) && poll < kMostPolls; ++poll) {
    std::this_thread::sleep_for(kPollEvery);
    RATCHET_ASSIGN(Json items, client.GetItems(ModelPath(model) + "/releases", 20));
    for (Json& item : items)
      if (IntField(item, "id") == IntField(release, "id")) release = std::move(item);
  }
  return release;
}

std::string VersionText(const Json& release, const char* key) {
  auto version = IntField(release, key);
  return version ? fmt::format("@{}", *version) : "none";
}

// Prints how the release ended, and turns that into the exit code.
Outcome Conclude(Context& context, Client& client, const std::string& model, const std::string& body, double took_ms) {
  RATCHET_ASSIGN(Json answer, DecodeAnswer(body));
  bool settled_at_once = !UnderWay(answer);
  RATCHET_ASSIGN(Json release, Settled(client, model, std::move(answer)));
  std::string state = TextField(release, "state");
  if (context.Json()) {
    PrintRaw(context.console, settled_at_once ? body : release.dump());
  } else if (state == "done" && !context.console.Quiet()) {
    auto own_ms = NumberField(release, "took_ms");
    context.console.OutLine(fmt::format("{}: {} → {}{}{} (release {}{})", model, VersionText(release, "from"),
                                        VersionText(release, "to"), own_ms ? " in " + ShownDuration(*own_ms) : "",
                                        settled_at_once ? fmt::format(", {} round trip", ShownDuration(took_ms)) : "",
                                        ShownInt(IntField(release, "id")),
                                        TextField(release, "kind") == "force" ? ", by force" : ""));
  }
  if (state == "done") return kExitDone;
  std::string error = TextField(release, "error");
  return Fail(ErrorCode::kConflict, "release", model + VersionText(release, "to"),
              error.empty() ? "it is " + state : error, "Look at: ratchet release list " + model);
}

double MillisecondsSince(const Context& context, std::int64_t started_us) {
  return static_cast<double>(context.clock.MonotonicUs() - started_us) / 1000;
}

struct PromoteOptions {
  std::string version;
  std::string reason;
  bool force = false;
};

Outcome Promote(Context& context, const PromoteOptions& options) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("model", options.version, VersionIs::kRequired));
  Json request{{"version", named.version}, {"reason", options.reason}};
  if (options.force) request["force"] = true;
  RATCHET_ASSIGN(Client client, context.Connect());
  std::int64_t started_us = context.clock.MonotonicUs();
  RATCHET_ASSIGN(std::string body, client.Post(ModelPath(named.name) + "/promote",
                                               {.text = request.dump(-1, ' ', false, Json::error_handler_t::replace),
                                                .idempotency_key = NewIdempotencyKey()}));
  return Conclude(context, client, named.name, body, MillisecondsSince(context, started_us));
}

struct RollbackOptions {
  std::string name;
  std::int64_t to = 0;
  std::string reason;
};

Outcome Rollback(Context& context, const RollbackOptions& options) {
  Json request = Json::object();
  if (options.to > 0) request["to"] = options.to;
  if (!options.reason.empty()) request["reason"] = options.reason;
  RATCHET_ASSIGN(Client client, context.Connect());
  std::int64_t started_us = context.clock.MonotonicUs();
  RATCHET_ASSIGN(std::string body, client.Post(ModelPath(options.name) + "/rollback",
                                               {.text = request.dump(-1, ' ', false, Json::error_handler_t::replace),
                                                .idempotency_key = NewIdempotencyKey()}));
  return Conclude(context, client, options.name, body, MillisecondsSince(context, started_us));
}

Outcome ListReleases(Context& context, const std::string& name, const PageOptions& page) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList(ModelPath(name) + "/releases", page.limit, page.after));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"RELEASE", Align::kRight},
               {"KIND"},
               {"FROM", Align::kRight},
               {"TO", Align::kRight},
               WordColumn("STATE"),
               {"STRATEGY"},
               {"TOOK", Align::kRight},
               {"ACTOR"},
               {"WHEN"},
               {"REASON"}});
  for (const Json& item : Field(list, "items")) {
    auto created = IntField(item, "created_at");
    auto took_ms = NumberField(item, "took_ms");
    std::string reason = TextField(item, "reason");
    if (std::string error = TextField(item, "error"); !error.empty()) reason += " (" + error + ")";
    table.Add({ShownInt(IntField(item, "id")), TextField(item, "kind"), ShownInt(IntField(item, "from")),
               ShownInt(IntField(item, "to")), TextField(item, "state"), TextField(item, "strategy"),
               took_ms ? ShownDuration(*took_ms) : kAbsent, TextField(item, "actor"),
               created ? ShownAge(*created, now_us) : kAbsent, reason});
    table.PaintLast(4, PaintOfState(TextField(item, "state")));
  }
  context.console.Out(table.Render(context.console));
  ShowReleaseUnderWay(context, list);
  NoteMore(context.console, list);
  return kExitDone;
}

void AddPromote(CLI::App& root, Context& context) {
  auto options = std::make_shared<PromoteOptions>();
  CLI::App* command = AddCommand(
      root, context,
      {.name = "promote",
       .summary = "make a version live",
       .details = "A version that passed the gate goes live. Any other is refused, unless --force overrides\n"
                  "the gate; the release and the audit record then say so. Returns when it serves.",
       .examples = "ratchet promote parcel-sorter@3 --reason 'approved by the depot'\n"
                   "ratchet promote parcel-sorter@3 --force --reason 'the holdout has wrong labels'"},
      [&context, options] { return Promote(context, *options); });
  AddArgument(command, context, "NAME@V", options->version, "The version", Completes::kModelVersion);
  command->add_option("--reason", options->reason, "Why, for the record")->type_name("TEXT")->required();
  command->add_flag("--force", options->force, "Promote although the gate did not pass it");
}

void AddRollback(CLI::App& root, Context& context) {
  auto options = std::make_shared<RollbackOptions>();
  CLI::App* command =
      AddCommand(root, context,
                 {.name = "rollback",
                  .summary = "put an older version back",
                  .details = "Returns when every replica of the data plane serves the older version; no request is\n"
                             "dropped. Without --to it is the version that was live before. Prints from, to, how long\n"
                             "the switch took, and how long the command waited for it in all.",
                  .examples = "ratchet rollback parcel-sorter\n"
                              "ratchet rollback parcel-sorter --to 1 --reason 'wrong labels since Monday'"},
                 [&context, options] { return Rollback(context, *options); });
  AddArgument(command, context, "NAME", options->name, "The model's name", Completes::kModel);
  command->add_option("--to", options->to, "The version to go back to (default: the previous one)")
      ->type_name("V")
      ->check(WholeNumberFromOne());
  command->add_option("--reason", options->reason, "Why, for the record")->type_name("TEXT");
}

}  // namespace

void AddReleaseCommands(CLI::App& root, Context& context) {
  AddPromote(root, context);
  AddRollback(root, context);
  CLI::App* group = AddGroup(root, "release", "look at the changes of traffic",
                             "A release is the record of one change of traffic: who, why, from, to, how it ended. One that shares\n"
                             "traffic first (shadow, canary, ab) or waits for an approval is let through or ended here.");
  auto name = std::make_shared<std::string>();
  auto page = std::make_shared<PageOptions>();
  CLI::App* list = AddCommand(*group, context,
                              {.name = "list",
                               .summary = "list a model's releases",
                               .details = "One line for each change of traffic, in the server's order.",
                               .examples = "ratchet release list parcel-sorter"},
                              [&context, name, page] { return ListReleases(context, *name, *page); });
  AddArgument(list, context, "NAME", *name, "The model's name", Completes::kModel);
  AddPageOptions(list, *page);
  AddReleaseStepCommands(*group, context);
}

}  // namespace ratchet::cli
