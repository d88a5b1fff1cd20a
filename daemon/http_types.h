#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

// Requests and answers as the handlers see them, free of any HTTP library.
namespace ratchet::daemon {

struct IgnoreCase {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

using Headers = std::map<std::string, std::string, IgnoreCase>;

// A request body as it comes in from the network. One thread.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // Up to `size` bytes into `into`; 0 = the end. kTooLarge over the route's limit, kTimeout when the client is too
  // slow, kUnavailable when the connection broke, kInvalid for broken framing and for a body that ended early.
  virtual Result<size_t> Read(char* into, size_t size) = 0;
};

struct Request {
  std::string method;                         // upper case; HEAD comes as GET
  std::string path;                           // as sent, without the query
  std::map<std::string, std::string> params;  // {name} parts of the route, decoded and checked
  std::map<std::string, std::string> query;   // decoded
  Headers headers;
  std::string body;                // plain routes: the whole body
  BodySource* source = nullptr;    // upload routes: the body to be read
  std::string id;                  // of this request, echoed as X-Request-Id
  std::string actor = "loopback";  // who asks
  // True when the client has gone or the server stops: a handler that waits looks at it about every second.
  std::function<bool()> abandoned = [] { return false; };

  std::string Param(const std::string& name) const;
  std::string Header(std::string_view name) const;
  std::optional<std::string> Query(const std::string& name) const;
};

// Takes bytes of a streamed answer; false when the client has gone and writing should end.
using Send = std::function<bool(std::string_view)>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
  // A streamed answer: called once, sends all of it, returns false to cut the connection so that the client sees that
  // something is missing.
  std::function<bool(const Send&)> stream = {};
  std::optional<std::uint64_t> stream_bytes = {};  // its exact size, where known
};

}  // namespace ratchet::daemon
