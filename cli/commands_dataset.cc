#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "base/digest.h"
#include "base/names.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/progress_bar.h"
#include "cli/table.h"
#include "cli/upload.h"

namespace ratchet::cli {
namespace {

struct PushOptions {
  std::string name;
  std::vector<std::string> files;
  std::string format;
  std::string key;
  std::optional<double> validation;
  std::optional<double> holdout;
  bool again = false;
};

// The same file pushed twice is most likely a push repeated because its answer was lost, so the file's digest is the key
// under which the server knows it; --again, and rows from a pipe, make a key of their own.
Result<std::string> PushKey(const PushOptions& options, const std::string& path) {
  if (options.again || !std::filesystem::is_regular_file(path)) return NewIdempotencyKey();
  RATCHET_ASSIGN(std::string digest, Sha256File(path));
  return "file-" + digest;
}

std::string PushPath(const PushOptions& options) {
  std::string query;
  auto add = [&](const char* name, const std::string& value) {
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", name, PercentEncoded(value));
  };
  if (!options.key.empty()) add("key", options.key);
  if (options.validation) add("validation", fmt::format("{}", *options.validation));
  if (options.holdout) add("holdout", fmt::format("{}", *options.holdout));
  return "/api/v1/datasets/" + options.name + "/versions" + query;
}

std::string RowsText(const Json& rows) {
  return fmt::format("train {}, validation {}, holdout {}", ShownCount(IntField(rows, "train").value_or(0)),
                     ShownCount(IntField(rows, "validation").value_or(0)),
                     ShownCount(IntField(rows, "holdout").value_or(0)));
}

std::int64_t RowsIn(const Json& rows) {
  std::int64_t sum = 0;
  for (const char* split : {"train", "validation", "holdout"}) sum += IntField(rows, split).value_or(0);
  return sum;
}

std::string PushedText(const Json& version, double took_ms) {
  const Json& added = Field(version, "rows_added");
  double rate = static_cast<double>(RowsIn(added)) / std::max(0.001, took_ms / 1000);
  std::string size = ShownSize(NumberField(version, "bytes_added").value_or(0));
  return fmt::format("{}@{}: {} added ({}), {} in {}, {} rows/s", TextField(version, "dataset"),
                     ShownInt(IntField(version, "version")), Counted(RowsIn(added), "row"), RowsText(added), size,
                     ShownDuration(took_ms), ShownCount(static_cast<std::int64_t>(rate)));
}

Result<RowFormat> FormatOf(const PushOptions& options, const std::string& path, InputFile& input) {
  if (!options.format.empty()) return ParseRowFormat(options.format);
  if (path == "-")
    return Fail(ErrorCode::kInvalid, "push", "standard input", "its format is not given",
                "Say --format csv, jsonl or pack");
  RATCHET_ASSIGN(std::string first, input.Peek());
  return DetectRowFormat(path, first);
}

Status PushFile(Context& context, Client& client, const PushOptions& options, const std::string& path) {
  RATCHET_ASSIGN(auto input, InputFile::Open(path));
  RATCHET_ASSIGN(RowFormat format, FormatOf(options, path, *input));
  std::string label = path == "-" ? "standard input" : std::filesystem::path(path).filename().string();
  RATCHET_ASSIGN(std::string key, PushKey(options, path));
  const SystemClock& clock = context.clock;
  std::int64_t started_us = clock.MonotonicUs(), started_at = clock.WallUs();
  TransferProgress progress(context.console, OneLine(label), input->SizeBytes(), started_us);
  auto source = [&](char* into, size_t most) -> Result<size_t> {
    auto length = input->Read(into, most);
    if (length && *length > 0) progress.Advance(static_cast<std::int64_t>(*length), clock.MonotonicUs());
    return length;
  };
  auto body = client.Upload(PushPath(options), std::string(ContentTypeOf(format)), input->SizeBytes(), source, key);
  progress.Finish();
  RATCHET_TRY(body);
  if (context.Json()) {
    PrintRaw(context.console, *body);
    return {};
  }
  RATCHET_ASSIGN(Json version, DecodeAnswer(*body));
  double took_ms = static_cast<double>(clock.MonotonicUs() - started_us) / 1000;
  bool had_it = IntField(version, "created_at").value_or(started_at) < started_at;
  std::string text = had_it ? fmt::format("{}@{} has this file already: nothing was added (--again adds its rows once more)",
                                          TextField(version, "dataset"), ShownInt(IntField(version, "version")))
                            : PushedText(version, took_ms);
  if (!context.console.Quiet()) context.console.OutLine(text);
  return {};
}

Outcome Push(Context& context, const PushOptions& options) {
  RATCHET_ASSIGN(Client client, context.Connect());
  for (size_t i = 0; i < options.files.size(); ++i) {
    Status pushed = PushFile(context, client, options, options.files[i]);
    if (pushed) continue;
    Error error = std::move(pushed).error();
    if (options.files.size() > 1 && error.operation.empty()) error.operation = options.files[i];
    if (i > 0)
      context.console.NoteLine(
          fmt::format("{} of {} files are pushed; the next one was not.", i, options.files.size()));
    return std::unexpected(std::move(error));
  }
  return kExitDone;
}

Outcome List(Context& context) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList("/api/v1/datasets"));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"NAME"},
               {"VERSION", Align::kRight},
               {"TRAIN", Align::kRight},
               {"VALIDATION", Align::kRight},
               {"HOLDOUT", Align::kRight},
               {"UPDATED"}});
  for (const Json& item : Field(list, "items")) {
    const Json& rows = Field(item, "rows");
    auto count = [&](const char* split) { return ShownCount(IntField(rows, split).value_or(0)); };
    auto updated = IntField(item, "updated_at");
    table.Add({TextField(item, "name"), ShownInt(IntField(item, "latest_version")), count("train"), count("validation"),
               count("holdout"), updated ? ShownAge(*updated, now_us) : kAbsent});
  }
  context.console.Out(table.Render(context.console));
  if (table.Empty()) context.console.NoteLine("No datasets yet. Push one: ratchet dataset push NAME FILE");
  return kExitDone;
}

