#include "daemon/http_server.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/problem.h"

namespace ratchet::daemon {
namespace {

// An error answer that HTTP itself defines, carried through Result<Response> as a response.
Response MethodNotAllowed(const std::string& allowed) {
  Response response = Problem(405, "This address does not take that method. Use one of: " + allowed + ".");
  response.headers.emplace_back("Allow", allowed + (allowed.find("GET") == std::string::npos ? "" : ", HEAD"));
  return response;
}

Result<std::string> ReadAll(BodySource& body, std::uint64_t expected) {
  std::string text;
  text.reserve(static_cast<size_t>(std::min<std::uint64_t>(expected, 1u << 20)));
  char buffer[16 * 1024];
  for (;;) {
    RATCHET_ASSIGN(const size_t got, body.Read(buffer, sizeof buffer));
    if (got == 0) return text;
    text.append(buffer, got);
  }
}

// Remembers whether the body was read to its end, and gives the upload's place back there: what follows waits for the
// client no more.
class WatchedBody final : public BodySource {
 public:
  WatchedBody(BodySource& body, Arrival& arrival) : body_(body), arrival_(arrival) {}
  Result<size_t> Read(char* into, size_t size) override {
    Result<size_t> got = body_.Read(into, size);
    if (!got || *got > 0 || size == 0) return got;
    arrival_.body_left = false;
    arrival_.connection.Hold(nullptr);
    return got;
  }

 private:
  BodySource& body_;
  Arrival& arrival_;
};

// Whether an answer may keep its thread for as long as the client takes to read it.
bool IsLarge(const Response& response, size_t large_bytes) {
  if (!response.stream) return response.body.size() > large_bytes;
  return !response.stream_bytes || *response.stream_bytes > large_bytes;
}

// A quarter of the places is left to operators, so that no number of open pages keeps a rollback from reaching the
// replicas.
HttpSlots::Place TakeAs(Role role, HttpSlots& slots) {
  return slots.Take(role == Role::kViewer ? slots.limit() / 4 : 0);
}

bool IsRequestId(const std::string& text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options, std::vector<Route> routes,
                                                      const Clock& clock) {
  RATCHET_ASSIGN(const int listener, ListenOn(options.host, options.port));
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(options), std::move(routes), clock));
  server->pool_ = std::make_unique<HttpPool>(server->options_.limits.threads, server->options_.limits.thread_idle_ms);
  // The lobby's thread starts with its last member set, so the server must be whole by now but for this pointer, which
  // pool threads use only after a connection came through the lobby.
  HttpServer* self = server.get();
  std::lock_guard lock(self->mutex_);
  server->lobby_ = std::make_unique<HttpLobby>(listener, server->options_.limits, clock,
                                               [self](std::unique_ptr<Connection>& c) { return self->Take(c); });
  return server;
}

HttpServer::HttpServer(HttpOptions options, std::vector<Route> routes, const Clock& clock)
    : options_(std::move(options)),
      router_(std::move(routes)),
      doorkeeper_{options_.host},
      clock_(clock),
      protocol_([this](Arrival& arrival) { return Answer(arrival); }),
      streams_(options_.limits.streams),
      uploads_(options_.limits.uploads),
      downloads_(options_.limits.downloads) {}

HttpServer::~HttpServer() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    const auto patience = std::chrono::milliseconds(options_.limits.stop_ms);
    changed_.wait_for(lock, patience, [&] { return in_work_.empty(); });
    for (Connection* connection : in_work_) shutdown(connection->fd(), SHUT_RDWR);
    changed_.wait(lock, [&] { return in_work_.empty(); });
  }
  lobby_ = nullptr;
  pool_ = nullptr;
}

std::string HttpServer::address() const {
  const bool v6 = options_.host.find(':') != std::string::npos;
  return (v6 ? "[" + options_.host + "]" : options_.host) + ":" + std::to_string(options_.port);
}

HttpServer::Load HttpServer::load() const {
  return {pool_->threads(), pool_->busy(), streams_.taken(), uploads_.taken(), downloads_.taken(), lobby_->counts()};
}

const char* HttpServer::Take(std::unique_ptr<Connection>& connection) {
  HttpSlots::Place place;
  if (!connection->HoldsBody()) {
    place = uploads_.Take();
    if (!place) return "As many uploads as are allowed come in at this time. Try again in a second.";
  }
  connection->BeginRequest(std::move(place), downloads_);
  if (Submit(connection.get())) {
    [[maybe_unused]] Connection* released = connection.release();  // the job owns it
    return nullptr;
  }
  connection->EndRequest();
  return "All of the server's threads are busy. Try again in a second.";
}

bool HttpServer::Submit(Connection* taken) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    in_work_.push_back(taken);
  }
  if (pool_->TrySubmit([this, taken] { Serve(std::unique_ptr<Connection>(taken)); })) return true;
  std::lock_guard lock(mutex_);
  std::erase(in_work_, taken);
  return false;
}

void HttpServer::Serve(std::unique_ptr<Connection> connection) {
  const HttpLimits& limits = options_.limits;
  const bool keep_alive = ++connection->requests < limits.requests_per_connection && !stopping_ && !pool_->NearlyFull();
  const bool again = protocol_.ServeOne(*connection, keep_alive);
  connection->EndRequest();
  std::lock_guard lock(mutex_);
  std::erase(in_work_, connection.get());
  if (again) {
    lobby_->Return(std::move(connection));
  } else {
    lobby_->Dismiss(std::move(connection));
  }
  changed_.notify_all();
}

