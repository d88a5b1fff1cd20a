#include <spdlog/fmt/fmt.h>

#include "cli/help.h"
#include "cli/known_planes.h"
#include "cli/tensors.h"
#include "cli/upload.h"

namespace ratchet::cli {
namespace {

constexpr size_t kInputLimitBytes = 64u << 20;

struct PredictOptions {
  std::string name;
  std::string file;
  std::int64_t version = 0;
  std::string serve;
};

constexpr int kControlPatienceMs = 5000;

// The data plane, and why it was not the control plane that named it.
struct DataPlane {
  std::string url;
  std::optional<Error> control_away;
};

// As the user names it, else as the control plane does, else, as serving outlives the control plane, where it was last.
Result<DataPlane> FindDataPlane(const Context& context, const std::string& serve) {
  if (!serve.empty()) return DataPlane{serve, {}};
  RATCHET_ASSIGN(Client control, context.Connect());
  control.SetPatience(kControlPatienceMs);
  auto status = control.GetJson("/api/v1/status");
  if (!status) {
    if (!OutOfReach(status.error())) return std::unexpected(std::move(status).error());
    return DataPlane{LastDataPlane(control.Url()), std::move(status).error()};
  }
  std::string url = TextField(Field(*status, "serve"), "url");
  if (url.empty())
    return Fail(ErrorCode::kUnavailable, "find the data plane", "", "the server names none",
                "Name it with --serve URL, or look at: ratchet doctor");
  url = ReachableFrom(control.Url(), url);
  RememberDataPlane(control.Url(), url);
  return DataPlane{std::move(url), {}};
}

// The model's metadata. Where neither plane answers, the error names both.
Result<Json> MetadataOf(Client& plane, const std::string& path, const DataPlane& found) {
  auto metadata = plane.GetJson(path);
  if (metadata || !found.control_away || !OutOfReach(metadata.error())) return metadata;
  Error error = *found.control_away;
  error.cause += ", and the data plane does not answer at " + plane.Url().Text() + " either";
  error.hint += ". Name the data plane with --serve URL";
  return std::unexpected(std::move(error));
}

Outcome Predict(Context& context, const PredictOptions& options) {
  RATCHET_ASSIGN(auto input, InputFile::Open(options.file));
  RATCHET_ASSIGN(std::string bytes, input->ReadAll(kInputLimitBytes));
  RATCHET_ASSIGN(const DataPlane found, FindDataPlane(context, options.serve));
  RATCHET_ASSIGN(ServerUrl url, ParseServerUrl(found.url));
  Client plane(std::move(url), "");  // the token stays with the control plane
  std::string path = "/v2/models/" + options.name;
  if (options.version > 0) path += fmt::format("/versions/{}", options.version);
  RATCHET_ASSIGN(Json metadata, MetadataOf(plane, path, found));
  RATCHET_ASSIGN(auto inputs, DecodeInputs(metadata));
  auto request = BuildInferRequest(inputs, bytes);
  if (!request) {
    Error error = std::move(request).error();
    error.subject = options.file == "-" ? "standard input" : options.file;
    return std::unexpected(std::move(error));
  }
  RATCHET_ASSIGN(std::string body, plane.Post(path + "/infer", {.text = std::move(*request), .idempotency_key = {}}));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  RATCHET_ASSIGN(Json answer, DecodeAnswer(body));
  RATCHET_ASSIGN(Table table, PredictionTable(answer));
  context.console.Out(table.Render(context.console));
  return kExitDone;
}

}  // namespace

void AddPredictCommand(CLI::App& root, Context& context) {
  auto options = std::make_shared<PredictOptions>();
  CLI::App* command = AddCommand(
      root, context,
      {.name = "predict",
       .summary = "ask a model",
       .details = "Sends the rows of FILE to the data plane and prints what the live version answers (or the\n"
                  "version that --version names). FILE is told by its bytes:\n"
                  "  PNG   one image, of the size the model takes; colours are converted as needed\n"
                  "  CSV   a header with the inputs' names; other columns are ignored, an empty cell is missing\n"
                  "  JSON  rows as objects ([{...}], {\"instances\": [...]}, or one object a line), or a request\n"
                  "        of the Open Inference Protocol V2, sent as it is\n"
                  "Goes on working while the control plane is away.\n"
                  "With -o json the data plane's V2 answer is printed; its id is what feedback refers to.",
       .examples = "ratchet predict parcel-sorter photo.png\n"
                   "ratchet predict churn customers.csv -o json\n"
                   "echo '[{\"tenure_months\": 3, \"plan\": \"basic\"}]' | ratchet predict churn -"},
      [&context, options] { return Predict(context, *options); });
  AddArgument(command, context, "NAME", options->name, "The model's name", Completes::kModel);
  AddArgument(command, context, "FILE", options->file, "The rows, or - for standard input", Completes::kFile);
  command->add_option("--version", options->version, "Ask this version instead of the live one")
      ->type_name("V")
      ->check(WholeNumberFromOne());
  command->add_option("--serve", options->serve, "Address of the data plane (default: as the server says, or as it last did)")
      ->type_name("URL");
}

}  // namespace ratchet::cli