std::string SchemaTable(const Console& console, const Json& schema) {
  Table table({{"COLUMN"}, {"TYPE"}, {"SHAPE"}});
  for (const Json& column : schema)
    table.Add({TextField(column, "name"), TextField(column, "type"),
               column.contains("shape") ? ShownValue(Field(column, "shape")) : ""});
  return table.Render(console);
}

std::string SplitText(const Json& split) {
  if (!split.is_object()) return {};
  std::string key = ShownValue(Field(split, "key"));
  return fmt::format("validation {}, holdout {}, by {}", ShownValue(Field(split, "validation")),
                     ShownValue(Field(split, "holdout")), Field(split, "key").is_null() ? "the whole row" : key);
}

// The α ledger: what looking at the sealed rows has cost.
Table EpochsTable(const Json& epochs) {
  Table table({{"HOLDOUT OF"}, {"EPOCH", Align::kRight}, {"PUSHES"}, {"ROWS", Align::kRight}, {"LOOKS", Align::kRight},
               {"ALPHA SPENT", Align::kRight}, {"LEFT", Align::kRight}, {"NEXT LEVEL", Align::kRight}});
  const auto level = [](const Json& epoch, const char* name) {
    const auto value = NumberField(epoch, name);
    return value ? fmt::format("{:.3g}", *value) : std::string(kAbsent);
  };
  for (const Json& epoch : epochs)
    table.Add({TextField(epoch, "model"), ShownInt(IntField(epoch, "epoch")),
               fmt::format("{}–{}", IntField(epoch, "after_push").value_or(0) + 1, IntField(epoch, "until_push").value_or(0)),
               ShownCount(IntField(epoch, "rows").value_or(0)), ShownInt(IntField(epoch, "looks")), level(epoch, "spent"),
               level(epoch, "left"), level(epoch, "next_level")});
  return table;
}

