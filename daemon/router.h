#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

enum class Role { kViewer, kOperator, kAdmin };
std::string_view RoleName(Role role);  // "viewer"

enum class RouteKind {
  kPlain,   // the body is held in memory, the answer is ready at once or after a bounded wait
  kUpload,  // the handler reads the body as it comes
  kStream,  // the answer lasts long; only so many are served at a time
};

// What is fixed about one route.
struct RouteSpec {
  const char* method;     // GET, PUT, POST or DELETE; HEAD follows from GET
  const char* pattern;    // "/api/v1/runs/{id}"
  const char* operation;  // operationId in openapi.json
  Role role;              // least role that may call it
  RouteKind kind;
  std::uint64_t body_limit;  // bytes; 0 = takes no body
  const char* accepts;       // media types of the body, separated by blanks; empty = any
  const char* query = "";    // the query parameters it takes, separated by blanks; kAnyQuery = any
};

inline constexpr char kAnyQuery[] = "*";

using Handler = std::function<Result<Response>(const Request&)>;

struct Route {
  RouteSpec spec;
  Handler handler;
};

// Finds routes by method and path. Pure; any thread.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;               // null: see `allowed`
    std::map<std::string, std::string> params;  // decoded
    std::string allowed;                        // methods of the path, for 405 and OPTIONS; empty = no such path
  };
  // kInvalid when the path is not well formed: bad escapes, control characters, "..", broken UTF-8.
  Result<Match> Find(std::string_view method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Pattern {
    std::vector<std::string> segments;
    const Route* route;
  };
  std::vector<Route> routes_;
  std::vector<Pattern> patterns_;
};

// "%41" → "A"; with `plus_is_blank` as in queries. kInvalid for a broken escape or what is no UTF-8 text.
Result<std::string> PercentDecoded(std::string_view text, bool plus_is_blank);
Result<std::map<std::string, std::string>> ParseQuery(std::string_view query);
// kInvalid, with the parameter as its field, for the first one that is not among `known` (see RouteSpec::query).
Status CheckQuery(const std::map<std::string, std::string>& query, std::string_view known);
// True when the media type of a Content-Type header is one of `accepts`.
bool IsAccepted(std::string_view content_type, std::string_view accepts);

// Who may reach the API while there are no tokens yet: programs on this machine, and pages that this server itself
// sent.
struct Doorkeeper {
  std::string listen_host;
  // kDenied with the reason. `peer` is the other end's address.
  Status Check(const Request& request, std::string_view peer) const;
};

}  // namespace ratchet::daemon
