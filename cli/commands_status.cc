#include <spdlog/fmt/fmt.h>

#include "cli/help.h"
#include "cli/human.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

std::string WorkerText(const Json& worker) {
  std::string text = TextField(worker, "state");
  std::string sandbox = TextField(worker, "sandbox");
  if (!sandbox.empty()) text += ", sandbox " + sandbox;
  if (std::string why = TextField(worker, "error"); !why.empty()) text += ": " + OneLine(why);
  std::string recipes;
  for (const Json& recipe : Field(worker, "recipes"))
    recipes += (recipes.empty() ? "" : " ") + TextField(recipe, "name");
  return recipes.empty() ? text : text + ", recipes " + recipes;
}

std::string ReadyText(const Json& ready) {
  std::string text;
  for (const Json& version : ready) text += (text.empty() ? "" : " ") + ShownValue(version);
  return text.empty() ? kAbsent : text;
}

Table ReplicaTable(const Json& serve, std::int64_t now_us) {
  Table table({{"REPLICA"}, {"MODEL"}, {"EPOCH", Align::kRight}, {"READY VERSIONS"}, {"SPOOLED", Align::kRight},
               {"NOT KEPT", Align::kRight}, {"SEEN"}});
  for (const Json& replica : Field(serve, "replicas")) {
    auto seen_at = IntField(replica, "seen_at");
    std::string seen = seen_at ? ShownAge(*seen_at, now_us) : kAbsent;
    const Json& predictions = Field(replica, "predictions");
    const std::string spooled = ShownInt(IntField(predictions, "waiting")), not_kept = ShownInt(IntField(predictions, "dropped"));
    for (const auto& [name, model] : Field(replica, "models").items())
      table.Add({TextField(replica, "id"), name, ShownInt(IntField(model, "epoch")), ReadyText(Field(model, "ready")), spooled,
                 not_kept, seen});
    if (Field(replica, "models").empty())
      table.Add({TextField(replica, "id"), kAbsent, kAbsent, kAbsent, spooled, not_kept, seen});
  }
  return table;
}

std::string CountsText(const Json& counts) {
  return fmt::format("{}, {}, {}, {}", Counted(IntField(counts, "datasets").value_or(0), "dataset"),
                     Counted(IntField(counts, "pipelines").value_or(0), "pipeline"),
                     Counted(IntField(counts, "models").value_or(0), "model"),
                     Counted(IntField(counts, "runs_active").value_or(0), "active run"));
}

Outcome ShowStatus(Context& context) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Get("/api/v1/status"));
  RATCHET_ASSIGN(Json status, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  auto started_at = IntField(status, "started_at");
  const Json& serve = Field(status, "serve");
  context.console.Out(RenderPairs(
      {{"Server", fmt::format("{}  (ratchetd {})", client.Url().Text(), TextField(status, "version"))},
       {"Up for", started_at ? ShownDuration(static_cast<double>(now_us - *started_at) / 1000) : ""},
       {"Data", TextField(status, "data_dir")},
       {"Worker", WorkerText(Field(status, "worker"))},
       {"Data plane", fmt::format("{}  ({})", TextField(serve, "url"),
                                  Counted(static_cast<std::int64_t>(Field(serve, "replicas").size()), "replica"))},
       {"Holds", CountsText(Field(status, "counts"))}}, context.console));
  Table replicas = ReplicaTable(serve, now_us);
  if (!replicas.Empty()) context.console.Out("\n" + replicas.Render(context.console));
  return kExitDone;
}

}  // namespace

void AddStatusCommand(CLI::App& root, Context& context) {
  AddCommand(root, context,
             {.name = "status",
              .summary = "show what the server, its worker and its data plane are doing",
              .details = "One look at the control plane: version, worker, replicas of the data plane with the\n"
                         "route epoch and the versions that each holds ready, how many predictions wait in its spool\n"
                         "to be taken, and how many it answered but could not keep. To find out why something\n"
                         "does not work, ask 'ratchet doctor'.",
              .examples = "ratchet status\nratchet status -o json"},
             [&context] { return ShowStatus(context); });
}

}  // namespace ratchet::cli
