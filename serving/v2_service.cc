#include "serving/v2_service.h"

#include <algorithm>
#include <utility>

#include "base/names.h"
#include "serving/http_coding.h"
#include "serving/invoked_model.h"
#include "serving/traffic.h"
#include "serving/triton_views.h"

namespace ratchet::serving {
namespace {

constexpr size_t kMaxIndexBytes = 4096;  // of the question for the repository's index, answered on an I/O thread

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

bool IsContinue(std::string_view expected) {
  constexpr std::string_view kContinue = "100-continue";
  return std::ranges::equal(expected, kContinue, [](char given, char known) { return given == known || given + 32 == known; });
}

}  // namespace

V2Service::V2Service(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits,
                     std::uint64_t seed, PredictionLog* log)
    : host_(host), metrics_(metrics), infer_(host, metrics, clock, limits, seed, log) {}

void V2Service::Handle(HttpRequest request, std::function<void(HttpResponse)> respond) {
  respond = Compressing(request, std::move(respond));
  if (std::optional<HttpResponse> refusal = RefuseCoding(request)) return respond(std::move(*refusal));
  if (const std::string* expected = request.Header("expect"); expected && !IsContinue(*expected)) {
    return respond(Refusal(417, "the expectation " + Quoted(*expected) + " is not known, expected 100-continue"));
  }
  const std::optional<v2::Target> target = v2::ParseTarget(request.path);
  if (target && target->question == v2::Question::kInfer) return Infer(*target, std::move(request), std::move(respond));
  if (target && target->question == v2::Question::kRepositoryIndex) return respond(AnswerIndex(request));
  const bool health = request.path == "/healthz", ping = request.path == "/ping", metrics = request.path == "/metrics";
  if (!target && !health && !ping && !metrics) {
    return respond(Refusal(404, "no such path; the Open Inference Protocol begins at /v2"));
  }
  if (request.method != "GET") return respond(NotAllowed("GET"));
  if (health) return respond({.body = R"({"status":"ok"})"});
  if (ping) return respond(AnswerReady());
  if (metrics) return respond(AnswerMetrics(request));
  respond(AnswerNow(*target));
}

void V2Service::Infer(const v2::Target& target, HttpRequest request, std::function<void(HttpResponse)> respond) {
  const InferDialect& dialect = DialectOf(target.dialect);
  if (request.method != "POST") return respond(NotAllowed("POST"));
  InvokedModel invoked{.model = target.model, .version = target.version};
  if (target.dialect == v2::Dialect::kInvocations) {
    auto named = ModelOfInvocation(request, *host_.Snapshot());
    if (!named) return respond(dialect.Refuse(StatusOf(named.error().code), named.error().cause));
    invoked = std::move(*named);
  }
  infer_.Start({.model = std::move(invoked.model),
                .version = invoked.version,
                .request = std::move(request),
                .respond = std::move(respond)},
               dialect);
}

HttpResponse V2Service::AnswerIndex(const HttpRequest& request) const {
  if (request.method != "POST") return NotAllowed("POST");
  if (request.body.size() > kMaxIndexBytes) return Refusal(413, "the body is larger than " + std::to_string(kMaxIndexBytes) + " bytes");
  auto index = triton::RepositoryIndexJson(host_.State(), request.body);
  if (!index) return Refusal(StatusOf(index.error().code), index.error().Message());
  return {.body = std::move(*index)};
}

HttpResponse V2Service::AnswerMetrics(const HttpRequest& request) const {
  std::string text = metrics_.PrometheusText();
  if (request.query == "names=triton") text += triton::MetricsText(metrics_);
  return {.body = std::move(text), .content_type = "text/plain; version=0.0.4"};
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
    case v2::Question::kStatistics:
      return AnswerStatistics(target);
    case v2::Question::kInfer:
    case v2::Question::kRepositoryIndex:
      break;
  }
  return NotAllowed("POST");
}

HttpResponse V2Service::AnswerStatistics(const v2::Target& target) const {
  auto statistics = triton::StatisticsJson(*host_.Snapshot(), target);
  if (!statistics) return Refusal(StatusOf(statistics.error().code), statistics.error().cause);
  return {.body = std::move(*statistics)};
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
