#include "serving/http_coding.h"

#include "base/names.h"
#include "serving/content_encoding.h"
#include "serving/v2_protocol.h"

namespace ratchet::serving {
namespace {

void Compress(Coding coding, HttpResponse& response) {
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (coding == Coding::kIdentity || response.body.size() < kLeastCompressedBytes) return;
  auto packed = Encoded(coding, response.body);
  if (!packed || packed->size() >= response.body.size()) return;
  response.body = std::move(*packed);
  response.headers.emplace_back("Content-Encoding", CodingName(coding));
}

}  // namespace

std::optional<HttpResponse> RefuseCoding(const HttpRequest& request) {
  const std::string* coding = request.Header("content-encoding");
  if (!coding || ParseCoding(*coding)) return std::nullopt;
  HttpResponse refusal{.status = 415, .body = v2::ErrorJson("the Content-Encoding " + Quoted(*coding) +
                                                            " is not understood, expected one of " + kAcceptedCodings)};
  refusal.headers.emplace_back("Accept-Encoding", kAcceptedCodings);
  return refusal;
}

Status UnpackBody(HttpRequest& request) {
  const std::string* name = request.Header("content-encoding");
  const Coding coding = name ? ParseCoding(*name).value_or(Coding::kIdentity) : Coding::kIdentity;
  if (coding == Coding::kIdentity) return {};
  RATCHET_ASSIGN(request.body, Decoded(coding, request.body, kMaxUnpackedBytes));
  return {};
}

std::function<void(HttpResponse)> Compressing(const HttpRequest& request, std::function<void(HttpResponse)> respond) {
  const std::string* accepted = request.Header("accept-encoding");
  if (!accepted) return respond;
  return [coding = ChooseCoding(*accepted), respond = std::move(respond)](HttpResponse response) {
    Compress(coding, response);
    respond(std::move(response));
  };
}

}  // namespace ratchet::serving
