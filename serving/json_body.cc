#include "serving/json_body.h"

namespace ratchet::serving {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr size_t kLargeBodyBytes = 1u << 20;

}  // namespace

struct JsonBody::Buffers {
  ondemand::parser parser;
  std::string padded;
};

JsonBody::Buffers& JsonBody::OfThread() {
  thread_local Buffers buffers;
  return buffers;
}

JsonBody::JsonBody(std::string_view json, size_t readable_bytes)
    : own_(json.size() > kLargeBodyBytes ? std::make_unique<Buffers>() : nullptr), buffers_(own_ ? *own_ : OfThread()) {
  if (readable_bytes < json.size() + kJsonPaddingBytes) {
    buffers_.padded.reserve(json.size() + kJsonPaddingBytes);
    buffers_.padded.assign(json);
    json = buffers_.padded;
    readable_bytes = buffers_.padded.capacity();
  }
  text_ = simdjson::padded_string_view(json.data(), json.size(), readable_bytes);
}

JsonBody::~JsonBody() = default;

Result<ondemand::object> JsonBody::Root() {
  if (auto error = buffers_.parser.iterate(text_).get(document_)) return NotJson(error);
  ondemand::json_type type;
  if (auto error = document_.type().get(type)) return NotJson(error);
  if (type != ondemand::json_type::object) return Refuse("the body must be a JSON object");
  ondemand::object root;
  if (auto error = document_.get_object().get(root)) return NotJson(error);
  return root;
}

Status JsonBody::End() {
  // The position is out of bounds at the end, and only there.
  if (document_.current_location().error() == simdjson::OUT_OF_BOUNDS) return {};
  return Refuse("the body is not valid JSON: something follows the object");
}

std::unexpected<Error> Refuse(std::string cause) {
  return std::unexpected(Error{.code = ErrorCode::kInvalid, .cause = std::move(cause)});
}

std::unexpected<Error> NotJson(simdjson::error_code error) {
  return Refuse(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
}

bool IsNull(ondemand::value& value) {
  bool null = false;
  return value.is_null().get(null) == simdjson::SUCCESS && null;
}

Status CheckJson(ondemand::value value, int depth) {
  if (depth > kMaxJsonDepth) return Refuse("the body is nested too deeply");
  ondemand::json_type type;
  if (auto error = value.type().get(type)) return NotJson(error);
  switch (type) {
    case ondemand::json_type::object: {
      ondemand::object object;
      if (auto error = value.get_object().get(object)) return NotJson(error);
      return VisitMembers(object, [&](std::string_view, ondemand::value inner) { return CheckJson(inner, depth + 1); });
    }
    case ondemand::json_type::array: {
      ondemand::array array;
      if (auto error = value.get_array().get(array)) return NotJson(error);
      return VisitElements(array, [&](ondemand::value inner) { return CheckJson(inner, depth + 1); });
    }
    case ondemand::json_type::number:
      if (auto error = value.get_number().error()) return NotJson(error);
      return {};
    case ondemand::json_type::string:
      if (auto error = value.get_string().error()) return NotJson(error);
      return {};
    case ondemand::json_type::boolean:
      if (auto error = value.get_bool().error()) return NotJson(error);
      return {};
    case ondemand::json_type::null:
      if (!IsNull(value)) return NotJson(simdjson::N_ATOM_ERROR);
      return {};
  }
  return {};
}

std::string Shown(ondemand::value value) {
  constexpr size_t kMostBytes = 40;
  std::string_view text = value.raw_json_token();
  ondemand::array array;
  ondemand::object object;
  std::string_view whole;
  if (text.starts_with('[') && !value.get_array().get(array) && !array.raw_json().get(whole)) text = whole;
  if (text.starts_with('{') && !value.get_object().get(object) && !object.raw_json().get(whole)) text = whole;
  text = text.substr(0, kMostBytes);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' || text.back() == '\t'))
    text.remove_suffix(1);
  return std::string(text);
}

}  // namespace ratchet::serving
