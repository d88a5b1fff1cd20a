#include "serving/v2_service.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "base/names.h"

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

std::string VersionList(const ServedModel& model) {
  std::string text;
  for (const auto& [version, served] : model.ready) text += (text.empty() ? "" : ", ") + std::to_string(version);
  return text.empty() ? "none yet" : text;
}

// The model's entry in the snapshot and the version that the target means; null with the refusal where there is none.
struct Resolved {
  const ServedModel* model = nullptr;
  ServedVersionPtr version;
  HttpResponse refusal;
};

Resolved Resolve(const RouteSnapshot& snapshot, const v2::Target& target) {
  auto found = snapshot.models.find(target.model);
  if (found == snapshot.models.end()) {
    if (!snapshot.settled) return {.refusal = Shed(503, "the routes are not loaded yet")};
    return {.refusal = Refusal(404, "model " + Quoted(target.model) + " is not known here")};
  }
  const ServedModel& model = found->second;
  if (!target.version) {
    if (model.live) return {.model = &model, .version = model.live};
    return {.model = &model, .refusal = Shed(503, "model " + target.model + " has no live version ready")};
  }
  auto version = model.ready.find(*target.version);
  if (version != model.ready.end()) return {.model = &model, .version = version->second};
  return {.model = &model,
          .refusal = Refusal(404, fmt::format("version {} of model {} is not served here (served: {})", *target.version,
                                              target.model, VersionList(model)))};
}

}  // namespace

// One admitted infer request. Holds its version, so that a swap meanwhile does not take it away.
struct V2Service::Job {
  ServedVersionPtr version;
  std::shared_ptr<ModelLoad> load;
  std::shared_ptr<const LogSettings> log_settings;
  std::string body;
  std::int64_t admitted_us = 0;
  bool version_named = false;
};

V2Service::V2Service(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits,
                     std::uint64_t seed, PredictionLog* log)
    : host_(host),
      metrics_(metrics),
      clock_(clock),
      limits_(limits),
      log_(log),
      id_random_(seed),
      pool_(limits.threads, limits.waiting) {}

void V2Service::Handle(HttpRequest request, std::function<void(HttpResponse)> respond) {
  const std::optional<v2::Target> target = v2::ParseTarget(request.path);
  if (target && target->question == v2::Question::kInfer) {
    if (request.method != "POST") return respond(NotAllowed("POST"));
    return Admit(*target, std::move(request), std::move(respond));
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
  Resolved resolved = Resolve(*snapshot, target);
  if (!resolved.version) return std::move(resolved.refusal);
  if (target.question == v2::Question::kModelReady) {
    return {.body = "{\"name\":\"" + target.model + "\",\"ready\":true}"};
  }
  std::vector<std::int64_t> versions;
  for (const auto& [version, served] : resolved.model->ready) versions.push_back(version);
  return {.body = v2::ModelMetadataJson(target.model, versions, resolved.version->signature)};
}

void V2Service::Admit(const v2::Target& target, HttpRequest request, std::function<void(HttpResponse)> respond) {
  const std::shared_ptr<const RouteSnapshot> snapshot = host_.Snapshot();
  Resolved resolved = Resolve(*snapshot, target);
  if (!resolved.version) return respond(std::move(resolved.refusal));
  auto job = std::make_shared<Job>(Job{.version = std::move(resolved.version),
                                       .load = resolved.model->load,
                                       .log_settings = resolved.model->log,
                                       .body = std::move(request.body),
                                       .admitted_us = clock_.MonotonicUs(),
                                       .version_named = target.version.has_value()});
  if (++job->load->in_flight > limits_.in_flight_per_model) {
    --job->load->in_flight;
    ++metrics_.shed;
    return respond(Shed(429, "too many requests of model " + target.model + " are under way; try again"));
  }
  auto shared_respond = std::make_shared<std::function<void(HttpResponse)>>(std::move(respond));
  const bool accepted = pool_.TryRun([this, job, shared_respond] {
    HttpResponse response = Infer(*job);
    job->version->metrics->Count(response.status, clock_.MonotonicUs() - job->admitted_us);
    --job->load->in_flight;
    (*shared_respond)(std::move(response));
  });
  if (accepted) return;
  --job->load->in_flight;
  ++metrics_.shed;
  (*shared_respond)(Shed(503, "too many requests wait; try again"));
}

HttpResponse V2Service::Infer(Job& job) {
  const ServedVersion& version = *job.version;
  auto request = v2::ParseInfer(job.body, version.signature);
  if (!request) return Refusal(400, request.error().Message());
  std::string prediction_id = FreshId();
  const std::string id = request->id.empty() ? prediction_id : request->id;
  const std::int64_t rows = request->inputs.empty() ? 0 : request->inputs.front().Rows();
  auto outputs = version.runner->Run(std::move(request->inputs));
  if (!outputs) {
    spdlog::error("{}@{} failed on request {}: {}", version.model, version.ref.version, Quoted(id),
                  outputs.error().Message());
    return Refusal(500, fmt::format("version {} of model {} failed on this input (request {}): {}", version.ref.version,
                                    version.model, id, outputs.error().cause));
  }
  if (auto label = v2::DeriveLabel(version.signature, *outputs)) outputs->push_back(std::move(*label));
  const auto answer = [&](const std::vector<Tensor>& tensors) {
    return v2::InferJson(version.model, version.ref.version, id, prediction_id, tensors);
  };
  const bool logged = log_ && log_->Wants(job.log_settings.get());
  std::string all;  // the log has all outputs, whatever the client wants
  if (logged && !request->wanted_outputs.empty()) all = answer(*outputs);
  HttpResponse response{.body = answer(v2::SelectOutputs(std::move(*outputs), request->wanted_outputs))};
  if (logged) Log(job, *request, std::move(prediction_id), rows, all.empty() ? response.body : std::move(all));
  return response;
}

void V2Service::Log(Job& job, const v2::InferRequest& request, std::string prediction_id, std::int64_t rows,
                    std::string answer) {
  const std::int64_t latency_us = clock_.MonotonicUs() - job.admitted_us;
  log_->Offer({.version = job.version,
               .id = std::move(prediction_id),
               .key = request.key.empty() ? request.id : request.key,
               .role = job.version_named ? "version" : "live",
               .settings = job.log_settings,
               .rows = rows,
               .at_us = clock_.WallUs() - latency_us,
               .latency_us = latency_us,
               .request_body = std::move(job.body),
               .answer_body = std::move(answer)});
}

std::string V2Service::FreshId() {
  std::lock_guard lock(id_mutex_);
  return fmt::format("{:016x}{:016x}", id_random_(), id_random_());
}

}  // namespace ratchet::serving
