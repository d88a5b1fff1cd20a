#include "daemon/http_head.h"

#include <strings.h>

#include <charconv>

namespace ratchet::daemon {
namespace {

constexpr size_t kMaxHeaderLines = 100;

bool Is(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

const char* ReadContentLength(std::string_view value, RequestHead& head) {
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
  if (value.empty() || error != std::errc() || end != value.data() + value.size() || bytes > (1ULL << 60))
    return "Content-Length is not a number of bytes";
  if (head.content_length && *head.content_length != bytes) return "two different Content-Length headers";
  head.content_length = bytes;
  return nullptr;
}

// The fault of one header line, or null.
const char* ReadHeaderLine(std::string_view line, RequestHead& head) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return "a header line without a name";
  const std::string_view name = line.substr(0, colon);
  if (name.find_first_of(" \t") != std::string_view::npos) return "white space in a header's name";
  const std::string_view value = Trimmed(line.substr(colon + 1));
  if (Is(name, "content-length")) return ReadContentLength(value, head);
  if (Is(name, "transfer-encoding")) {
    if (!Is(value, "chunked")) return "a Transfer-Encoding other than chunked";
    head.chunked = true;
  } else if (Is(name, "expect")) {
    head.expects_continue = Is(value, "100-continue");
  } else if (Is(name, "host")) {
    if (head.has_host) return "more than one Host header";
    head.has_host = true;
  }
  return nullptr;
}

const char* ReadLines(std::string_view lines, RequestHead& head) {
  size_t count = 0;
  for (size_t at = lines.find("\r\n") + 2; at < lines.size(); ++count) {
    const size_t end = lines.find("\r\n", at);
    if (end == at || end == std::string_view::npos) break;
    if (count >= kMaxHeaderLines) return "more than 100 header lines";
    if (const char* fault = ReadHeaderLine(lines.substr(at, end - at), head)) return fault;
    at = end + 2;
  }
  if (head.chunked && head.content_length) return "both Content-Length and Transfer-Encoding";
  return nullptr;
}

}  // namespace

RequestHead InspectHead(std::string_view received, size_t limit_bytes) {
  RequestHead head;
  const size_t end = received.substr(0, limit_bytes).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (received.size() >= limit_bytes) head.state = RequestHead::State::kTooLong;
    return head;
  }
  head.bytes = end + 4;
  head.state = RequestHead::State::kComplete;
  const std::string_view lines = received.substr(0, head.bytes);
  if (lines.find('\0') != std::string_view::npos) head.fault = "a NUL byte in the headers";
  if (const char* fault = *head.fault ? head.fault : ReadLines(lines, head)) {
    head.fault = fault;
    head.state = RequestHead::State::kBroken;
  }
  return head;
}

}  // namespace ratchet::daemon
