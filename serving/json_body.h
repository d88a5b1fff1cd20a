#pragma once

#include <simdjson.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

// What the readers of request bodies share. Members are visited on demand, each once.
namespace ratchet::serving {

inline constexpr size_t kJsonPaddingBytes = simdjson::SIMDJSON_PADDING;  // may be read behind a text without a copy of it
inline constexpr int kMaxJsonDepth = 32;                                 // of members that nobody reads

// One JSON object. Parsers keep their memory for the next body of their thread, unless the body is large, so there is at
// most one JsonBody at a time in a thread.
class JsonBody {
 public:
  // `readable_bytes`: how many bytes from the text's first on may be read; where they are fewer than the text's and
  // kJsonPaddingBytes more, the text is copied first. The text outlives the body.
  JsonBody(std::string_view json, size_t readable_bytes);
  ~JsonBody();
  JsonBody(const JsonBody&) = delete;
  JsonBody& operator=(const JsonBody&) = delete;

  // kInvalid when this is not JSON, or no object. Its members are visited once, in order, each to its end.
  Result<simdjson::ondemand::object> Root();
  // After all members: kInvalid when something follows the object.
  Status End();

 private:
  struct Buffers;
  static Buffers& OfThread();

  std::unique_ptr<Buffers> own_;
  Buffers& buffers_;
  simdjson::padded_string_view text_;
  simdjson::ondemand::document document_;
};

// kInvalid with just this cause.
std::unexpected<Error> Refuse(std::string cause);
std::unexpected<Error> NotJson(simdjson::error_code error);

// Visits a value that means nothing to us, for it has to be sound nonetheless.
Status CheckJson(simdjson::ondemand::value value, int depth = 0);

// Calls visit(key, value) for each member, which must take or check the value.
template <typename Visit>
Status VisitMembers(simdjson::ondemand::object& object, Visit&& visit) {
  for (auto entry : object) {
    simdjson::ondemand::field field;
    std::string_view key;
    if (auto error = std::move(entry).get(field)) return NotJson(error);
    if (auto error = field.unescaped_key().get(key)) return NotJson(error);
    RATCHET_TRY(visit(key, field.value()));
  }
  return {};
}

// Calls visit(value) for each element.
template <typename Visit>
Status VisitElements(simdjson::ondemand::array& array, Visit&& visit) {
  for (auto entry : array) {
    simdjson::ondemand::value value;
    if (auto error = std::move(entry).get(value)) return NotJson(error);
    RATCHET_TRY(visit(value));
  }
  return {};
}

// Visits an array whose text had to wait for what came after it in a JsonBody, with a parser of its own.
template <typename Visit>
Status WithLateArray(std::string_view text, Visit&& visit) {
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  // The text lies within the body, which has its padding behind it.
  const simdjson::padded_string_view padded(text, text.size() + kJsonPaddingBytes);
  if (auto error = parser.iterate(padded).get(document)) return NotJson(error);
  if (auto error = document.get_array().get(array)) return NotJson(error);
  return visit(array);
}

bool IsNull(simdjson::ondemand::value& value);
// The text as it stands, of at most 40 bytes, for a message. Takes the value.
std::string Shown(simdjson::ondemand::value value);

}  // namespace ratchet::serving
