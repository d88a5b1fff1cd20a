#include "cli/server_url.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

#include "base/names.h"

namespace ratchet::cli {
namespace {

constexpr int kHighestPort = 65535;

std::unexpected<Error> Refuse(std::string_view text, std::string cause) {
  return Fail(ErrorCode::kInvalid, "read the server address", Quoted(text), std::move(cause),
              "Write it like http://127.0.0.1:7300");
}

bool PlainHost(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':';
  });
}

}  // namespace

std::string ServerUrl::Origin() const {
  bool ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

std::string ServerUrl::Text() const { return Origin() + prefix; }

bool ServerUrl::Loopback() const { return host == "localhost" || host == "::1" || host.starts_with("127."); }

Result<ServerUrl> ParseServerUrl(std::string_view text) {
  ServerUrl url{.scheme = "http", .host = {}, .prefix = {}};
  std::string_view rest = text;
  if (size_t mark = rest.find("://"); mark != std::string_view::npos) {
    url.scheme = rest.substr(0, mark);
    rest.remove_prefix(mark + 3);
  }
  if (url.scheme != "http" && url.scheme != "https") return Refuse(text, "it is neither http nor https");
  std::string_view authority = rest.substr(0, rest.find('/'));
  url.prefix = rest.substr(authority.size());
  while (url.prefix.ends_with('/')) url.prefix.pop_back();

  url.port = url.scheme == "https" ? 443 : 80;
  size_t bracket = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = bracket == std::string_view::npos ? authority.substr(0, colon) : authority.substr(1, bracket - 1);
  if (colon != std::string_view::npos) {
    std::string_view digits = authority.substr(colon + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || end != digits.data() + digits.size() || url.port < 1 || url.port > kHighestPort)
      return Refuse(text, "the port is not a number from 1 to 65535");
  }
  if (!PlainHost(url.host)) return Refuse(text, "it names no host");
  return url;
}

std::string ReachableFrom(const ServerUrl& server, const std::string& serve_url) {
  auto serve = ParseServerUrl(serve_url);
  if (!serve) return serve_url;
  bool wildcard = serve->host == "0.0.0.0" || serve->host == "::";
  if (wildcard || (serve->Loopback() && !server.Loopback())) serve->host = server.host;
  return serve->Text();
}

std::string PercentEncoded(std::string_view text) {
  std::string encoded;
  for (unsigned char c : text) {
    if (std::isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~')
      encoded += static_cast<char>(c);
    else
      encoded += fmt::format("%{:02X}", c);
  }
  return encoded;
}

}  // namespace ratchet::cli