Outcome ShowVersion(Context& context, Client& client, const VersionedName& named) {
  RATCHET_ASSIGN(std::string body,
                 client.Get(fmt::format("/api/v1/datasets/{}/versions/{}", named.name, named.version)));
  RATCHET_ASSIGN(Json version, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  auto created = IntField(version, "created_at");
  context.console.Out(RenderPairs({{"Dataset", fmt::format("{}@{}", named.name, named.version)},
                                   {"Manifest", TextField(version, "manifest")},
                                   {"Rows", RowsText(Field(version, "rows"))},
                                   {"Added", RowsText(Field(version, "rows_added"))},
                                   {"Bytes added", ShownSize(NumberField(version, "bytes_added").value_or(0))},
                                   {"Created", created ? ShownTime(*created) : ""}}, context.console));
  return kExitDone;
}

Outcome Show(Context& context, const std::string& word) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("dataset", word, VersionIs::kOptional));
  RATCHET_ASSIGN(Client client, context.Connect());
  if (named.version > 0) return ShowVersion(context, client, named);
  RATCHET_ASSIGN(std::string body, client.Get("/api/v1/datasets/" + named.name));
  RATCHET_ASSIGN(Json dataset, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  auto updated = IntField(dataset, "updated_at");
  context.console.Out(RenderPairs({{"Dataset", TextField(dataset, "name")},
                                   {"Version", ShownInt(IntField(dataset, "latest_version"))},
                                   {"Rows", RowsText(Field(dataset, "rows"))},
                                   {"Split", OneLine(SplitText(Field(dataset, "split")))},
                                   {"Target", OneLine(TextField(dataset, "target"))},
                                   {"Updated", updated ? ShownTime(*updated) : ""}}, context.console));
  context.console.Out("\n" + SchemaTable(context.console, Field(dataset, "schema")));
  const Table epochs = EpochsTable(Field(dataset, "holdout_epochs"));
  if (!epochs.Empty()) context.console.Out("\n" + epochs.Render(context.console));
  if (const auto spent = IntField(dataset, "spent_rows").value_or(0); spent > 0)
    context.console.NoteLine(fmt::format("{} of closed epochs can become training rows: ratchet dataset rotate-holdout {}",
                                         Counted(spent, "sealed row"), named.name));
  return kExitDone;
}

// Bytes that base64 text of this length stands for.
size_t DecodedSize(const std::string& base64) {
  size_t padding = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
  return base64.size() / 4 * 3 - std::min(padding, base64.size() / 4 * 3);
}

Table PreviewTable(const Json& page, const Json& schema) {
  std::vector<Column> columns;
  std::vector<bool> blob;
  for (const Json& name : Field(page, "columns")) {
    std::string type;
    for (const Json& column : schema)
      if (Field(column, "name") == name) type = TextField(column, "type");
    columns.push_back({OneLine(ShownValue(name)), type == "integer" || type == "real" ? Align::kRight : Align::kLeft});
    blob.push_back(type == "blob");
  }
  Table table(columns);
  for (const Json& row : Field(page, "items")) {
    std::vector<std::string> cells;
    for (size_t i = 0; i < columns.size(); ++i) {
      const Json value = row.is_array() && i < row.size() ? row[i] : Json();
      bool bytes = blob[i] && value.is_string();
      cells.push_back(bytes ? fmt::format("<{} bytes>", DecodedSize(value.get<std::string>())) : ShownValue(value));
    }
    table.Add(std::move(cells));
  }
  return table;
}

