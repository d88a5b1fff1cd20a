#include "serving/infer_dialect.h"

namespace ratchet::serving {
namespace {

class V2 final : public InferDialect {
 public:
  Result<v2::InferRequest> Parse(const HttpRequest& request, const Signature& signature) const override {
    return v2::ParseInfer(request.body, signature);
  }
  HttpResponse Answer(const v2::InferRequest&, const InferAnswer& answer) const override {
    return {.body = v2::InferJson(answer.version.model, answer.version.ref.version, answer.id, answer.prediction_id,
                                  answer.outputs)};
  }
  HttpResponse Refuse(int status, const std::string& message) const override {
    return {.status = status, .body = v2::ErrorJson(message)};
  }
};

}  // namespace

const InferDialect& V2Dialect() {
  static const V2 dialect;
  return dialect;
}

}  // namespace ratchet::serving
