#include <spdlog/fmt/fmt.h>

#include "base/names.h"
#include "cli/help.h"
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

// The data plane: as the user names it, else as the control plane does. The token stays with the control plane.
Result<Client> ConnectDataPlane(const Context& context, const std::string& serve) {
  std::string url = serve;
  if (url.empty()) {
    RATCHET_ASSIGN(Client control, context.Connect());
    RATCHET_ASSIGN(Json status, control.GetJson("/api/v1/status"));
    url = TextField(Field(status, "serve"), "url");
    if (url.empty())
      return Fail(ErrorCode::kUnavailable, "find the data plane", "", "the server names none",
                  "Name it with --serve URL, or look at: ratchet doctor");
    url = ReachableFrom(control.Url(), url);
  }
  RATCHET_ASSIGN(ServerUrl parsed, ParseServerUrl(url));
  return Client(std::move(parsed), "");
}

Outcome Predict(Context& context, const PredictOptions& options) {
  RATCHET_TRY(CheckName("model", options.name));
  RATCHET_ASSIGN(auto input, InputFile::Open(options.file));
  RATCHET_ASSIGN(std::string bytes, input->ReadAll(kInputLimitBytes));
  RATCHET_ASSIGN(Client plane, ConnectDataPlane(context, options.serve));
  std::string path = "/v2/models/" + options.name;
  if (options.version > 0) path += fmt::format("/versions/{}", options.version);
  RATCHET_ASSIGN(Json metadata, plane.GetJson(path));
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
                  "With -o json the data plane's V2 answer is printed; its id is what feedback refers to.",
       .examples = "ratchet predict parcel-sorter photo.png\n"
                   "ratchet predict churn customers.csv -o json\n"
                   "echo '[{\"tenure_months\": 3, \"plan\": \"basic\"}]' | ratchet predict churn -"},
      [&context, options] { return Predict(context, *options); });
  context.completions[command->add_option("NAME", options->name, "The model's name")->required()] = Completes::kModel;
  context.completions[command->add_option("FILE", options->file, "The rows, or - for standard input")->required()] =
      Completes::kFile;
  command->add_option("--version", options->version, "Ask this version instead of the live one")
      ->type_name("V")
      ->check(WholeNumberFromOne());
  command->add_option("--serve", options->serve, "Address of the data plane (default: as the server says)")
      ->type_name("URL");
}

}  // namespace ratchet::cli
