#include "cli/json_fields.h"

#include "cli/human.h"

namespace ratchet::cli {

const Json& Field(const Json& object, std::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  auto found = object.find(std::string(key));
  return found == object.end() ? kNull : *found;
}

std::optional<std::int64_t> IntField(const Json& object, std::string_view key) {
  const Json& value = Field(object, key);
  if (!value.is_number()) return std::nullopt;
  return value.get<std::int64_t>();
}

std::optional<double> NumberField(const Json& object, std::string_view key) {
  const Json& value = Field(object, key);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

std::string TextField(const Json& object, std::string_view key) {
  const Json& value = Field(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool FlagField(const Json& object, std::string_view key) {
  const Json& value = Field(object, key);
  return value.is_boolean() && value.get<bool>();
}

Json ParseJson(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

std::string ShownValue(const Json& value) {
  if (value.is_null() || value.is_discarded()) return kAbsent;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return ShownNumber(value.get<double>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ratchet::cli
