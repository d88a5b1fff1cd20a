#include "cli/release_steps.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <memory>
#include <string>

#include "cli/client.h"
#include "cli/help.h"
#include "cli/human.h"

namespace ratchet::cli {
namespace {

bool SharesOrWaits(const Json& release) {
  const std::string state = TextField(release, "state");
  return state == "watching" || state == "waiting";
}

// A rate is shown in per cent, a latency in milliseconds.
std::string Figure(const std::string& name, const Json& value) {
  if (!value.is_number()) return "?";
  const double number = value.get<double>();
  if (name == "error_rate") return fmt::format("{:.2f} %", 100 * number);
  if (name == "p99_latency") return fmt::format("{:.1f} ms", number / 1000);
  return fmt::format("{:.4f}", number);
}

std::string Range(const std::string& name, const Json& bounds) {
  if (!bounds.is_array() || bounds.size() != 2) return "";
  return fmt::format("[{}, {}]", Figure(name, bounds[0]), Figure(name, bounds[1]));
}

void ShowSignals(Context& context, const Json& evidence) {
  for (const Json& signal : Field(evidence, "signals")) {
    const std::string name = TextField(signal, "name");
    context.console.OutLine(fmt::format("  {}: {} ({} {} against {} {}, limit {}, p {:.2g})", name, TextField(signal, "state"),
                                        Figure(name, Field(signal, "candidate")), Range(name, Field(signal, "candidate_bounds")),
                                        Figure(name, Field(signal, "live")), Range(name, Field(signal, "live_bounds")),
                                        Figure(name, Field(signal, "limit")), NumberField(signal, "p").value_or(1)));
  }
  if (const Json shadow = Field(evidence, "shadow"); shadow.is_object())
    context.console.OutLine(fmt::format("  answers compared: {}, of these other: {}, largest difference: {:.3g}, copies dropped: {}",
                                        ShownInt(IntField(shadow, "compared")), ShownInt(IntField(shadow, "differing")),
                                        NumberField(shadow, "largest_difference").value_or(0), ShownInt(IntField(shadow, "dropped"))));
}

struct Word {
  std::string name, reason;
};

Outcome Say(Context& context, const Word& word, const char* what) {
  RATCHET_ASSIGN(Client client, context.Connect());
  Json request = Json::object();
  if (!word.reason.empty()) request["reason"] = word.reason;
  RATCHET_ASSIGN(std::string body, client.Post("/api/v1/models/" + word.name + "/release/" + what,
                                               {.text = request.dump(-1, ' ', false, Json::error_handler_t::replace), .idempotency_key = {}}));
  RATCHET_ASSIGN(const Json release, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
  } else if (!context.console.Quiet()) {
    const bool aborted = TextField(release, "state") == "aborted";
    context.console.OutLine(aborted ? fmt::format("{}: release {} is aborted; version {} has all traffic", word.name,
                                                  ShownInt(IntField(release, "id")), ShownInt(IntField(release, "from")))
                                    : fmt::format("{}: release {} to version {} is approved", word.name,
                                                  ShownInt(IntField(release, "id")), ShownInt(IntField(release, "to"))));
  }
  return kExitDone;
}

void AddWord(CLI::App& group, Context& context, const char* what, const CommandText& text) {
  auto word = std::make_shared<Word>();
  CLI::App* command = AddCommand(group, context, text, [&context, word, what] { return Say(context, *word, what); });
  AddArgument(command, context, "NAME", word->name, "The model's name", Completes::kModel);
  command->add_option("--reason", word->reason, "Why, for the record")->type_name("TEXT");
}

}  // namespace

void ShowReleaseUnderWay(Context& context, const Json& list) {
  for (const Json& release : Field(list, "items")) {
    if (!SharesOrWaits(release)) continue;
    context.console.OutLine(fmt::format("\nRelease {} ({}) is {}.", ShownInt(IntField(release, "id")), TextField(release, "strategy"),
                                        TextField(release, "state")));
    for (const Json& arm : Field(Field(release, "split"), "arms"))
      context.console.OutLine(fmt::format("  version {} has {:.4g} % of the traffic as {}", ShownInt(IntField(arm, "version")),
                                          100 * NumberField(arm, "share").value_or(0), TextField(arm, "role")));
    const Json evidence = Field(release, "evidence");
    ShowSignals(context, evidence);
    if (const std::string says = TextField(evidence, "says"); !says.empty()) context.console.OutLine("  " + says);
  }
}

void AddReleaseStepCommands(CLI::App& group, Context& context) {
  AddWord(group, context, "approve",
          {.name = "approve",
           .summary = "let the release under way go live",
           .details = "For a release that waits for an approval (`release: {approval: manual}` in the spec) and for an A/B test,\n"
                      "which lasts until someone decides.",
           .examples = "ratchet release approve parcel-sorter --reason 'the depot is content'"});
  AddWord(group, context, "abort",
          {.name = "abort",
           .summary = "end the release under way",
           .details = "The live version gets all traffic again; the run that made the release is cancelled. Returns when every\n"
                      "replica has it so.",
           .examples = "ratchet release abort parcel-sorter --reason 'complaints'"});
}

}  // namespace ratchet::cli
