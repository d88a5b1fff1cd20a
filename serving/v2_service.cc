#include "serving/v2_service.h"

#include <utility>

#include "base/names.h"
#include "serving/traffic.h"

namespace ratchet::serving {
namespace {

HttpResponse Refusal(int status, const std::string& message) {
  return {.status = status, .body = v2::ErrorJson(message)};
}

HttpResponse Shed(int status, const std::string& message) {
  HttpResponse response = Refusal(status, message);
  response.retry_after_s = 1;
  return response;
}

HttpResponse NotAllowed(const std::string& allow) {
  HttpResponse response = Refusal(405, "use " + allow);
  response.allow = allow;
  return response;
}

}  // namespace

V2Service::V2Service(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits,
                     std::uint64_t seed, PredictionLog* log)
    : host_(host), metrics_(metrics), infer_(host, metrics, clock, limits, seed, log) {}

void V2Service::Handle(HttpRequest request, std::function<void(HttpResponse)> respond) {
  const std::optional<v2::Target> target = v2::ParseTarget(request.path);
  if (target && target->question == v2::Question::kInfer) {
    if (request.method != "POST") return respond(NotAllowed("POST"));
    return infer_.Start({.model = target->model,
                         .version = target->version,
                         .request = std::move(request),
                         .respond = std::move(respond)},
                        V2Dialect());
  }
  const bool health = request.path == "/healthz", metrics = request.path == "/metrics";
  if (!target && !health && !metrics) {
    return respond(Refusal(404, "no such path; the Open Inference Protocol begins at /v2"));
  }
  if (request.method != "GET") return respond(NotAllowed("GET"));
  if (health) return respond({.body = R"({"status":"ok"})"});
  if (metrics) return respond({.body = metrics_.PrometheusText(), .content_type = "text/plain; version=0.0.4"});
  respond(AnswerNow(*target));
}

HttpResponse V2Service::AnswerNow(const v2::Target& target) const {
  switch (target.question) {
    case v2::Question::kServerMetadata:
      return {.body = v2::ServerMetadataJson(RATCHET_VERSION)};
    case v2::Question::kServerLive:
      return {.body = R"({"live":true})"};
    case v2::Question::kServerReady:
      return AnswerReady();
    case v2::Question::kModelMetadata:
    case v2::Question::kModelReady:
      return AnswerModel(target);
    case v2::Question::kInfer:
      break;
  }
  return NotAllowed("POST");
}

HttpResponse V2Service::AnswerReady() const {
  if (host_.Snapshot()->settled) return {.body = R"({"ready":true})"};
  return Shed(503, "the routes are not loaded yet");
}

HttpResponse V2Service::AnswerModel(const v2::Target& target) const {
  const std::shared_ptr<const RouteSnapshot> snapshot = host_.Snapshot();
  auto found = snapshot->models.find(target.model);
  if (found == snapshot->models.end()) {
    if (!snapshot->settled) return Shed(503, "the routes are not loaded yet");
    return Refusal(404, "model " + Quoted(target.model) + " is not known here");
  }
  const auto picked = PickVersion(found->second, target.version, {});
  if (!picked && picked.error().code == ErrorCode::kNotFound) return Refusal(404, picked.error().cause);
  if (!picked) return Shed(503, picked.error().cause);
  if (target.question == v2::Question::kModelReady) {
    return {.body = "{\"name\":\"" + target.model + "\",\"ready\":true}"};
  }
  std::vector<std::int64_t> versions;
  for (const auto& [version, served] : found->second.ready) versions.push_back(version);
  return {.body = v2::ModelMetadataJson(target.model, versions, picked->version->signature)};
}

}  // namespace ratchet::serving
