#include "daemon/router.h"

#include <strings.h>

#include <algorithm>
#include <utility>

#include "base/names.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMaxShownName = 80;

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (size_t at = 0;;) {
    const size_t end = text.find(by, at);
    parts.push_back(text.substr(at, end == std::string_view::npos ? end : end - at));
    if (end == std::string_view::npos) return parts;
    at = end + 1;
  }
}

bool IsParam(std::string_view segment) { return segment.starts_with('{'); }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> BadAddress(std::string_view text, const char* why) {
  return Fail(ErrorCode::kInvalid, "read the address", Quoted(text), why, "Send a well-formed URL");
}

bool IsLoopbackName(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.") ||
         host == "::ffff:127.0.0.1";
}

// "host:port" without the port.
std::string_view HostOf(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
  }
  return "admin";
}

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) {
    Pattern pattern{.segments = {}, .route = &route};
    for (std::string_view segment : Split(route.spec.pattern, '/')) pattern.segments.emplace_back(segment);
    patterns_.push_back(std::move(pattern));
  }
}

Result<Router::Match> Router::Find(std::string_view method, std::string_view path) const {
  std::vector<std::string> segments;
  for (std::string_view raw : Split(path, '/')) {
    RATCHET_ASSIGN(std::string segment, PercentDecoded(raw, false));
    if (segment == ".." || segment == "." || segment.find('/') != std::string::npos)
      return BadAddress(segment, "it has a part that stands for a folder");
    segments.push_back(std::move(segment));
  }
  Match match;
  for (const Pattern& pattern : patterns_) {
    const auto fits = [](const std::string& wanted, const std::string& given) {
      return IsParam(wanted) ? !given.empty() : wanted == given;
    };
    if (!std::equal(pattern.segments.begin(), pattern.segments.end(), segments.begin(), segments.end(), fits)) continue;
    const std::string method_here(pattern.route->spec.method);
    if (!(", " + match.allowed + ",").contains(", " + method_here + ","))  // "/healthz" fits "/{file}" as well
      match.allowed += (match.allowed.empty() ? "" : ", ") + method_here;
    if (method != pattern.route->spec.method || match.route) continue;
    match.route = pattern.route;
    for (size_t i = 0; i < segments.size(); ++i) {
      const std::string& name = pattern.segments[i];
      if (IsParam(name)) match.params[name.substr(1, name.size() - 2)] = segments[i];
    }
  }
  return match;
}

Result<std::string> PercentDecoded(std::string_view text, bool plus_is_blank) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return BadAddress(text, "a % is not followed by two hex digits");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return BadAddress(text, "it has a control character");
    decoded.push_back(c);
  }
  if (!IsUtf8Text(decoded)) return BadAddress(text, "it is not UTF-8");
  return decoded;
}

Result<std::map<std::string, std::string>> ParseQuery(std::string_view query) {
  std::map<std::string, std::string> parsed;
  for (std::string_view pair : Split(query, '&')) {
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    RATCHET_ASSIGN(std::string name, PercentDecoded(pair.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos) {
      RATCHET_ASSIGN(value, PercentDecoded(pair.substr(equals + 1), true));
    }
    if (!parsed.emplace(name, std::move(value)).second) return BadAddress(name, "the query gives it twice");
  }
  return parsed;
}

Status CheckQuery(const std::map<std::string, std::string>& query, std::string_view known) {
  if (query.empty() || known == kAnyQuery) return {};
  std::vector<std::string> names;
  if (!known.empty())
    for (std::string_view name : Split(known, ' ')) names.emplace_back(name);
  for (const auto& [name, value] : query) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string near = NearestName(name, names);
    const std::string hint = !near.empty()   ? "Did you mean " + near + "?"
                             : known.empty() ? "This address takes none"
                                             : "It takes " + std::string(known);
    Error error{.code = ErrorCode::kInvalid,
                .operation = "read the query",
                .subject = Quoted(name),
                .cause = "there is no such parameter here",
                .hint = hint};
    error.field = name.substr(0, kMaxShownName);
    return std::unexpected(std::move(error));
  }
  return {};
}

bool IsAccepted(std::string_view content_type, std::string_view accepts) {
  std::string_view media = content_type.substr(0, content_type.find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  if (accepts.empty()) return true;
  const auto known = Split(accepts, ' ');
  return std::any_of(known.begin(), known.end(), [&](std::string_view one) {
    return one.size() == media.size() && strncasecmp(one.data(), media.data(), one.size()) == 0;
  });
}

Status Doorkeeper::Check(const Request& request, std::string_view peer) const {
  const auto refuse = [](const char* cause, const char* hint) {
    return Fail(ErrorCode::kDenied, "enter the API", "", cause, hint);
  };
  if (!IsLoopbackName(peer))
    return refuse("the request comes from another machine, and this version has no tokens to tell friend from stranger",
                  "Ask from this machine, or through an SSH tunnel");
  // A page of another site that reaches this server by a name of its own (DNS rebinding) shows by that name.
  const std::string authority = request.Header("Host");
  const std::string_view host = HostOf(authority);
  if (!IsLoopbackName(host) && host != listen_host)
    return refuse("the Host header names another server", "Use localhost, 127.0.0.1 or the address of --listen");
  // Browsers say which page makes them change something.
  const std::string origin = request.Header("Origin");
  const bool changes = request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
  if (changes && !origin.empty() && origin != "http://" + authority && origin != "https://" + authority)
    return refuse("a web page of another site asks for it", "Use Ratchet's own pages or the CLI");
  return {};
}

}  // namespace ratchet::daemon
