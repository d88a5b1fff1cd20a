#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "base/names.h"
#include "cli/csv.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/upload.h"

namespace ratchet::cli {
namespace {

constexpr size_t kInputLimitBytes = 512u << 20;
constexpr size_t kMostLinesAtOnce = 20'000;
constexpr size_t kMostBytesAtOnce = 4u << 20;
const std::vector<std::string> kColumns = {"prediction", "key", "row", "outcome", "at"};
constexpr std::array kCounts = {"taken", "repeated", "replaced", "joined", "waiting"};

struct FeedbackOptions {
  std::string name;
  std::string file;
};

Json CellJson(const std::string& column, const std::string& cell) {
  const bool whole = !cell.empty() && cell.size() < 19 && std::ranges::all_of(cell, [](char c) { return c >= '0' && c <= '9'; });
  if ((column == "row" || column == "at") && whole) return std::stoll(cell);
  return cell;
}

// One outcome a line. An empty cell is one that is not there.
Result<std::string> LinesOfCsv(std::string_view text) {
  RATCHET_ASSIGN(const CsvTable table, ParseCsv(text));
  for (const std::string& column : table.header) {
    if (std::ranges::count(kColumns, column) > 0) continue;
    const std::string near = NearestName(column, kColumns);
    return Fail(ErrorCode::kInvalid, "read the column", Quoted(column), "feedback has prediction or key, outcome, row and at",
                near.empty() ? "" : "Did you mean " + near + "?");
  }
  std::string lines = "\n";  // for the header, so that the server's line numbers are the file's
  for (const std::vector<std::string>& row : table.rows) {
    Json outcome = Json::object();
    for (size_t i = 0; i < row.size(); ++i)
      if (!row[i].empty()) outcome[table.header[i]] = CellJson(table.header[i], row[i]);
    lines += outcome.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return lines;
}

Result<std::string> LinesOfList(std::string_view text) {
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) return Fail(ErrorCode::kInvalid, "read", "the list", "it is no JSON");
  std::string lines;
  for (const Json& item : list) lines += item.dump() + "\n";
  return lines;
}

Result<std::string> ReadLines(const std::string& file) {
  RATCHET_ASSIGN(auto input, InputFile::Open(file));
  RATCHET_ASSIGN(std::string bytes, input->ReadAll(kInputLimitBytes));
  RATCHET_ASSIGN(const RowFormat format, DetectRowFormat(file, std::string_view(bytes).substr(0, 512)));
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && bytes[first] == '[') return LinesOfList(bytes);
  switch (format) {
    case RowFormat::kCsv:
      return LinesOfCsv(bytes);
    case RowFormat::kJsonLines:
      return bytes;
    case RowFormat::kPack:
      break;
  }
  return Fail(ErrorCode::kInvalid, "read", file, "it is a pack", "Give the outcomes as CSV or JSON Lines");
}

// How many bytes of whole lines go into the next request, and how many lines these are.
std::pair<size_t, size_t> NextPart(std::string_view rest) {
  size_t bytes = 0, lines = 0;
  while (bytes < rest.size() && lines < kMostLinesAtOnce) {
    const size_t end = std::min(rest.find('\n', bytes), rest.size() - 1) + 1;
    if (lines > 0 && end > kMostBytesAtOnce) break;
    bytes = end;
    ++lines;
  }
  return {bytes, lines};
}

Outcome Send(Context& context, const FeedbackOptions& options) {
  RATCHET_ASSIGN(const std::string lines, ReadLines(options.file));
  RATCHET_ASSIGN(Client client, context.Connect());
  Json total = Json::object();
  for (const char* count : kCounts) total[count] = 0;
  size_t lines_before = 0;
  for (std::string_view rest = lines; !rest.empty();) {
    const auto [bytes, count] = NextPart(rest);
    // Blank lines in front keep the numbers that the server tells those of the whole file.
    const std::string body = std::string(lines_before, '\n') + std::string(rest.substr(0, bytes));
    RATCHET_ASSIGN(const std::string text,
                   client.Post("/api/v1/models/" + options.name + "/feedback",
                               {.text = body, .content_type = "application/x-ndjson", .idempotency_key = {}}));
    RATCHET_ASSIGN(const Json answer, DecodeAnswer(text));
    for (const char* name : kCounts) total[name] = total[name].get<std::int64_t>() + IntField(answer, name).value_or(0);
    rest.remove_prefix(bytes);
    lines_before += count;
  }
  if (context.Json()) {
    context.console.OutLine(total.dump());
    return kExitDone;
  }
  context.console.OutLine(fmt::format("{} taken, {} known already, {} replaced; {} rows joined with their prediction, {} wait for it",
                                      ShownCount(total["taken"]), ShownCount(total["repeated"]), ShownCount(total["replaced"]),
                                      ShownCount(total["joined"]), ShownCount(total["waiting"])));
  return kExitDone;
}

}  // namespace

void AddFeedbackCommand(CLI::App& root, Context& context) {
  auto options = std::make_shared<FeedbackOptions>();
  CLI::App* command = AddCommand(
      root, context,
      {.name = "feedback",
       .summary = "tell a model the true outcomes of its predictions",
       .details = "Sends the outcomes in FILE to the control plane, which joins them with the predictions and keeps the\n"
                  "live metric by them (ratchet model show NAME).\n"
                  "  JSON Lines  {\"prediction\": ID, \"outcome\": VALUE} a line; or a JSON list of these\n"
                  "  CSV         a header with prediction or key, and outcome\n"
                  "ID is what the answer to a prediction says (`id`, or `parameters.prediction_id` where the request had\n"
                  "an id of its own). In its place `key` may stand: the request's parameter `key`, or its `id`.\n"
                  "`row` (from 0) names one of several rows of a request; `at` says when the outcome was known\n"
                  "(microseconds since 1970 UTC). Outcomes may come late, twice, or before the prediction has arrived;\n"
                  "one that comes again with another value replaces the first.",
       .examples = "ratchet feedback churn outcomes.csv\n"
                   "echo '{\"key\": \"order-17\", \"outcome\": \"yes\"}' | ratchet feedback churn -"},
      [&context, options] { return Send(context, *options); });
  AddArgument(command, context, "NAME", options->name, "The model's name", Completes::kModel);
  AddArgument(command, context, "FILE", options->file, "The outcomes, or - for standard input", Completes::kFile);
}

}  // namespace ratchet::cli
