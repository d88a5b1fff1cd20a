#include "pipeline/feedback_lines.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/names.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using registry::FeedbackBy;
using registry::LoggedPrediction;
using registry::OutcomeInput;

constexpr size_t kMostFaults = 50;
constexpr std::int64_t kMaxVersion = std::numeric_limits<std::int32_t>::max();

std::unexpected<Error> Bad(const std::string& field, std::string cause) {
  Error error{.code = ErrorCode::kInvalid, .operation = "read", .subject = field, .cause = std::move(cause), .hint = {}};
  error.field = field;
  return std::unexpected(std::move(error));
}

bool IsReference(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return !text.empty() && text.size() <= kMaxReferenceBytes;
}

Result<std::int64_t> Whole(const json& object, const char* name, std::int64_t least, std::int64_t most) {
  const json value = object.value(name, json());
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most));
  if (fits && value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most) return value.get<std::int64_t>();
  return Bad(name, fmt::format("it must be a whole number from {} to {}", least, most));
}

Result<std::string> ReferenceOf(const json& object, const char* name) {
  const json value = object.value(name, json());
  if (value.is_number_integer()) return value.dump();
  if (IsReference(value)) return value.get<std::string>();
  return Bad(name, fmt::format("it must be a text of 1 to {} bytes", kMaxReferenceBytes));
}

// The same truth has the same text, whether it came as 3, 3.0 or "3".
Result<std::string> OutcomeText(const json& value) {
  if (value.is_number_integer()) return value.dump();
  if (value.is_number_float() && std::isfinite(value.get<double>())) return fmt::format("{}", value.get<double>());
  if (value.is_string() && !value.get_ref<const std::string&>().empty() &&
      value.get_ref<const std::string&>().size() <= kMaxOutcomeBytes)
    return value.get<std::string>();
  return Bad("outcome", fmt::format("it must be a number, or a text of 1 to {} bytes", kMaxOutcomeBytes));
}

Status CheckKeys(const json& object) {
  static const std::vector<std::string> kKnown = {"prediction", "key", "row", "outcome", "at"};
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::count(kKnown, name) > 0) continue;
    const std::string near = NearestName(name, kKnown);
    return Bad(name.substr(0, 80), near.empty() ? "it is not known; an outcome has prediction or key, outcome, row and at"
                                                : "it is not known; did you mean '" + near + "'?");
  }
  return {};
}

Result<OutcomeInput> OutcomeFrom(const json& object) {
  if (!object.is_object()) return Bad("", "it is no JSON object");
  RATCHET_TRY(CheckKeys(object));
  const bool by_id = object.contains("prediction");
  if (by_id == object.contains("key"))
    return Bad(by_id ? "key" : "prediction", by_id ? "it stands beside prediction; keep one of the two"
                                                   : "it is missing; name the prediction's id, or the key of the case");
  OutcomeInput outcome{.by = by_id ? FeedbackBy::kPrediction : FeedbackBy::kKey, .reference = {}, .outcome = {}, .at = {}};
  RATCHET_ASSIGN(outcome.reference, ReferenceOf(object, by_id ? "prediction" : "key"));
  RATCHET_ASSIGN(outcome.outcome, OutcomeText(object.value("outcome", json())));
  if (object.contains("row")) {
    RATCHET_ASSIGN(outcome.row, Whole(object, "row", 0, kMaxPredictionRows));
  }
  if (object.contains("at") && !object["at"].is_null()) {
    RATCHET_ASSIGN(outcome.at, Whole(object, "at", 0, std::numeric_limits<std::int64_t>::max()));
  }
  return outcome;
}

// Collects what is well and what is not.
struct Reading {
  std::vector<OutcomeInput> outcomes;
  Error faults{.code = ErrorCode::kInvalid, .operation = "read", .subject = "the feedback", .cause = {}, .hint = {}};
  size_t fault_count = 0;

  void Fault(int line, const Error& error) {
    if (++fault_count <= kMostFaults) faults.details.push_back({error.field, line, error.cause});
  }
  void Take(int line, const json& value) {
    auto outcome = OutcomeFrom(value);
    if (!outcome) return Fault(line, outcome.error());
    outcomes.push_back(std::move(*outcome));
  }
  Result<std::vector<OutcomeInput>> Done() {
    if (outcomes.size() > kMaxOutcomes)
      return Fail(ErrorCode::kTooLarge, "read", "the feedback", fmt::format("it has more than {} outcomes", kMaxOutcomes),
                  "Send it in parts");
    if (fault_count == 0) return std::move(outcomes);
    const FieldError& first = faults.details.front();
    faults.line = first.line;
    faults.field = first.field;
    faults.cause = fmt::format("{} at fault, nothing was taken; the first is line {}{}{}: {}",
                               fault_count == 1 ? std::string("one entry is") : fmt::format("{} entries are", fault_count),
                               first.line, first.field.empty() ? "" : ", ", first.field, first.detail);
    return std::unexpected(std::move(faults));
  }
};

void ReadLines(std::string_view body, Reading& reading) {
  int line_number = 0;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    reading.Take(line_number, json::parse(line, nullptr, false));
    if (reading.outcomes.size() > kMaxOutcomes) return;
  }
}

}  // namespace

Result<LoggedPrediction> ParsePredictionLine(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return Bad("", "it is no JSON object");
  LoggedPrediction one{.id = {}, .key = {}, .inputs = {}, .outputs = "[]"};
  RATCHET_ASSIGN(one.sequence, Whole(object, "sequence", 1, std::numeric_limits<std::int64_t>::max()));
  RATCHET_ASSIGN(one.id, ReferenceOf(object, "id"));
  RATCHET_ASSIGN(one.model, ReferenceOf(object, "model"));
  RATCHET_TRY(CheckName("model", one.model));
  RATCHET_ASSIGN(one.version, Whole(object, "version", 1, kMaxVersion));
  RATCHET_ASSIGN(one.role, ReferenceOf(object, "role"));
  RATCHET_ASSIGN(one.rows, Whole(object, "rows", 0, kMaxPredictionRows));
  RATCHET_ASSIGN(one.at, Whole(object, "at", 0, std::numeric_limits<std::int64_t>::max()));
  RATCHET_ASSIGN(one.latency_us, Whole(object, "latency_us", 0, std::numeric_limits<std::int64_t>::max()));
  const json share = object.value("share", json(1));
  if (!share.is_number()) return Bad("share", "it must be a number");
  one.share = share.get<double>();
  if (object.contains("key")) {
    RATCHET_ASSIGN(one.key, ReferenceOf(object, "key"));
  }
  const auto inputs = object.find("inputs"), outputs = object.find("outputs");
  if (inputs != object.end() && inputs->is_array()) one.inputs = inputs->dump();
  if (outputs != object.end() && outputs->is_array()) one.outputs = outputs->dump();
  return one;
}

Result<std::vector<OutcomeInput>> ParseOutcomes(std::string_view body, FeedbackText text) {
  Reading reading;
  if (text == FeedbackText::kJsonLines) {
    ReadLines(body, reading);
    return reading.Done();
  }
  const json document = json::parse(body, nullptr, false);
  if (document.is_discarded()) return Bad("", "the body is no JSON");
  if (!document.is_array()) {
    reading.Take(1, document);
    return reading.Done();
  }
  int place = 0;
  for (const json& entry : document) reading.Take(++place, entry);
  return reading.Done();
}

}  // namespace ratchet::pipeline
