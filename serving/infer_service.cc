#include "serving/infer_service.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/names.h"
#include "serving/traffic.h"

namespace ratchet::serving {
namespace {

constexpr int kRetryAfterS = 1;
constexpr std::int64_t kLongestTimeoutMs = 3'600'000;
constexpr int kReaders = 1;            // threads that parse large bodies
constexpr size_t kLargeWaiting = 64;  // bodies that wait for one

int StatusOfRefusal(const Error& error) { return error.code == ErrorCode::kOverloaded ? 429 : 503; }

HttpResponse TryLater(HttpResponse refusal) {
  refusal.retry_after_s = kRetryAfterS;
  return refusal;
}

}  // namespace

int StatusOf(ErrorCode code) {
  if (code == ErrorCode::kNotFound) return 404;
  if (code == ErrorCode::kTooLarge) return 413;
  return code == ErrorCode::kInvalid ? 400 : 503;
}

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
  std::int64_t bytes = static_cast<std::int64_t>(request.body.size());
  std::int64_t deadline_us = kNoDeadline;  // monotonic
  bool logged = false;
  RequestTimes times = {};

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
      batcher_(limits.threads, limits.batch, clock),
      readers_(kReaders, kLargeWaiting) {}

void InferService::Stop() {
  readers_.Stop();
  batcher_.Stop();
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
  const std::string* key = call.request.Header("x-ratchet-key");
  auto picked = PickVersion(model, call.version, key ? *key : prediction_id);
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
  if (!ReadTimeoutHeader(*job)) {
    return job->respond(dialect.Refuse(400, "the header \"timeout\" must be a whole number of milliseconds from 1"));
  }
  if (auto refusal = Admit(*job)) return job->respond(std::move(*refusal));
  // What is compressed may be large once it is unpacked.
  const bool small = job->request.body.size() <= limits_.read_here_bytes && !job->request.Header("content-encoding");
  if (small) return Read(job, job->request.round_follows ? Batcher::Where::kThisRound : Batcher::Where::kComputingThread);
  if (readers_.TryRun([this, job] { Read(job, Batcher::Where::kComputingThread); })) return;
  Shed(*job, 503, "too many large requests wait; try again");
}

// Takes a place among the requests under way, unless there is none.
std::optional<HttpResponse> InferService::Admit(const Job& job) {
  const bool too_many = ++job.load->in_flight > limits_.in_flight_per_model;
  const bool too_large = (bytes_in_flight_ += job.bytes) > limits_.in_flight_bytes;
  const Status room = batcher_.Admits(job.version().queue, job.deadline_us);
  if (!too_many && !too_large && room) return std::nullopt;
  Leave(job);
  if (!room && !too_many && !too_large) return Refuse(job, StatusOfRefusal(room.error()), RefusalText(job, room.error()));
  return too_many ? Refuse(job, 429, "too many requests of model " + job.version().model + " are under way; try again")
                  : Refuse(job, 503, "the requests under way take too much memory; try again");
}

void InferService::Leave(const Job& job) {
  --job.load->in_flight;
  bytes_in_flight_ -= job.bytes;
}

// Counts a body by what it has become. False where that is too much, with what is under way.
bool InferService::CountUnpacked(Job& job) {
  const std::int64_t more = static_cast<std::int64_t>(job.request.body.size()) - job.bytes;
  job.bytes += more;
  return (bytes_in_flight_ += more) <= limits_.in_flight_bytes || more <= 0;
}

void InferService::Read(const JobPtr& job, Batcher::Where where) {
  const std::int64_t begun_us = clock_.MonotonicUs();
  auto request = job->dialect.Parse(job->request, job->version().signature);
  if (!request) return Finish(*job, job->dialect.Refuse(StatusOf(request.error().code), request.error().Message()));
  if (!CountUnpacked(*job)) return Shed(*job, 503, "the requests under way take too much memory; try again");
  job->parsed = std::move(*request);
  job->rows = job->parsed.inputs.empty() ? 0 : job->parsed.inputs.front().Rows();
  job->logged = log_ && log_->Wants();
  // The log has all inputs in one form, too. A large body stays, for the log tells no more than its size.
  if (job->logged && !job->parsed.is_v2_json && job->request.body.size() <= kMaxLoggedInputBytes) {
    job->request.body = v2::InputsJson(job->parsed.inputs);
  }
  job->times.input = clock_.MonotonicUs() - begun_us;
  SetDeadline(*job, job->parsed.timeout_us);
  Submit(job, where);
}

// False where the header makes no sense.
bool InferService::ReadTimeoutHeader(Job& job) {
  const std::string* header = job.request.Header("timeout");
  if (header == nullptr) return true;
  std::int64_t ms = 0;
  const char* end = header->data() + header->size();
  const auto [stop, error] = std::from_chars(header->data(), end, ms);
  if (error != std::errc() || stop != end || ms < 1 || ms > kLongestTimeoutMs) return false;
  SetDeadline(job, ms * 1000);
  return true;
}

// The soonest of those that are told holds.
void InferService::SetDeadline(Job& job, std::int64_t timeout_us) {
  if (timeout_us <= 0) return;
  job.deadline_us = std::min(job.deadline_us, job.admitted_us + std::min(timeout_us, kLongestTimeoutMs * 1000));
}

void InferService::Submit(const JobPtr& job, Batcher::Where where) {
  BatchItem item{.inputs = std::move(job->parsed.inputs),
                 .deadline_us = job->deadline_us,
                 .infer_us = &job->times.infer,
                 .done = [this, job](Result<std::vector<Tensor>> outputs) { End(*job, outputs); }};
  const Status taken = batcher_.Submit(job->version().queue, item, where);
  if (taken) return;
  Shed(*job, StatusOfRefusal(taken.error()), RefusalText(*job, taken.error()));
}

void InferService::End(Job& job, Result<std::vector<Tensor>>& outputs) {
  const std::int64_t so_far_us = clock_.MonotonicUs() - job.admitted_us;
  job.times.queue = std::max<std::int64_t>(0, so_far_us - job.times.input - job.times.infer);
  if (outputs) return Finish(job, Answer(job, std::move(*outputs)));
  if (outputs.error().code == ErrorCode::kTimeout) return Shed(job, 503, outputs.error().cause);
  Finish(job, Failed(job, outputs.error()));
}

std::string InferService::RefusalText(const Job& job, const Error& error) {
  return "model " + job.version().model + ": " + error.cause;
}

// Of a request that found no room or no time.
HttpResponse InferService::Refuse(const Job& job, int status, const std::string& message) {
  ++metrics_.shed;
  return TryLater(job.dialect.Refuse(status, message));
}

// The same after its admission. It is no error of the version's.
void InferService::Shed(const Job& job, int status, const std::string& message) {
  Leave(job);
  job.respond(Refuse(job, status, message));
}

void InferService::Finish(Job& job, HttpResponse response) {
  RequestTimes& times = job.times;
  times.total = clock_.MonotonicUs() - job.admitted_us;
  times.output = times.total - times.queue - times.input - times.infer;
  VersionMetrics& metrics = *job.version().metrics;
  metrics.Count(response.status, times.total);
  if (response.status < 400)
    metrics.statistics.CountSuccess(job.rows, times, clock_.WallUs());
  else
    metrics.statistics.CountFailure(times.total);
  Leave(job);
  job.respond(std::move(response));
}

HttpResponse InferService::Failed(const Job& job, const Error& error) {
  const ServedVersion& version = job.version();
  spdlog::error("{}@{} failed on request {}: {}", version.model, version.ref.version, Quoted(job.id()), error.Message());
  return job.dialect.Refuse(500, fmt::format("version {} of model {} failed on this input (request {}): {}",
                                             version.ref.version, version.model, job.id(), error.cause));
}

HttpResponse InferService::Answer(Job& job, std::vector<Tensor> outputs) {
  const ServedVersion& version = job.version();
  if (auto label = v2::DeriveLabel(version.signature, outputs)) outputs.push_back(std::move(*label));
  // The log has all outputs in one form, whatever the client wants.
  const bool log_wants_other =
      job.logged && (&job.dialect != &V2Dialect() || !job.parsed.wanted_outputs.empty() || job.parsed.WantsAnyBinary());
  std::string all;
  if (log_wants_other) all = v2::InferJson(version.model, version.ref.version, job.id(), job.prediction_id, outputs);
  HttpResponse response = job.dialect.Answer(
      job.parsed, {.version = version,
                   .id = job.id(),
                   .prediction_id = job.prediction_id,
                   .outputs = v2::SelectOutputs(std::move(outputs), job.parsed.wanted_outputs)});
  if (job.logged) Log(job, log_wants_other ? std::move(all) : response.body);
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
