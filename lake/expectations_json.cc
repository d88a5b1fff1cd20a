#include <cmath>
#include <nlohmann/json.hpp>

#include "base/names.h"
#include "lake/expectations.h"

namespace ratchet::lake {
namespace {

using Json = nlohmann::json;

std::unexpected<Error> Refuse(const std::string& field, std::string cause, std::string hint) {
  auto failure = Fail(ErrorCode::kInvalid, "read the expectations", field, std::move(cause), std::move(hint));
  failure.error().field = field;
  return failure;
}

Result<Value> ValueFromJson(const Json& json, const std::string& field) {
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) {
    return Refuse(field, "the integer is beyond 64 bits", "Use a smaller one");
  }
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_boolean()) return static_cast<std::int64_t>(json.get<bool>());
  return Refuse(field, "a value is neither a number nor text", "List numbers or texts");
}

Result<double> NumberFromJson(const Json& json, const std::string& field) {
  if (json.is_number() && std::isfinite(json.get<double>())) return json.get<double>();
  return Refuse(field, "it is no number", "Give a number");
}

Result<bool> FlagFromJson(const Json& json, const std::string& field) {
  if (json.is_boolean()) return json.get<bool>();
  return Refuse(field, "it is neither true nor false", "Give true or false");
}

Result<std::string> TextFromJson(const Json& json, const std::string& field) {
  if (json.is_string()) return json.get<std::string>();
  return Refuse(field, "it is no text", "Give a text");
}

Status ReadIn(const Json& json, const std::string& field, std::vector<Value>& to) {
  if (!json.is_array() || json.empty()) return Refuse(field, "it is no list of values", "Write in: [0, 1, 2]");
  for (const Json& entry : json) {
    RATCHET_ASSIGN(Value value, ValueFromJson(entry, field));
    to.push_back(std::move(value));
  }
  return {};
}

Status ReadKey(const std::string& key, const Json& json, const std::string& field, Expectation& to) {
  if (key == "in") return ReadIn(json, field, to.in);
  if (key == "column") {
    RATCHET_ASSIGN(to.column, TextFromJson(json, field));
  } else if (key == "matches") {
    RATCHET_ASSIGN(to.matches, TextFromJson(json, field));
  } else if (key == "min") {
    RATCHET_ASSIGN(to.min, NumberFromJson(json, field));
  } else if (key == "max") {
    RATCHET_ASSIGN(to.max, NumberFromJson(json, field));
  } else if (key == "missing_at_most") {
    RATCHET_ASSIGN(to.missing_at_most, NumberFromJson(json, field));
  } else if (key == "unique") {
    RATCHET_ASSIGN(to.unique, FlagFromJson(json, field));
  } else if (key == "not_null") {
    RATCHET_ASSIGN(to.not_null, FlagFromJson(json, field));
  } else {
    const std::vector<std::string> known = {"column",          "in",     "min",      "max",
                                            "missing_at_most", "unique", "not_null", "matches"};
    const std::string near = NearestName(key, known);
    return Refuse(field, "there is no such key",
                  near.empty() ? "Use column, in, min, max, missing_at_most, unique, not_null, matches"
                               : "Did you mean " + near + "?");
  }
  return {};
}

Result<Expectation> FromJson(const Json& json, const std::string& field) {
  if (!json.is_object()) return Refuse(field, "it is no object", "Write {column: price, min: 0}");
  Expectation expectation;
  for (const auto& [key, value] : json.items()) {
    RATCHET_TRY(ReadKey(key, value, field + "." + key, expectation));
  }
  if (expectation.column.empty()) return Refuse(field + ".column", "it is missing", "Name the column");
  const auto& most = expectation.missing_at_most;
  if (most && (*most < 0 || *most > 1)) {
    return Refuse(field + ".missing_at_most", "it is no fraction of 1", "Give a number from 0 to 1");
  }
  if (expectation.min && expectation.max && *expectation.min > *expectation.max) {
    return Refuse(field + ".min", "it is larger than max", "Swap them");
  }
  return expectation;
}

nlohmann::ordered_json ValueJson(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (auto* real = std::get_if<double>(&value)) return *real;
  if (auto* text = std::get_if<std::string>(&value)) return *text;
  return nullptr;
}

nlohmann::ordered_json ToJson(const Expectation& expectation) {
  nlohmann::ordered_json json{{"column", expectation.column}};
  for (const Value& value : expectation.in) json["in"].push_back(ValueJson(value));
  if (expectation.min) json["min"] = *expectation.min;
  if (expectation.max) json["max"] = *expectation.max;
  if (expectation.missing_at_most) json["missing_at_most"] = *expectation.missing_at_most;
  if (expectation.unique) json["unique"] = true;
  if (expectation.not_null) json["not_null"] = true;
  if (expectation.matches) json["matches"] = *expectation.matches;
  return json;
}

}  // namespace

Result<std::vector<Expectation>> ExpectationsFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return Refuse("expect", "it is no list", "Write - {column: price, min: 0}");
  if (json.size() > kMaxExpectations) {
    return Refuse("expect", "it has more than " + std::to_string(kMaxExpectations) + " entries", "Use fewer");
  }
  std::vector<Expectation> expectations;
  for (std::size_t i = 0; i < json.size(); ++i) {
    RATCHET_ASSIGN(Expectation expectation, FromJson(json[i], "expect[" + std::to_string(i) + "]"));
    expectations.push_back(std::move(expectation));
  }
  return expectations;
}

std::string CheckResultsToJson(const std::vector<CheckResult>& results) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CheckResult& result : results) {
    nlohmann::ordered_json entry{{"expect", ToJson(result.expectation)},
                                 {"passed", result.passed},
                                 {"failing_rows", result.failing_rows},
                                 {"examples", nlohmann::ordered_json::array()}};
    for (const Value& value : result.examples) entry["examples"].push_back(ValueJson(value));
    json.push_back(std::move(entry));
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ratchet::lake
