#include "cli/log_events.h"

#include "cli/json_fields.h"

namespace ratchet::cli {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// RFC 4648; what is not of the alphabet is passed over.
std::string FromBase64(std::string_view text) {
  std::string bytes;
  unsigned held = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) continue;
    held = held << 6 | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 0xFF);
  }
  return bytes;
}

// The value of "NAME: value" where the line begins so.
bool IsField(std::string_view line, std::string_view name, std::string_view& value) {
  if (!line.starts_with(name)) return false;
  value = line.substr(name.size());
  return true;
}

}  // namespace

bool LogEvents::Feed(std::string_view piece) {
  bytes_ += piece.size();
  held_ += piece;
  for (size_t end = held_.find("\n\n"); end != std::string::npos; end = held_.find("\n\n")) {
    const std::string text = held_.substr(0, end);
    held_.erase(0, end + 2);
    if (!TakeEvent(text)) return false;
  }
  return true;
}

bool LogEvents::TakeEvent(std::string_view text) {
  std::string_view type, id, data;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    IsField(line, "id: ", id) || IsField(line, "event: ", type) || IsField(line, "data: ", data);
    at = end + 1;
  }
  if (type.empty()) return true;
  const Json event = ParseJson(std::string(data));
  const std::string base64 = TextField(event, "base64");
  if (type == "log" && !taker_(base64.empty() ? TextField(event, "text") : FromBase64(base64))) return false;
  const bool again = type == "attempt" && IntField(event, "attempt").value_or(1) > 1;
  if (again && !taker_("--- attempt " + std::to_string(*IntField(event, "attempt")) + " ---\n")) return false;
  if (!id.empty()) last_id_ = id;
  if (step_.empty()) step_ = TextField(event, "step");
  ended_ = ended_ || type == "end";
  return true;
}

}  // namespace ratchet::cli
