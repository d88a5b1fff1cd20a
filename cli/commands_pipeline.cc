#include <spdlog/fmt/fmt.h>

#include "base/names.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/pipeline_files.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

// "parcel-sorter.yaml:12: data.split.holdout: must be below 1", one line for each fault; false when the error is of
// another kind than a faulty spec.
bool PrintSpecFaults(Console& console, const std::string& path, const Error& error) {
  std::vector<FieldError> faults = error.details;
  if (faults.empty() && (error.line > 0 || !error.field.empty()))
    faults.push_back({.field = error.field, .line = error.line, .detail = error.cause});
  for (const FieldError& fault : faults) {
    std::string place = fault.line > 0 ? fmt::format("{}:{}:", path, fault.line) : path + ":";
    std::string field = fault.field.empty() ? "" : " " + fault.field + ":";
    console.ErrorLine(fmt::format("{}{} {}", console.OnErr(Paint::kBold, place), field, OneLine(fault.detail)));
  }
  return !faults.empty();
}

Outcome RefuseSpec(Context& context, const std::string& path, Error error) {
  if (context.Json() || OutOfReach(error) || !PrintSpecFaults(context.console, path, error)) return std::unexpected(std::move(error));
  return kExitFailed;
}

struct ApplyOptions {
  std::string file;
  std::string name;
};

// A step would find out only when it is run.
void TellOfMissing(Context& context, const SpecFile& spec) {
  for (const std::string& file : spec.missing)
    context.console.NoteLine(fmt::format("note: a command names {}, and no such file lies beside the spec", file));
}

Outcome Apply(Context& context, const ApplyOptions& options) {
  RATCHET_ASSIGN(SpecFile spec, ReadSpecFile(options.file));
  RATCHET_ASSIGN(Client client, context.Connect());
  std::string name = options.name.empty() ? spec.model : options.name;
  if (!CheckName("pipeline", name)) {
    // Without a model's name there is no address to put the spec to; the server says what is wrong with the spec.
    auto verdict = client.Post("/api/v1/pipelines/validate", SpecRequest(spec));
    if (!verdict) return RefuseSpec(context, options.file, std::move(verdict).error());
    RATCHET_TRY(CheckName("pipeline", name));
  }
  auto body = client.Put("/api/v1/pipelines/" + name, SpecRequest(spec));
  if (!body) return RefuseSpec(context, options.file, std::move(body).error());
  TellOfMissing(context, spec);
  if (context.Json()) {
    PrintRaw(context.console, *body);
    return kExitDone;
  }
  RATCHET_ASSIGN(Json pipeline, DecodeAnswer(*body));
  std::string files;
  for (const auto& [file, content] : spec.files) files += (files.empty() ? ", with " : " ") + file;
  const Json& changed = Field(pipeline, "changed");
  bool same = changed.is_boolean() && !changed.get<bool>();
  if (context.console.Quiet()) return kExitDone;
  context.console.OutLine(fmt::format("pipeline {}: {} {}{}", name,
                                      same ? "unchanged, revision" : "applied as revision",
                                      ShownInt(IntField(pipeline, "revision")), files));
  return kExitDone;
}

Outcome Validate(Context& context, const std::string& path) {
  RATCHET_ASSIGN(SpecFile spec, ReadSpecFile(path));
  RATCHET_ASSIGN(Client client, context.Connect());
  auto body = client.Post("/api/v1/pipelines/validate", SpecRequest(spec));
  if (!body) return RefuseSpec(context, path, std::move(body).error());
  TellOfMissing(context, spec);
  if (context.Json())
    PrintRaw(context.console, *body);
  else if (!context.console.Quiet())
    context.console.OutLine(path + ": valid");
  return kExitDone;
}

Outcome List(Context& context) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList("/api/v1/pipelines"));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"NAME"}, {"MODEL"}, WordColumn("STATE"), {"REVISION", Align::kRight}, {"LAST RUN", Align::kRight}, {"UPDATED"}});
  for (const Json& item : Field(list, "items")) {
    auto updated = IntField(item, "updated_at");
    table.Add({TextField(item, "name"), TextField(item, "model"), TextField(item, "state"), ShownInt(IntField(item, "revision")),
               ShownInt(IntField(item, "last_run")), updated ? ShownAge(*updated, now_us) : kAbsent});
  }
  context.console.Out(table.Render(context.console));
  if (table.Empty()) context.console.NoteLine("No pipelines yet. Apply one: ratchet pipeline apply FILE");
  return kExitDone;
}

Outcome Show(Context& context, const std::string& name) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Get("/api/v1/pipelines/" + name));
  RATCHET_ASSIGN(Json pipeline, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  std::string files;
  for (const auto& [file, digest] : Field(pipeline, "files").items())
    files += fmt::format("{}{} ({})", files.empty() ? "" : ", ", file, ShownValue(digest).substr(0, 12));
  auto time = [&](const char* key) {
    auto at = IntField(pipeline, key);
    return at ? ShownTime(*at) : std::string();
  };
  auto last_run = IntField(pipeline, "last_run");
  context.console.Out(RenderPairs({{"Pipeline", TextField(pipeline, "name")},
                                   {"Model", TextField(pipeline, "model")},
                                   {"Revision", ShownInt(IntField(pipeline, "revision"))},
                                   {"State", TextField(pipeline, "state")},
                                   {"Last run", last_run ? ShownInt(last_run) : "none yet"},
                                   {"Files", files},
                                   {"Created", time("created_at")},
                                   {"Updated", time("updated_at")}}, context.console));
  context.console.Out("\n");
  PrintRaw(context.console, TextField(pipeline, "spec_text"));
  return kExitDone;
}