Outcome Preview(Context& context, const std::string& word, size_t limit) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("dataset", word, VersionIs::kOptional));
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(Json dataset, client.GetJson("/api/v1/datasets/" + named.name));
  std::int64_t version = named.version > 0 ? named.version : IntField(dataset, "latest_version").value_or(0);
  if (version == 0)
    return Fail(ErrorCode::kNotFound, "preview", named.name, "it has no version yet", "Push rows first");
  RATCHET_ASSIGN(std::string body,
                 client.Get(fmt::format("/api/v1/datasets/{}/versions/{}/rows?limit={}", named.name, version, limit)));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  RATCHET_ASSIGN(Json page, DecodeAnswer(body));
  if (!Field(page, "columns").is_array() || Field(page, "columns").empty()) return kExitDone;
  context.console.Out(PreviewTable(page, Field(dataset, "schema")).Render(context.console));
  context.console.NoteLine(fmt::format("{} training rows of {}@{}", Field(page, "items").size(), named.name, version));
  return kExitDone;
}

void AddPush(CLI::App& group, Context& context) {
  auto options = std::make_shared<PushOptions>();
  CLI::App* command =
      AddCommand(group, context,
                 {.name = "push",
                  .summary = "add rows to a dataset",
                  .details = "Each file makes one new version of the dataset; the first push makes the dataset. Files\n"
                             "are streamed, so their size does not matter. The format is told by the name's ending\n"
                             "(.csv, .jsonl, .ndjson, .pack), otherwise by the first bytes.\n"
                             "Every row goes into train, validation or holdout for ever, by a stable hash of its key;\n"
                             "--key, --validation and --holdout matter for the first push only.",
                  .examples = "ratchet dataset push churn customers.csv --key customer --holdout 0.2\n"
                              "ratchet dataset push parcels parcels-1.pack parcels-2.pack\n"
                              "zcat rows.csv.gz | ratchet dataset push churn - --format csv"},
                 [&context, options] { return Push(context, *options); });
  AddArgument(command, context, "NAME", options->name, "The dataset's name", Completes::kDataset);
  context
      .completions[command->add_option("FILE", options->files, "Files of rows, or - for standard input")->required()] =
      Completes::kFile;
  command->add_option("--format", options->format, "How the rows are written; needed for standard input")
      ->type_name("csv|jsonl|pack")
      ->check(OneOf({"csv", "jsonl", "pack"}));
  command->add_flag("--again", options->again, "Add a file's rows once more though the dataset has them");
  command->add_option("--key", options->key, "The column that decides a row's split (default: the whole row)")
      ->type_name("COLUMN");
  command->add_option("--validation", options->validation, "Share of rows for validation, 0 to 1")
      ->type_name("SHARE")
      ->check(NumberWithin(0, 1));
  command->add_option("--holdout", options->holdout, "Share of rows sealed for the gate, 0 to 1")
      ->type_name("SHARE")
      ->check(NumberWithin(0, 1));
}

struct RotateOptions {
  std::string name, model, reason;
  bool current = false, force = false;
};

Outcome Rotate(Context& context, const RotateOptions& options) {
  RATCHET_ASSIGN(Client client, context.Connect());
  Json body = {{"current", options.current}, {"force", options.force}, {"reason", options.reason}};
  if (!options.model.empty()) body["model"] = options.model;
  RATCHET_ASSIGN(std::string answer, client.Post("/api/v1/datasets/" + options.name + "/rotate-holdout",
                                                 {.text = body.dump(), .idempotency_key = NewIdempotencyKey()}));
  if (context.Json()) {
    PrintRaw(context.console, answer);
    return kExitDone;
  }
  RATCHET_ASSIGN(Json rotated, DecodeAnswer(answer));
  const Json& version = Field(rotated, "version");
  const std::int64_t rows = IntField(rotated, "rows").value_or(0), withheld = IntField(rotated, "withheld").value_or(0);
  if (!context.console.Quiet())
    context.console.OutLine(fmt::format("{}@{}: {} of the pushes up to {} can be trained on now ({})", options.name,
                                        ShownInt(IntField(version, "version")), Counted(rows, "sealed row"),
                                        ShownInt(IntField(rotated, "until_push")), RowsText(Field(version, "rows"))));
  if (withheld > 0)
    context.console.NoteLine(fmt::format("{} stay sealed: a later push's holdout has their keys, too.", Counted(withheld, "row")));
  for (const Json& model : Field(rotated, "losing"))
    context.console.NoteLine(fmt::format("Candidates of {} are judged on fewer rows from now on.", ShownValue(model)));
  if (IntField(Field(version, "rows"), "holdout").value_or(0) == 0)
    context.console.NoteLine("No sealed row is left: no candidate can be judged until fresh rows are pushed.");
  return kExitDone;
}

