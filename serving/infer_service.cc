#include "serving/infer_service.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "base/names.h"
#include "serving/traffic.h"

namespace ratchet::serving {
namespace {

constexpr int kRetryAfterS = 1;

int StatusOf(ErrorCode code) { return code == ErrorCode::kNotFound ? 404 : code == ErrorCode::kInvalid ? 400 : 503; }

HttpResponse TryLater(HttpResponse refusal) {
  refusal.retry_after_s = kRetryAfterS;
  return refusal;
}

}  // namespace

// One request under way. Holds its version, so that a swap meanwhile does not take it away.
struct InferService::Job {
  const InferDialect& dialect;
  Picked picked;
  std::shared_ptr<ModelLoad> load;
  HttpRequest request;
  std::function<void(HttpResponse)> respond;
  std::int64_t admitted_us = 0;
  std::string prediction_id;
  v2::InferRequest parsed = {};  // its inputs go to the model
  std::int64_t rows = 0;

  const ServedVersion& version() const { return *picked.version; }
  const std::string& id() const { return parsed.id.empty() ? prediction_id : parsed.id; }
};

InferService::InferService(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits,
                           std::uint64_t seed, PredictionLog* log)
    : host_(host),
      metrics_(metrics),
      clock_(clock),
      limits_(limits),
      log_(log),
      id_random_(seed),
      shadow_(clock),
      pool_(limits.threads, limits.waiting) {}

void InferService::Stop() {
  pool_.Stop();
  shadow_.Stop();
}

void InferService::Start(InferCall call, const InferDialect& dialect) {
  const std::shared_ptr<const RouteSnapshot> snapshot = host_.Snapshot();
  if (auto found = snapshot->models.find(call.model); found != snapshot->models.end())
    return Route(std::move(call), dialect, found->second);
  call.respond(snapshot->settled ? dialect.Refuse(404, "model " + Quoted(call.model) + " is not known here")
                                 : TryLater(dialect.Refuse(503, "the routes are not loaded yet")));
}

void InferService::Route(InferCall call, const InferDialect& dialect, const ServedModel& model) {
  std::string prediction_id = FreshId();
  auto picked = PickVersion(model, call.version, StickyKeyOf(model, call.request, prediction_id));
  if (!picked) {
    const int status = StatusOf(picked.error().code);
    HttpResponse refusal = dialect.Refuse(status, picked.error().cause);
    return call.respond(status == 503 ? TryLater(std::move(refusal)) : std::move(refusal));
  }
  auto job = std::make_shared<Job>(Job{.dialect = dialect,
                                       .picked = std::move(*picked),
                                       .load = model.load,
                                       .request = std::move(call.request),
                                       .respond = std::move(call.respond),
                                       .admitted_us = clock_.MonotonicUs(),
                                       .prediction_id = std::move(prediction_id)});
  if (Admit(*job)) return Submit(std::move(job));
  job->respond(Refuse(*job, 429, "too many requests of model " + model.name + " are under way; try again"));
}

// Takes a place among the requests under way for the model.
bool InferService::Admit(const Job& job) {
  if (++job.load->in_flight <= limits_.in_flight_per_model) return true;
  --job.load->in_flight;
  return false;
}

void InferService::Submit(JobPtr job) {
  if (pool_.TryRun([this, job] { Finish(*job, Run(*job)); })) return;
  --job->load->in_flight;
  job->respond(Refuse(*job, 503, "too many requests wait; try again"));
}

// Of a request that found no room.
HttpResponse InferService::Refuse(const Job& job, int status, const std::string& message) {
  ++metrics_.shed;
  return TryLater(job.dialect.Refuse(status, message));
}

void InferService::Finish(Job& job, HttpResponse response) {
  const std::int64_t took_us = clock_.MonotonicUs() - job.admitted_us;
  job.version().metrics->Count(response.status, took_us);
  CountPicked(job.picked, response.status, took_us);
  --job.load->in_flight;
  job.respond(std::move(response));
}

HttpResponse InferService::Run(Job& job) {
  const ServedVersion& version = job.version();
  auto request = job.dialect.Parse(job.request, version.signature);
  if (!request) return job.dialect.Refuse(StatusOf(request.error().code), request.error().Message());
  job.parsed = std::move(*request);
  job.rows = job.parsed.inputs.empty() ? 0 : job.parsed.inputs.front().Rows();
  auto copy = shadow_.Copy(job.picked, job.parsed.inputs);
  auto outputs = version.runner->Run(std::move(job.parsed.inputs));
  shadow_.Compare(std::move(copy), outputs ? &*outputs : nullptr);
  if (outputs) return Answer(job, std::move(*outputs));
  spdlog::error("{}@{} failed on request {}: {}", version.model, version.ref.version, Quoted(job.id()),
                outputs.error().Message());
  return job.dialect.Refuse(500, fmt::format("version {} of model {} failed on this input (request {}): {}",
                                             version.ref.version, version.model, job.id(), outputs.error().cause));
}

HttpResponse InferService::Answer(Job& job, std::vector<Tensor> outputs) {
  const ServedVersion& version = job.version();
  if (auto label = v2::DeriveLabel(version.signature, outputs)) outputs.push_back(std::move(*label));
  const bool logged = log_ && log_->Wants();
  // The log has all outputs in one form, whatever the client wants.
  const bool log_wants_other = logged && (&job.dialect != &V2Dialect() || !job.parsed.wanted_outputs.empty());
  std::string all;
  if (log_wants_other) all = v2::InferJson(version.model, version.ref.version, job.id(), job.prediction_id, outputs);
  HttpResponse response = job.dialect.Answer(
      job.parsed, {.version = version,
                   .id = job.id(),
                   .prediction_id = job.prediction_id,
                   .outputs = v2::SelectOutputs(std::move(outputs), job.parsed.wanted_outputs)});
  if (logged) Log(job, log_wants_other ? std::move(all) : response.body);
  return response;
}

void InferService::Log(Job& job, std::string answer) {
  const std::int64_t latency_us = clock_.MonotonicUs() - job.admitted_us;
  log_->Offer({.version = job.picked.version,
               .id = job.prediction_id,
               .key = job.parsed.key.empty() ? job.parsed.id : job.parsed.key,
               .role = job.picked.role,
               .share = job.picked.share,
               .rows = job.rows,
               .at_us = clock_.WallUs() - latency_us,
               .latency_us = latency_us,
               .request_body = std::move(job.request.body),
               .answer_body = std::move(answer)});
}

std::string InferService::FreshId() {
  std::lock_guard lock(id_mutex_);
  return fmt::format("{:016x}{:016x}", id_random_(), id_random_());
}

}  // namespace ratchet::serving
