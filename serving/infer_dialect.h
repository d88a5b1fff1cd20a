#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "serving/http_messages.h"
#include "serving/model_host.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving {

// What an inference gave, on its way into an answer.
struct InferAnswer {
  const ServedVersion& version;
  std::string id;             // the client's, else the prediction's own
  std::string prediction_id;
  std::vector<Tensor> outputs;  // those that the client wants, in its order
};

// How requests for an inference are written, and their answers. What happens between is the same for all dialects
// (InferService). Without state; any thread.
class InferDialect {
 public:
  virtual ~InferDialect() = default;
  // Unpacks a compressed body in its place, then reads it. kInvalid names the input and what was expected of it; kTooLarge
  // where what it unpacks to is.
  virtual Result<v2::InferRequest> Parse(HttpRequest& request, const Signature& signature) const = 0;
  virtual HttpResponse Answer(const v2::InferRequest& request, const InferAnswer& answer) const = 0;
  virtual HttpResponse Refuse(int status, const std::string& message) const = 0;
};

// The Open Inference Protocol V2, tensors as JSON or as bytes.
const InferDialect& V2Dialect();
// Rows (serving/rows_request.h): /v1/models/{m}:predict answers all outputs of each, /invocations the prediction alone, with
// MLflow's errors.
const InferDialect& PredictDialect();
const InferDialect& InvocationsDialect();
const InferDialect& DialectOf(v2::Dialect dialect);

}  // namespace ratchet::serving
