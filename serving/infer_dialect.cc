#include "serving/infer_dialect.h"

#include <charconv>

#include "serving/binary_tensors.h"
#include "serving/http_coding.h"
#include "serving/json_body.h"
#include "serving/rows_request.h"
#include "serving/tensor_json.h"

namespace ratchet::serving {
namespace {

// The answer's header of that meaning; kBinaryHeader is the request's, whose names come in lower case.
constexpr char kBinaryAnswerHeader[] = "Inference-Header-Content-Length";

v2::InferBody WholeBody(const HttpRequest& request) {
  v2::InferBody body(request.body);
  body.readable_bytes = request.body.capacity();
  return body;
}

class Unpacking : public InferDialect {
 public:
  Result<v2::InferRequest> Parse(HttpRequest& request, const Signature& signature) const final {
    RATCHET_TRY(UnpackBody(request));
    return Read(request, signature);
  }
  HttpResponse Refuse(int status, const std::string& message) const override {
    return {.status = status, .body = v2::ErrorJson(message)};
  }

 private:
  virtual Result<v2::InferRequest> Read(const HttpRequest& request, const Signature& signature) const = 0;
};

class V2 final : public Unpacking {
 public:
  HttpResponse Answer(const v2::InferRequest& request, const InferAnswer& answer) const override {
    const ServedVersion& version = answer.version;
    if (!request.WantsAnyBinary()) {
      return {.body = v2::InferJson(version.model, version.ref.version, answer.id, answer.prediction_id, answer.outputs)};
    }
    v2::MixedBody mixed =
        v2::InferMixed(version.model, version.ref.version, answer.id, answer.prediction_id, answer.outputs, request);
    HttpResponse response{.body = std::move(mixed.bytes)};
    if (!mixed.has_binary) return response;
    response.content_type = "application/octet-stream";
    response.headers.emplace_back(kBinaryAnswerHeader, std::to_string(mixed.json_bytes));
    return response;
  }

 private:
  Result<v2::InferRequest> Read(const HttpRequest& request, const Signature& signature) const override {
    v2::InferBody body = WholeBody(request);
    const std::string* header = request.Header(kBinaryHeader);
    if (!header) return v2::ParseInfer(body, signature);
    const char* end = header->data() + header->size();
    auto [stop, error] = std::from_chars(header->data(), end, body.json_bytes);
    if (error != std::errc() || stop != end || body.json_bytes > request.body.size()) {
      return serving::Refuse("the header Inference-Header-Content-Length must say how many bytes of the body are JSON, at most its " +
                    std::to_string(request.body.size()));
    }
    if (body.json_bytes == 0) return v2::ParseRawInfer(request.body, signature);
    return v2::ParseInfer(body, signature);
  }
};

class Rows : public Unpacking {
 private:
  Result<v2::InferRequest> Read(const HttpRequest& request, const Signature& signature) const override {
    return ParseRows(WholeBody(request), signature);
  }
};

class Predict final : public Rows {
 public:
  HttpResponse Answer(const v2::InferRequest&, const InferAnswer& answer) const override {
    return {.body = RowsJson(answer.version.model, answer.version.ref.version, answer.id, answer.prediction_id,
                             answer.outputs, RowAnswer::kOutputs)};
  }
};

const char* MlflowErrorCode(int status) {
  if (status == 404) return "RESOURCE_DOES_NOT_EXIST";
  if (status == 429) return "REQUEST_LIMIT_EXCEEDED";
  if (status == 503) return "TEMPORARILY_UNAVAILABLE";
  return status < 500 ? "BAD_REQUEST" : "INTERNAL_ERROR";
}

class Invocations final : public Rows {
 public:
  HttpResponse Answer(const v2::InferRequest&, const InferAnswer& answer) const override {
    return {.body = RowsJson(answer.version.model, answer.version.ref.version, answer.id, answer.prediction_id,
                             answer.outputs, RowAnswer::kPrediction)};
  }
  HttpResponse Refuse(int status, const std::string& message) const override {
    return {.status = status, .body = std::string("{\"error_code\":\"") + MlflowErrorCode(status) +
                                      "\",\"message\":" + JsonText(message) + "}"};
  }
};

}  // namespace

const InferDialect& V2Dialect() {
  static const V2 dialect;
  return dialect;
}

const InferDialect& PredictDialect() {
  static const Predict dialect;
  return dialect;
}

const InferDialect& InvocationsDialect() {
  static const Invocations dialect;
  return dialect;
}

const InferDialect& DialectOf(v2::Dialect dialect) {
  switch (dialect) {
    case v2::Dialect::kV2:
      return V2Dialect();
    case v2::Dialect::kPredict:
      return PredictDialect();
    case v2::Dialect::kInvocations:
      return InvocationsDialect();
  }
  return V2Dialect();
}

}  // namespace ratchet::serving
