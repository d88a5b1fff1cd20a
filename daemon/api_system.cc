#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "daemon/api_handlers.h"
#include "daemon/shapes.h"
#include "daemon/version.h"
#include "registry/datasets.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/runs.h"
#include "web/embedded.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kReadyProbeBytes = 64 * 1024;
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' "
    "http://localhost:* http://127.0.0.1:*; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";

// How many there are in a list that comes in pages.
template <typename List>
std::int64_t Count(List list) {
  std::int64_t count = 0;
  std::optional<std::string> next;
  do {
    const auto page = list(next);
    count += static_cast<std::int64_t>(page.items.size());
    next = page.next;
  } while (next);
  return count;
}

Json ReplicaJson(const Replica& replica) {
  Json models = Json::object();
  for (const auto& [name, model] : replica.models) {
    Json failed = Json::object();
    for (const auto& [version, why] : model.failed) failed[std::to_string(version)] = why;
    models[name] = {{"epoch", model.epoch}, {"ready", model.ready}, {"failed", std::move(failed)}};
  }
  Json json = {{"id", replica.id}, {"models", std::move(models)}, {"only", replica.told.only}, {"predictions", nullptr},
               {"seen_at", replica.seen_at}};
  if (const auto& predictions = replica.told.predictions)
    json["predictions"] = {{"waiting", predictions->waiting}, {"spool_bytes", predictions->spool_bytes},
                           {"dropped", predictions->dropped}};
  return json;
}

Result<Json> CountsJson(Api& api) {
  return api.store.Read([](Db& db) -> Result<Json> {
    return Json{{"pipelines", Count([&](auto& next) { return registry::ListPipelines(db, registry::kMaxPage, next); })},
                {"runs_active", registry::CountActiveRuns(db).Total()},
                {"models", Count([&](auto& next) { return registry::ListModels(db, registry::kMaxPage, next); })},
                {"datasets", Count([&](auto& next) { return registry::ListDatasets(db, registry::kMaxPage, next); })}};
  });
}

Response PlainText(std::string text, int status = 200) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(text)};
}

}  // namespace

Result<Response> GetStatus(Api& api, const Request&) {
  RATCHET_ASSIGN(Json counts, CountsJson(api));
  Json replicas = Json::array();
  for (const Replica& replica : api.replicas.List()) replicas.push_back(ReplicaJson(replica));
  return JsonResponse({{"version", kVersion},
                       {"data_dir", api.data_dir},
                       {"started_at", api.started_at},
                       {"serve",
                        {{"url", api.serve_url()},
                         {"managed", api.manages_serve},
                         {"replicas", std::move(replicas)}}},
                       {"worker", api.worker()},
                       {"counts", std::move(counts)}});
}

Result<Response> GetOpenApi(Api&, const Request&) { return Response{.body = std::string(OpenApiDocument())}; }

Result<Response> GetHealth(Api&, const Request&) { return PlainText("ok\n"); }

Result<Response> GetReadiness(Api& api, const Request& request) {
  const Json worker = api.worker();
  const std::string state = worker.value("state", "down");
  const Json why = worker.value("error", Json());
  if (state != "ready")
    return Fail(ErrorCode::kUnavailable, "be ready", "",
                "the worker is " + state + (why.is_string() ? " (" + why.get<std::string>() + ")" : ""),
                "See DIR/logs/worker.log if that lasts");
  RATCHET_TRY(api.store.Write([](Db&) -> Status { return {}; }));  // it takes writes, though one of nothing asks no disk
  static const std::string kProbe(kReadyProbeBytes, '.');
  const std::string probe = fmt::format("{}/staging/ready-{}", api.data_dir, request.id);
  const Status written = api.files.WriteAtomic(probe, kProbe);
  RATCHET_TRY(api.files.RemoveAll(probe));
  RATCHET_TRY(written);
  return PlainText("ready\n");
}

Result<Response> GetMetrics(Api& api, const Request&) {
  RATCHET_ASSIGN(std::string text, api.metrics.Scrape(api.store, api.feedback, api.replicas.List().size()));
  return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = std::move(text)};
}

Result<Response> GetPage(Api&, const Request& request) {
  const std::string path = request.path == "/" ? "index.html" : request.path.substr(1);
  const auto assets = web::Assets();
  if (assets.empty() && path == "index.html")
    return PlainText(
        "This ratchetd was built without its web page. The API is below /api/v1, described by /api/v1/openapi.json.\n");
  const auto asset =
      std::find_if(assets.begin(), assets.end(), [&](const web::Asset& one) { return one.path == path; });
  if (asset == assets.end())
    return Fail(ErrorCode::kNotFound, "find the page's file", path.substr(0, 200), "there is none",
                "The page begins at /");
  const bool lasting = path.starts_with("assets/");
  Response response{.content_type = std::string(asset->content_type),
                    .body = std::string(asset->bytes),
                    .headers = {{"ETag", std::string(asset->etag)},
                                {"Cache-Control", lasting ? "public, max-age=31536000, immutable" : "no-cache"},
                                {"Content-Security-Policy", kPolicy},
                                {"Referrer-Policy", "no-referrer"}}};
  if (request.Header("If-None-Match") == asset->etag) {
    response.status = 304;
    response.body.clear();
  }
  return response;
}

}  // namespace ratchet::daemon
