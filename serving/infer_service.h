#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "base/clock.h"
#include "serving/http_messages.h"
#include "serving/infer_dialect.h"
#include "serving/inference_pool.h"
#include "serving/model_host.h"
#include "serving/prediction_log.h"
#include "serving/serve_metrics.h"
#include "serving/shadow.h"

namespace ratchet::serving {

struct ServiceLimits {
  int in_flight_per_model = 256;  // beyond: 429
  size_t waiting = 1024;          // for a computing thread, over all models; beyond: 503
  int threads = 2;                // that compute
};

// One request for an inference, as it came over HTTP.
struct InferCall {
  std::string model;
  std::optional<std::int64_t> version;  // named by the client
  HttpRequest request;
  std::function<void(HttpResponse)> respond;  // called exactly once, from any thread
};

// The way of an inference, whatever dialect it is asked for in: admit, pick a version, parse, run, answer, log.
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

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  void Route(InferCall call, const InferDialect& dialect, const ServedModel& model);
  bool Admit(const Job& job);
  void Submit(JobPtr job);
  void Finish(Job& job, HttpResponse response);
  HttpResponse Refuse(const Job& job, int status, const std::string& message);
  HttpResponse Run(Job& job);
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
  ShadowRunner shadow_;
  InferencePool pool_;  // last: its threads use all of the above
};

}  // namespace ratchet::serving
