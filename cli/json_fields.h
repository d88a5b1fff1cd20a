#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ratchet::cli {

// Keeps the order of keys, so that what is printed is what the server sent.
using Json = nlohmann::ordered_json;

// Readers of a field of an answer that never throw: a field that is absent, null or of another type is empty.
std::optional<std::int64_t> IntField(const Json& object, std::string_view key);
std::optional<double> NumberField(const Json& object, std::string_view key);
std::string TextField(const Json& object, std::string_view key);
bool FlagField(const Json& object, std::string_view key);
// The member itself, or a null that lives for ever.
const Json& Field(const Json& object, std::string_view key);

// Parses without exceptions; a discarded value when the text is not JSON.
Json ParseJson(std::string_view text);
// A scalar as a person writes it (text without quotes, null as "–"); arrays and objects as compact JSON.
std::string ShownValue(const Json& value);

}  // namespace ratchet::cli