Outcome Delete(Context& context, const std::string& name) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Delete("/api/v1/pipelines/" + name));
  if (context.Json()) {
    if (!body.empty()) PrintRaw(context.console, body);
  } else if (!context.console.Quiet()) {
    context.console.OutLine("pipeline " + name + ": deleted; its model and runs are kept");
  }
  return kExitDone;
}

Outcome SetPaused(Context& context, const std::string& name, const char* action, const char* told) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, client.Post("/api/v1/pipelines/" + name + "/" + action, {.text = "{}", .idempotency_key = {}}));
  if (context.Json())
    PrintRaw(context.console, body);
  else if (!context.console.Quiet())
    context.console.OutLine("pipeline " + name + ": " + told);
  return kExitDone;
}

Outcome Pause(Context& context, const std::string& name) {
  return SetPaused(context, name, "pause", "paused; no run of it is begun, what runs goes on");
}

Outcome Resume(Context& context, const std::string& name) {
  return SetPaused(context, name, "resume", "active; its runs are begun again");
}

void AddApply(CLI::App& group, Context& context) {
  auto options = std::make_shared<ApplyOptions>();
  CLI::App* command = AddCommand(
      group, context,
      {.name = "apply",
       .summary = "create or change a pipeline from its spec",
       .details = "Sends the spec (YAML or JSON). A spec that differs from the one applied last makes a new\n"
                  "revision; the same spec changes nothing. The pipeline is named after the spec's model\n"
                  "unless --name says otherwise. Files beside the spec that a command of train or of a\n"
                  "step names (relative paths, 1 MiB each at most) travel along, so that\n"
                  "'command: [python3, train.py]' just works.\n"
                  "Faults of the spec are printed as FILE:LINE: FIELD: what is wrong.",
       .examples = "ratchet pipeline apply parcel-sorter.yaml\n"
                   "sed s/0.001/0.002/ spec.yaml | ratchet pipeline apply - --name trial"},
      [&context, options] { return Apply(context, *options); });
  auto* file = command->add_option("FILE", options->file, "The spec, or - for standard input")->required();
  context.completions[file] = Completes::kFile;
  command->add_option("--name", options->name, "The pipeline's name (default: the spec's model)")
      ->type_name("NAME")
      ->check(NameOf(Completes::kPipeline));
}

void AddNamed(CLI::App& group, Context& context, const CommandText& text,
              Outcome (*run)(Context&, const std::string&)) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = AddCommand(group, context, text, [&context, name, run] { return run(context, *name); });
  AddArgument(command, context, "NAME", *name, "The pipeline's name", Completes::kPipeline);
}

}  // namespace

void AddPipelineCommands(CLI::App& root, Context& context) {
  CLI::App* group = AddGroup(root, "pipeline", "define the loop of a model",
                             "A pipeline is the spec of one model's loop: its data, how to train, how to test, when\n"
                             "a candidate is better, how to release it, when to train again.");
  AddApply(*group, context);
  AddCommand(*group, context,
             {.name = "list",
              .summary = "list the pipelines",
              .details = "One line for each pipeline with its latest revision and run.",
              .examples = "ratchet pipeline list"},
             [&context] { return List(context); });
  AddNamed(*group, context,
           {.name = "show",
            .summary = "show a pipeline and its spec as it was applied",
            .details = "With -o json the spec is there twice: as text, and typed with every default filled in.",
            .examples = "ratchet pipeline show parcel-sorter"},
           Show);
  AddNamed(*group, context,
           {.name = "delete",
            .summary = "delete a pipeline",
            .details = "No more runs start. The model, its versions and its runs are kept and go on serving.",
            .examples = "ratchet pipeline delete parcel-sorter"},
           Delete);
  AddNamed(*group, context,
           {.name = "pause",
            .summary = "begin no more runs of a pipeline",
            .details = "Runs may still be asked for: they wait in the queue. What is under way goes on.",
            .examples = "ratchet pipeline pause parcel-sorter"},
           Pause);
  AddNamed(*group, context,
           {.name = "resume",
            .summary = "begin runs of a paused pipeline again",
            .details = "Runs that were asked for meanwhile are begun as there is room.",
            .examples = "ratchet pipeline resume parcel-sorter"},
           Resume);
  auto path = std::make_shared<std::string>();
  CLI::App* validate =
      AddCommand(*group, context,
                 {.name = "validate",
                  .summary = "check a spec without applying it",
                  .details = "The server checks everything that apply would check and changes nothing.\n"
                             "Every fault is printed as FILE:LINE: FIELD: what is wrong.",
                  .examples = "ratchet pipeline validate parcel-sorter.yaml"},
                 [&context, path] { return Validate(context, *path); });
  AddArgument(validate, context, "FILE", *path, "The spec, or - for standard input", Completes::kFile);
}

}  // namespace ratchet::cli
