#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ratchet::cli {

// http://host:port/prefix taken apart.
struct ServerUrl {
  std::string scheme;  // "http" or "https"
  std::string host;    // without brackets for IPv6
  int port = 0;
  std::string prefix;  // "" or "/some/path", never ending in '/'

  std::string Origin() const;  // "http://127.0.0.1:7300"
  std::string Text() const;    // Origin and prefix
  bool Loopback() const;
};

// A missing scheme means http, a missing port the scheme's usual one.
Result<ServerUrl> ParseServerUrl(std::string_view text);

// The data plane as seen from here: a server that names its replica by a loopback or wildcard address means its own
// host.
std::string ReachableFrom(const ServerUrl& server, const std::string& serve_url);

// For one part of a path or a query value: everything but letters, digits and "-._~" as %XX.
std::string PercentEncoded(std::string_view text);

}  // namespace ratchet::cli
