#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "base/clock.h"
#include "serving/batcher.h"
#include "serving/http_messages.h"
#include "serving/infer_dialect.h"
#include "serving/inference_pool.h"
#include "serving/model_host.h"
#include "serving/prediction_log.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

struct ServiceLimits {
  int in_flight_per_model = 1024;             // requests; beyond: 429
  std::int64_t in_flight_bytes = 512u << 20;  // of bodies, over all models; beyond: 503
  size_t read_here_bytes = 256u << 10;        // larger bodies are not parsed on an I/O thread
  int threads = 2;                            // that compute
  BatchLimits batch;
};

// The HTTP status for a failure before the model runs.
int StatusOf(ErrorCode code);

// One request for an inference, as it came over HTTP.
struct InferCall {
  std::string model;
  std::optional<std::int64_t> version;  // named by the client
  HttpRequest request;
  std::function<void(HttpResponse)> respond;  // called exactly once, from any thread
};

// The way of an inference, whatever dialect it is asked for in: admit, pick a version, parse, run in a batch,
// answer, log. A request may carry its deadline, as header `timeout` in ms or in its body: where it cannot be met, the
// request is refused at once with 429.
class InferService {
 public:
  // `seed` is of the predictions' ids. `log` may be null: then nothing is logged. All that is referred to outlives the
  // service.
  InferService(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits, std::uint64_t seed,
               PredictionLog* log);

  // `dialect` outlives the answer. Any thread; does not compute.
  void Start(InferCall call, const InferDialect& dialect);
  // Finishes what is under way; later calls are answered 503.
  void Stop();
  // To be called by an I/O thread when it has handed over what it had (HttpHandler::RoundOver).
  void RoundOver() { batcher_.RunRound(); }

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  void Route(InferCall call, const InferDialect& dialect, const ServedModel& model);
  std::optional<HttpResponse> Admit(const Job& job);
  void Leave(const Job& job);
  void Read(const JobPtr& job, Batcher::Where where);
  bool CountUnpacked(Job& job);
  static bool ReadTimeoutHeader(Job& job);
  static void SetDeadline(Job& job, std::int64_t timeout_us);
  static std::string RefusalText(const Job& job, const Error& error);
  void Submit(const JobPtr& job, Batcher::Where where);
  void Finish(Job& job, HttpResponse response);
  HttpResponse Refuse(const Job& job, int status, const std::string& message);
  void End(Job& job, Result<std::vector<Tensor>>& outputs);
  void Shed(const Job& job, int status, const std::string& message);
  HttpResponse Failed(const Job& job, const Error& error);
  HttpResponse Answer(Job& job, std::vector<Tensor> outputs);
  void Log(Job& job, std::string answer);
  std::string FreshId();

  ModelHost& host_;
  ServeMetrics& metrics_;
  const Clock& clock_;
  const ServiceLimits limits_;
  PredictionLog* const log_;
  std::mutex id_mutex_;
  std::mt19937_64 id_random_;
  std::atomic<std::int64_t> bytes_in_flight_{0};
  Batcher batcher_;        // last, as the readers: their threads use all of the above
  InferencePool readers_;  // of large bodies
};

}  // namespace ratchet::serving
