#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>

#include "base/clock.h"
#include "serving/http_messages.h"
#include "serving/inference_pool.h"
#include "serving/model_host.h"
#include "serving/prediction_log.h"
#include "serving/serve_metrics.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving {

struct ServiceLimits {
  int in_flight_per_model = 256;  // beyond: 429
  size_t waiting = 1024;          // for a computing thread, over all models; beyond: 503
  int threads = 2;                // that compute
};

// Answers the Open Inference Protocol V2, /healthz and /metrics. Infer requests are parsed, run and written by the
// pool; all else is answered at once.
class V2Service final : public HttpHandler {
 public:
  // `seed` is of the predictions' ids. `log` may be null: then nothing is logged. All that is referred to outlives the
  // service.
  V2Service(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits, std::uint64_t seed,
            PredictionLog* log = nullptr);

  void Handle(HttpRequest request, std::function<void(HttpResponse)> respond) override;
  // Finishes the infer requests under way; later ones are answered 503.
  void Stop() { pool_.Stop(); }

 private:
  struct Job;
  HttpResponse AnswerNow(const v2::Target& target) const;
  HttpResponse AnswerReady() const;
  HttpResponse AnswerModel(const v2::Target& target) const;
  void Admit(const v2::Target& target, HttpRequest request, std::function<void(HttpResponse)> respond);
  HttpResponse Infer(Job& job);
  void Log(Job& job, const v2::InferRequest& request, std::string prediction_id, std::int64_t rows, std::string answer);
  std::string FreshId();

  ModelHost& host_;
  ServeMetrics& metrics_;
  const Clock& clock_;
  const ServiceLimits limits_;
  PredictionLog* const log_;
  std::mutex id_mutex_;
  std::mt19937_64 id_random_;
  InferencePool pool_;  // last: its threads use all of the above
};

}  // namespace ratchet::serving
