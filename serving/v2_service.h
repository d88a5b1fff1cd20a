#pragma once

#include <cstdint>
#include <functional>

#include "serving/http_messages.h"
#include "serving/infer_service.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving {

// Answers the Open Inference Protocol V2 with Triton's statistics and repository index, the routes by rows, /ping, /healthz
// and /metrics (with ?names=triton under Triton's names, too). Infer requests go their own way (InferService); all else is
// answered at once.
class V2Service final : public HttpHandler {
 public:
  // `seed` is of the predictions' ids. `log` may be null: then nothing is logged. All that is referred to outlives the
  // service.
  V2Service(ModelHost& host, ServeMetrics& metrics, const Clock& clock, ServiceLimits limits, std::uint64_t seed,
            PredictionLog* log = nullptr);

  void Handle(HttpRequest request, std::function<void(HttpResponse)> respond) override;
  // Finishes the infer requests under way; later ones are answered 503.
  void Stop() { infer_.Stop(); }
  void RoundOver() override { infer_.RoundOver(); }

 private:
  HttpResponse AnswerNow(const v2::Target& target) const;
  HttpResponse AnswerReady() const;
  HttpResponse AnswerModel(const v2::Target& target) const;
  HttpResponse AnswerStatistics(const v2::Target& target) const;
  HttpResponse AnswerIndex(const HttpRequest& request) const;
  HttpResponse AnswerMetrics(const HttpRequest& request) const;
  void Infer(const v2::Target& target, HttpRequest request, std::function<void(HttpResponse)> respond);

  ModelHost& host_;
  ServeMetrics& metrics_;
  InferService infer_;
};

}  // namespace ratchet::serving
