#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"
#include "daemon/commit_signal.h"
#include "daemon/http_types.h"
#include "daemon/metrics.h"
#include "daemon/replica_hub.h"
#include "daemon/router.h"
#include "pipeline/feedback.h"
#include "registry/blob_store.h"
#include "registry/records.h"
#include "registry/store.h"

namespace ratchet::daemon {

using registry::Db;
using registry::Json;

// What the handlers work on. All of it outlives the HTTP server; all of it may be used by any thread.
struct Api {
  registry::Store& store;
  registry::BlobStore& blobs;
  Files& files;
  const Clock& clock;
  ReplicaHub& replicas;
  CommitSignal& commits;
  Metrics& metrics;
  pipeline::Feedback& feedback;
  std::string data_dir;  // absolute
  std::int64_t started_at = 0;
  // Where predictions are answered: "http://127.0.0.1:7301".
  std::function<std::string()> serve_url = [] { return std::string(); };
  // Whether this daemon runs a ratchet-serve itself (it does not with --no-serve).
  bool manages_serve = true;
  // The "worker" object of /status: {"state":"ready|starting|down","sandbox":…,"recipes":[…],"error":…}.
  std::function<Json()> worker = [] {
    return Json{{"state", "down"}, {"sandbox", nullptr}, {"recipes", Json::array()}, {"error", nullptr}};
  };
};

using ApiHandler = Result<Response> (*)(Api&, const Request&);

struct ApiRoute {
  RouteSpec spec;
  ApiHandler handler;
};

// Every route of the control plane (routes.cc).
std::span<const ApiRoute> ApiRoutes();
std::vector<Route> BindRoutes(Api& api);

// The document served at /api/v1/openapi.json, embedded in the program.
std::string_view OpenApiDocument();

// ---- what the handlers share

Response JsonResponse(const Json& json, int status = 200);

struct PageQuery {
  int limit = 100;
  std::optional<std::string> after;
};
// `limit` (1 to 500) and `after` of a list request; kInvalid names the field.
Result<PageQuery> ReadPageQuery(const Request& request);
// As above where the cursor is a row number.
Result<PageQuery> ReadNumberedPageQuery(const Request& request);

// A positive number from the path; kNotFound, as nothing has such a number, otherwise.
Result<std::int64_t> NumberParam(const Request& request, const std::string& name, std::string_view kind);
// A name from the path that could be one; kInvalid otherwise.
Result<std::string> NameParam(const Request& request, const std::string& name, std::string_view kind);

// The body as a JSON object (an empty body is an empty one) whose keys are all among `known`. kInvalid otherwise.
Result<Json> ReadObject(const Request& request, const std::vector<std::string>& known);
// Members of such an object: kInvalid with the field when the type is another. Absent or null = nothing.
Result<std::optional<std::string>> TextMember(const Json& object, const char* name, size_t limit_bytes = 4096);
Result<std::optional<std::int64_t>> NumberMember(const Json& object, const char* name);
Result<bool> FlagMember(const Json& object, const char* name);

// Runs `make` in one write and keeps its answer under the request's Idempotency-Key, if it has one: asked again with
// the same key and body, the answer comes from there with status 200; with another body it is kConflict.
Result<Response> WriteOnce(Api& api, const Request& request, const std::string& body_digest,
                           const std::function<Result<Json>(Db&)>& make);
// Looks for a kept answer without writing.
Result<std::optional<Response>> KeptResponse(Api& api, const Request& request, const std::string& body_digest);

// {"items":[…],"next":…}
template <typename T, typename Shape>
Json ListJson(const registry::Page<T>& page, Shape shape) {
  Json items = Json::array();
  for (const T& item : page.items) items.push_back(shape(item));
  return {{"items", std::move(items)}, {"next", page.next ? Json(*page.next) : Json()}};
}

}  // namespace ratchet::daemon