void AddRotate(CLI::App& group, Context& context) {
  auto options = std::make_shared<RotateOptions>();
  CLI::App* command =
      AddCommand(group, context,
                 {.name = "rotate-holdout",
                  .summary = "retire sealed rows that are worn out into training",
                  .details = "Makes a new version of the dataset in which the holdout rows of closed epochs are training\n"
                             "rows: those that every model has moved on from. A row of a retired key is a training row\n"
                             "ever after, also when a later push brings it again. This cannot be undone.",
                  .examples = "ratchet dataset show parcels\n"
                              "ratchet dataset rotate-holdout parcels\n"
                              "ratchet dataset rotate-holdout parcels --model parcel-sorter --current --reason \"alpha is spent\""},
                 [&context, options] { return Rotate(context, *options); });
  AddArgument(command, context, "NAME", options->name, "The dataset's name", Completes::kDataset);
  context.completions[command->add_option("--model", options->model, "What this model has moved on from (default: all models)")
                          ->type_name("MODEL")
                          ->check(NameOf(Completes::kModel))] = Completes::kModel;
  command->add_flag("--current", options->current, "Also the rows of the current epoch: the next candidate needs fresh ones");
  command->add_flag("--force", options->force, "Also rows that another model is still judged on");
  command->add_option("--reason", options->reason, "Why, for the audit log")->type_name("TEXT");
}

}  // namespace

void AddDatasetCommands(CLI::App& root, Context& context) {
  CLI::App* group = AddGroup(root, "dataset", "push and look at data",
                             "A dataset is a named, append-only table. Each push makes an immutable version, written\n"
                             "NAME@3. Its holdout rows are sealed: neither training nor preview ever shows them.");
  AddPush(*group, context);
  AddCommand(*group, context,
             {.name = "list",
              .summary = "list the datasets",
              .details = "One line for each dataset with the rows in each split.",
              .examples = "ratchet dataset list"},
             [&context] { return List(context); });
  AddRotate(*group, context);
  auto shown = std::make_shared<std::string>();
  CLI::App* show = AddCommand(*group, context,
                              {.name = "show",
                               .summary = "show a dataset, or one version of it",
                               .details = "The schema, the split and the number of rows in each.",
                               .examples = "ratchet dataset show parcels\nratchet dataset show parcels@1"},
                              [&context, shown] { return Show(context, *shown); });
  AddArgument(show, context, "NAME[@V]", *shown, "The dataset, or one version", Completes::kDataset);
  auto previewed = std::make_shared<std::string>();
  auto limit = std::make_shared<size_t>(10);
  CLI::App* preview = AddCommand(*group, context,
                                 {.name = "preview",
                                  .summary = "print some training rows",
                                  .details = "Never rows of the validation or holdout split.",
                                  .examples = "ratchet dataset preview churn --limit 20"},
                                 [&context, previewed, limit] { return Preview(context, *previewed, *limit); });
  AddArgument(preview, context, "NAME[@V]", *previewed, "The dataset, or one version", Completes::kDataset);
  preview->add_option("--limit", *limit, "How many rows (default 10)")->type_name("N")->check(NumberWithin(1, 1000));
}

}  // namespace ratchet::cli
