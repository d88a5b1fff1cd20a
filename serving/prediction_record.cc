#include "serving/prediction_record.h"

#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

namespace ratchet::serving {
namespace {

using nlohmann::json;

// Breaks within sound JSON stand between values only, where a blank will do.
std::string OnOneLine(std::string_view raw) {
  std::string text(raw);
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

// The text of the body's member `name`, an array; "null" where there is none.
std::string RawArray(const std::string& body, const char* name) {
  const simdjson::padded_string padded(body);
  thread_local simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  std::string_view raw;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document[name].get_array().get(array) != simdjson::SUCCESS || array.raw_json().get(raw) != simdjson::SUCCESS) {
    return "null";
  }
  return OnOneLine(raw);
}

// The names left out of this record.
using Redacted = std::function<bool(const std::string& name)>;

bool IsRedacted(const std::string& input, const Signature& signature, const Redacted& redacted) {
  if (redacted(input)) return true;
  return std::ranges::any_of(signature.inputs, [&](const TensorSpec& spec) {
    return spec.name == input && redacted(spec.column);
  });
}

std::string RedactedInputs(const AnsweredRequest& answered, const Redacted& redacted) {
  json inputs = json::parse(RawArray(answered.request_body, "inputs"), nullptr, false);
  if (!inputs.is_array()) return "null";
  for (json& input : inputs) {
    if (!IsRedacted(input.value("name", ""), answered.version->signature, redacted)) continue;
    input.erase("data");
    input["redacted"] = true;
  }
  return inputs.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Text(std::string_view text) { return json(text).dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

std::string RecordJson(const AnsweredRequest& answered, const std::set<std::string>& redacted) {
  static const LogSettings kNoSettings;
  const LogSettings& settings = answered.settings ? *answered.settings : kNoSettings;
  const Redacted left_out = [&](const std::string& name) { return redacted.contains(name) || settings.redact.contains(name); };
  const ServedVersion& version = *answered.version;
  std::string text = "{\"id\":" + Text(answered.id) + ",\"model\":" + Text(version.model) +
                     ",\"version\":" + std::to_string(version.ref.version) + ",\"role\":" + Text(answered.role) +
                     ",\"share\":" + json(answered.share).dump() + ",\"rows\":" + std::to_string(answered.rows) +
                     ",\"at\":" + std::to_string(answered.at_us) +
                     ",\"latency_us\":" + std::to_string(answered.latency_us);
  if (!answered.key.empty()) text += ",\"key\":" + Text(answered.key);
  if (answered.request_body.size() > kMaxLoggedInputBytes) {
    text += ",\"inputs\":null,\"inputs_left_out_bytes\":" + std::to_string(answered.request_body.size());
  } else if (redacted.empty() && settings.redact.empty()) {
    text += ",\"inputs\":" + RawArray(answered.request_body, "inputs");
  } else {
    text += ",\"inputs\":" + RedactedInputs(answered, left_out);
  }
  return text + ",\"outputs\":" + RawArray(answered.answer_body, "outputs") + "}";
}

}  // namespace ratchet::serving
