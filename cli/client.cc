#include "cli/client.h"

#include <httplib.h>
#include <poll.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>

#include <array>
#include <random>

#include "base/names.h"
#include "cli/early_answer.h"

namespace ratchet::cli {
namespace {

constexpr const char* kReach = "reach the server";
constexpr int kConnectPatienceS = 5;
constexpr int kAnswerPatienceS = 300;  // a rollback or an ingest answers only when it is done
constexpr size_t kPageSize = 200;
constexpr size_t kMostPages = 10'000;
// Small enough to fit whenever a socket says it takes more, so that no write blocks and an early answer is always seen.
constexpr size_t kPieceBytes = 16 * 1024;
constexpr size_t kErrorBodyLimit = 1 << 20;

Error Unreachable(const ServerUrl& url, httplib::Error error) {
  std::string cause = "the connection broke (" + httplib::to_string(error) + ")";
  if (error == httplib::Error::Connection) cause = "nothing answers there";
  if (error == httplib::Error::Read) cause = "it closed the connection or was silent for too long";
  std::string hint = "Start it with: ratchetd --data DIR, or name another with --server URL or RATCHET_SERVER";
  return {.code = ErrorCode::kUnavailable,
          .operation = kReach,
          .subject = url.Text(),
          .cause = std::move(cause),
          .hint = std::move(hint),
          .field = {}};
}

ErrorCode CodeOfProblem(std::string_view type, int status) {
  std::string_view code = type.substr(type.rfind('/') + 1);
  for (ErrorCode known : {ErrorCode::kInvalid, ErrorCode::kNotFound, ErrorCode::kConflict, ErrorCode::kDenied,
                          ErrorCode::kTooLarge, ErrorCode::kOverloaded, ErrorCode::kUnavailable, ErrorCode::kTimeout,
                          ErrorCode::kCorrupt, ErrorCode::kInternal})
    if (code == ErrorCodeName(known)) return known;
  if (status == 404) return ErrorCode::kNotFound;
  return status < 500 ? ErrorCode::kInvalid : ErrorCode::kInternal;
}

std::vector<FieldError> DecodeFieldErrors(const Json& list) {
  std::vector<FieldError> details;
  if (!list.is_array()) return details;
  for (const Json& item : list)
    details.push_back({.field = TextField(item, "field"),
                       .line = static_cast<int>(IntField(item, "line").value_or(0)),
                       .detail = TextField(item, "detail")});
  return details;
}

std::string WithQuery(const std::string& path, const std::string& query) {
  return path + (path.find('?') == std::string::npos ? "?" : "&") + query;
}

}  // namespace

struct Client::Connection {
  explicit Connection(const ServerUrl& url) : http(url.Origin()) {
    http.set_keep_alive(true);
    http.set_connection_timeout(kConnectPatienceS, 0);
    http.set_read_timeout(kAnswerPatienceS, 0);
    http.set_write_timeout(kAnswerPatienceS, 0);
    http.set_tcp_nodelay(true);
    http.set_socket_options([this](socket_t opened) { socket = opened; });
  }
  httplib::Client http;
  socket_t socket = -1;  // the one in use, so that an early answer can be seen during an upload
};

Client::Client(ServerUrl url, std::string token)
    : url_(std::move(url)), token_(std::move(token)), connection_(std::make_unique<Connection>(url_)) {
  if (!token_.empty()) connection_->http.set_bearer_token_auth(token_);
}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

void Client::SetPatience(int milliseconds) {
  connection_->http.set_connection_timeout(milliseconds / 1000, milliseconds % 1000 * 1000);
  connection_->http.set_read_timeout(milliseconds / 1000, milliseconds % 1000 * 1000);
}

namespace {

Result<std::string> Answer(const ServerUrl& url, const httplib::Result& result) {
  if (!result) return std::unexpected(Unreachable(url, result.error()));
  if (result->status < 200 || result->status > 299) return std::unexpected(DecodeProblem(result->status, result->body));
  return result->body;
}

httplib::Headers HeadersOf(const std::string& idempotency_key) {
  httplib::Headers headers;
  if (!idempotency_key.empty()) headers.emplace("Idempotency-Key", idempotency_key);
  return headers;
}

}  // namespace

Result<std::string> Client::Get(const std::string& path) {
  return Answer(url_, connection_->http.Get(url_.prefix + path));
}

Result<std::string> Client::Post(const std::string& path, const RequestBody& body) {
  return Answer(
      url_, connection_->http.Post(url_.prefix + path, HeadersOf(body.idempotency_key), body.text, body.content_type));
}

Result<std::string> Client::Put(const std::string& path, const RequestBody& body) {
  return Answer(
      url_, connection_->http.Put(url_.prefix + path, HeadersOf(body.idempotency_key), body.text, body.content_type));
}

Result<std::string> Client::Delete(const std::string& path) {
  return Answer(url_, connection_->http.Delete(url_.prefix + path));
}

Result<Json> Client::GetJson(const std::string& path) {
  RATCHET_ASSIGN(std::string body, Get(path));
  return DecodeAnswer(body);
}

Result<Json> Client::GetList(const std::string& path, size_t most, std::string after) {
  Json items = Json::array();
  for (size_t page = 0; page < kMostPages; ++page) {
    size_t limit = most == 0 ? kPageSize : std::min(kPageSize, most - items.size());
    std::string query = fmt::format("limit={}", limit) + (after.empty() ? "" : "&after=" + PercentEncoded(after));
    RATCHET_ASSIGN(Json answer, GetJson(WithQuery(path, query)));
    for (const Json& item : Field(answer, "items")) {
      if (most != 0 && items.size() == most) break;
      items.push_back(item);
    }
    const Json& next = Field(answer, "next");
    std::string cursor = next.is_null() ? "" : ShownValue(next);
    if (cursor.empty() || cursor == after) return Json{{"items", std::move(items)}, {"next", nullptr}};
    if (most != 0 && items.size() >= most) return Json{{"items", std::move(items)}, {"next", next}};
    after = std::move(cursor);
  }
  return Fail(ErrorCode::kTooLarge, "list", path, fmt::format("there are more than {} pages", kMostPages),
              "Ask for fewer with --limit");
}

Result<Json> Client::GetItems(const std::string& path, size_t most) {
  RATCHET_ASSIGN(Json list, GetList(path, most));
  return std::move(list["items"]);
}

Status Client::Download(const std::string& path, const PieceReceiver& receiver, int patience_s, const HeaderLines& headers) {
  connection_->http.set_read_timeout(patience_s, 0);
  int status = 0;
  bool stopped = false;
  std::string refusal;
  auto result = connection_->http.Get(
      url_.prefix + path, httplib::Headers(headers.begin(), headers.end()),
      [&](const httplib::Response& response) {
        status = response.status;
        return true;
      },
      [&](const char* data, size_t length) {
        if (status >= 200 && status < 300) {
          stopped = !receiver(std::string_view(data, length));
          return !stopped;
        }
        refusal.append(data, std::min(length, kErrorBodyLimit - std::min(kErrorBodyLimit, refusal.size())));
        return true;
      });
  connection_->http.set_read_timeout(kAnswerPatienceS, 0);
  if (stopped) return {};
  if (!result) return std::unexpected(Unreachable(url_, result.error()));
  if (status < 200 || status > 299) return std::unexpected(DecodeProblem(status, refusal));
  return {};
}

Result<std::string> Client::Upload(const std::string& path, const std::string& content_type, std::int64_t size_bytes,
                                   const ByteSource& source, const std::string& idempotency_key) {
  std::string piece(kPieceBytes, '\0');
  Status read_failure;
  std::optional<EarlyAnswer> early;
  auto send_piece = [&](size_t most, httplib::DataSink& sink) {
    if (url_.scheme == "http" && AnswersBeforeWrite(connection_->socket, kAnswerPatienceS * 1000)) {
      early = ReadEarlyAnswer(connection_->socket);
      return false;
    }
    auto length = source(piece.data(), std::min(most, piece.size()));
    if (!length) {
      read_failure = std::unexpected(std::move(length).error());
      return false;
    }
    if (*length > 0) return sink.write(piece.data(), *length) || true;
    if (size_bytes < 0) sink.done();
    return size_bytes < 0;
  };
  connection_->http.set_keep_alive(false);
  auto headers = HeadersOf(idempotency_key);
  httplib::Result result =
      size_bytes < 0
          ? connection_->http.Post(
                url_.prefix + path, headers,
                [&](size_t, httplib::DataSink& sink) { return send_piece(kPieceBytes, sink); }, content_type)
          : connection_->http.Post(
                url_.prefix + path, headers, static_cast<size_t>(size_bytes),
                [&](size_t, size_t left, httplib::DataSink& sink) { return send_piece(left, sink); }, content_type);
  RATCHET_TRY(read_failure);
  if (early && early->status >= 200 && early->status < 300) return early->body;
  if (early && early->status > 0) return std::unexpected(DecodeProblem(early->status, early->body));
  return Answer(url_, result);
}

bool OutOfReach(const Error& error) { return error.operation == kReach; }

Error DecodeProblem(int status, std::string_view body) {
  Json problem = ParseJson(body);
  Error error{.code = CodeOfProblem(TextField(problem, "type"), status),
              .operation = {},
              .subject = {},
              .cause = TextField(problem, "detail"),
              .hint = {},
              .field = TextField(problem, "field"),
              .line = static_cast<int>(IntField(problem, "line").value_or(0)),
              .details = DecodeFieldErrors(Field(problem, "errors"))};
  if (error.cause.empty()) error.cause = TextField(problem, "title");
  if (error.cause.empty()) error.cause = TextField(problem, "error");
  if (error.cause.empty()) {
    error.cause = fmt::format("the server answered with HTTP status {} and no reason", status);
    if (!body.empty()) error.cause += ": " + Quoted(body);
  }
  return error;
}

Result<Json> DecodeAnswer(std::string_view body) {
  Json json = ParseJson(body);
  if (json.is_discarded())
    return Fail(ErrorCode::kCorrupt, "read the server's answer", Quoted(body), "it is not JSON",
                "Check that --server names a ratchetd");
  return json;
}

std::string NewIdempotencyKey() {
  std::random_device device;
  std::string key;
  for (int i = 0; i < 4; ++i) key += fmt::format("{:08x}", device());
  return key;
}

}  // namespace ratchet::cli