Response HttpServer::Answer(Arrival& arrival) {
  const std::int64_t began_us = clock_.MonotonicUs();
  Request& request = arrival.request;
  request.id = request.Header("X-Request-Id");
  if (!IsRequestId(request.id)) request.id = fmt::format("r{:x}", next_request_++);
  const std::string method = request.method;
  const char* route = "";
  Result<Response> outcome = Dispatch(arrival, route);
  if (!outcome && outcome.error().code == ErrorCode::kTimeout && arrival.body_left) {
    outcome = Problem(408, outcome.error().Message());
  }
  if (!outcome && ErrorCode::kCorrupt <= outcome.error().code)
    spdlog::error("request {}: {} {}: {}", request.id, method, route, outcome.error().Message());
  Response response = outcome ? std::move(*outcome) : ProblemFrom(outcome.error());
  if (arrival.body_left) SkipHeldBody(arrival);
  response.headers.emplace_back("X-Request-Id", request.id);
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  const double seconds = static_cast<double>(clock_.MonotonicUs() - began_us) / 1e6;
  spdlog::debug("request {}: {} {} {} in {:.1f} ms", request.id, method, request.path.substr(0, 200), response.status,
                seconds * 1e3);
  if (options_.observe) options_.observe({route, method, response.status, seconds});
  return response;
}

// A small body that nobody wanted but that is here already need not cost the connection.
void HttpServer::SkipHeldBody(Arrival& arrival) const {
  Connection& connection = arrival.connection;
  if (arrival.head.chunked || arrival.head.content_length.value_or(0) != connection.held().size()) return;
  connection.Take(connection.held().size());
  arrival.body_left = false;
}

Result<Response> HttpServer::Dispatch(Arrival& arrival, const char*& route) {
  Request& request = arrival.request;
  const std::string target = std::move(request.path);
  request.path = target.substr(0, target.find('?'));
  RATCHET_TRY(doorkeeper_.Check(request, arrival.connection.peer()));
  const std::string wanted = request.method == "HEAD" ? "GET" : request.method;
  RATCHET_ASSIGN(Router::Match match, router_.Find(wanted, request.path));
  if (match.allowed.empty())
    return Fail(ErrorCode::kNotFound, "find the address", request.path.substr(0, 200), "there is nothing",
                "See /api/v1/openapi.json for what there is");
  if (request.method == "OPTIONS")
    return Response{.status = 204, .content_type = "", .body = "", .headers = {{"Allow", match.allowed}}};
  if (!match.route) return MethodNotAllowed(match.allowed);
  route = match.route->spec.pattern;
  request.method = wanted;
  request.params = std::move(match.params);
  if (request.path.size() < target.size()) {
    RATCHET_ASSIGN(request.query, ParseQuery(std::string_view(target).substr(request.path.size() + 1)));
    RATCHET_TRY(CheckQuery(request.query, match.route->spec.query));
  }
  return RunRoute(arrival, *match.route);
}

Result<Response> HttpServer::RunRoute(Arrival& arrival, const Route& route) {
  const RouteSpec& spec = route.spec;
  const RequestHead& head = arrival.head;
  if (head.has_body() && spec.body_limit == 0) return Problem(400, "This address takes no request body. Send none.");
  if (head.content_length.value_or(0) > spec.body_limit)
    return Fail(ErrorCode::kTooLarge, "read the request body", "",
                fmt::format("it has {} bytes, over the limit of {}", *head.content_length, spec.body_limit),
                "Send less at once");
  if (head.has_body() && !arrival.request.Header("Content-Encoding").empty())
    return Problem(415, "Compressed request bodies are not taken. Send the body as it is.");
  if (head.has_body() && !IsAccepted(arrival.request.Header("Content-Type"), spec.accepts))
    return Problem(415, fmt::format("This address takes Content-Type {}.", spec.accepts));
  const bool whole = spec.kind != RouteKind::kUpload;
  const std::int64_t patience_us = whole ? options_.limits.plain_body_ms * 1000LL : std::int64_t{24} * 3600 * 1'000'000;
  const std::int64_t deadline_us = clock_.MonotonicUs() + patience_us;
  const auto body = MakeBodySource(arrival.connection, head, spec.body_limit, deadline_us);
  WatchedBody watched(*body, arrival);
  return CallHandler(arrival, route, watched);
}

Result<Response> HttpServer::CallHandler(Arrival& arrival, const Route& route, BodySource& body) {
  Request& request = arrival.request;
  Connection& connection = arrival.connection;
  request.abandoned = [this, &connection] { return stopping_ || connection.PeerGone(); };
  if (route.spec.kind == RouteKind::kUpload) {
    request.source = &body;
  } else {
    RATCHET_ASSIGN(request.body, ReadAll(body, arrival.head.content_length.value_or(0)));
  }
  if (route.spec.kind == RouteKind::kStream) {
    HttpSlots::Place place = TakeAs(route.spec.role, streams_);
    if (!place)
      return Fail(ErrorCode::kOverloaded, "open a stream", "", "as many as are allowed are open", "Try again later");
    connection.Hold(std::move(place));
    connection.ExpectStream();
  }
  Result<Response> response = RunHandler(request, route);
  if (!response || route.spec.kind == RouteKind::kStream || !IsLarge(*response, options_.limits.large_bytes))
    return response;
  HttpSlots::Place place = TakeAs(route.spec.role, downloads_);
  if (!place)
    return Fail(ErrorCode::kOverloaded, "send a large answer", "", "as many as are allowed are being sent",
                "Try again later");
  connection.Hold(std::move(place));
  return response;
}

Result<Response> HttpServer::RunHandler(const Request& request, const Route& route) const {
  try {
    return route.handler(request);
  } catch (const std::exception& failure) {  // a defect: handlers return errors. The daemon goes on, the log has it.
    return Fail(ErrorCode::kInternal, "answer", request.path.substr(0, 200), failure.what(), "Report this as a bug");
  }
}

}  // namespace ratchet::daemon
