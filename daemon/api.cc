#include "daemon/api.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "registry/events.h"

namespace ratchet::daemon {
namespace {

constexpr int kMaxListLimit = 500;
constexpr size_t kMaxCursorBytes = 256;
constexpr size_t kMaxKeyBytes = 200;

std::unexpected<Error> BadField(const std::string& field, std::string cause, std::string hint = {}) {
  Error error{.code = ErrorCode::kInvalid,
              .operation = "read",
              .subject = field,
              .cause = std::move(cause),
              .hint = std::move(hint)};
  error.field = field;
  return std::unexpected(std::move(error));
}

std::optional<std::int64_t> WholeNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string Scope(const Request& request) { return request.method + " " + request.path; }

Result<std::string> IdempotencyKey(const Request& request) {
  std::string key = request.Header("Idempotency-Key");
  if (key.size() > kMaxKeyBytes || !IsUtf8Text(key))
    return BadField("Idempotency-Key", "it is over 200 bytes, or no text");
  return key;
}

Result<Response> FromKept(const registry::KeptAnswer& kept, const std::string& body_digest) {
  if (kept.request_digest != body_digest)
    return Fail(ErrorCode::kConflict, "repeat the request", "", "its Idempotency-Key was used with another body",
                "Use a new key for a new request");
  return Response{.status = 200, .body = kept.body, .headers = {{"Idempotent-Replayed", "true"}}};
}

}  // namespace

Response JsonResponse(const Json& json, int status) {
  return {.status = status, .body = json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Result<PageQuery> ReadPageQuery(const Request& request) {
  PageQuery page;
  if (const auto limit = request.Query("limit")) {
    const auto number = WholeNumber(*limit);
    if (!number || *number < 1 || *number > kMaxListLimit)
      return BadField("limit", Quoted(*limit) + " is no whole number from 1 to 500");
    page.limit = static_cast<int>(*number);
  }
  page.after = request.Query("after");
  if (page.after && page.after->size() > kMaxCursorBytes) return BadField("after", "it is no cursor of this API");
  return page;
}

Result<PageQuery> ReadNumberedPageQuery(const Request& request) {
  RATCHET_ASSIGN(PageQuery page, ReadPageQuery(request));
  if (page.after && !WholeNumber(*page.after))
    return BadField("after", Quoted(*page.after) + " is no cursor of this list", "Pass the `next` of the page before");
  return page;
}

Result<std::int64_t> NumberParam(const Request& request, const std::string& name, std::string_view kind) {
  const std::string text = request.Param(name);
  const auto number = WholeNumber(text);
  if (number && *number > 0) return *number;
  return Fail(ErrorCode::kNotFound, "find " + std::string(kind), Quoted(text), "that is no number of one");
}

Result<std::string> NameParam(const Request& request, const std::string& name, std::string_view kind) {
  const std::string text = request.Param(name);
  RATCHET_TRY(CheckName(kind, text));
  return text;
}

Result<Json> ReadObject(const Request& request, const std::vector<std::string>& known) {
  if (request.body.empty()) return Json::object();
  Json object = Json::parse(request.body, nullptr, false);
  if (!object.is_object())
    return Fail(ErrorCode::kInvalid, "read the request body", "", "it is no JSON object", "Send one, in UTF-8");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = NearestName(key, known);
    return BadField(key.substr(0, 80), "there is no such field", near.empty() ? "" : "Did you mean " + near + "?");
  }
  return object;
}

Result<std::optional<std::string>> TextMember(const Json& object, const char* name, size_t limit_bytes) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) return BadField(name, "it is no text");
  const std::string& text = found->get_ref<const std::string&>();
  if (text.size() > limit_bytes) return BadField(name, "it is over " + std::to_string(limit_bytes) + " bytes");
  return text;
}

Result<std::optional<std::int64_t>> NumberMember(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_number_integer() || *found < 1) return BadField(name, "it is no whole number from 1 on");
  return found->get<std::int64_t>();
}

Result<bool> FlagMember(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return false;
  if (!found->is_boolean()) return BadField(name, "it is neither true nor false");
  return found->get<bool>();
}

Result<std::optional<Response>> KeptResponse(Api& api, const Request& request, const std::string& body_digest) {
  RATCHET_ASSIGN(const std::string key, IdempotencyKey(request));
  if (key.empty()) return std::nullopt;
  auto kept = api.store.Read([&](Db& db) -> Result<std::optional<registry::KeptAnswer>> {
    return registry::FindAnswer(db, Scope(request), key);
  });
  if (!kept) return std::unexpected(kept.error());
  if (!*kept) return std::nullopt;
  RATCHET_ASSIGN(Response response, FromKept(**kept, body_digest));
  return response;
}

Result<Response> WriteOnce(Api& api, const Request& request, const std::string& body_digest,
                           const std::function<Result<Json>(Db&)>& make) {
  RATCHET_ASSIGN(const std::string key, IdempotencyKey(request));
  return api.store.Write([&](Db& db) -> Result<Response> {
    if (!key.empty()) {
      if (const auto kept = registry::FindAnswer(db, Scope(request), key)) return FromKept(*kept, body_digest);
    }
    RATCHET_ASSIGN(const Json made, make(db));
    Response response = JsonResponse(made, 201);
    if (!key.empty())
      registry::KeepAnswer(db, Scope(request), key, {body_digest, response.status, response.body}, api.store.NowUs());
    return response;
  });
}

}  // namespace ratchet::daemon
