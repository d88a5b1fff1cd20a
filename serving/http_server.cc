#include "serving/http_server.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast.hpp>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "serving/v2_protocol.h"

namespace ratchet::serving {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kLinger{2'000};    // to read what a refused client still sends
constexpr std::chrono::milliseconds kAcceptPause{50};  // when the process is out of file descriptors
constexpr std::size_t kReadChunkBytes = 16u << 10;

using Parser = http::request_parser<http::string_body>;

struct Connection {
  explicit Connection(tcp::socket socket) : stream(std::move(socket)) {}
  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  bool busy = false;  // from the first byte of a request to the last of its answer; on the strand
};
using ConnectionPtr = std::shared_ptr<Connection>;

http::response<http::string_body> ToBeast(HttpResponse response, unsigned version, bool keep_alive, bool head_only) {
  http::response<http::string_body> message{static_cast<http::status>(response.status), version};
  message.set(http::field::server, "ratchet-serve");
  message.set(http::field::content_type, response.content_type);
  if (!response.allow.empty()) message.set(http::field::allow, response.allow);
  if (response.retry_after_s > 0) message.set(http::field::retry_after, std::to_string(response.retry_after_s));
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  message.body() = std::move(response.body);
  message.prepare_payload();
  if (head_only) message.body().clear();
  return message;
}

std::vector<std::pair<std::string, std::string>> HeadersOf(const Parser::value_type& message) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    headers.emplace_back(std::move(name), std::string(field.value()));
  }
  return headers;
}

HttpResponse Refusal(int status, const std::string& message) {
  return {.status = status, .body = v2::ErrorJson(message)};
}

// What to tell a client whose request could not be read; status 0 = nothing, it is gone or too slow.
HttpResponse ReadRefusal(const beast::error_code& error, const HttpLimits& limits) {
  if (error == http::error::body_limit) {
    return Refusal(413, "the body is larger than " + std::to_string(limits.body_bytes) + " bytes");
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Refusal(431, "the header is larger than " + std::to_string(limits.header_bytes) + " bytes");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {.status = 0};
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return Refusal(400, "not an HTTP/1.1 request: " + error.message());
  }
  return {.status = 0};
}

class BeastServer final : public HttpServer {
 public:
  BeastServer(HttpLimits limits, HttpHandler& handler, ServeMetrics& metrics, int threads)
      : limits_(limits), handler_(handler), metrics_(metrics), io_(threads), acceptor_(asio::make_strand(io_)) {}

  ~BeastServer() override {
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  Status Listen(const HttpAddress& address, int threads);
  std::string Address() const override { return address_; }
  std::uint16_t Port() const override { return port_; }
  void BeginStop() override;
  bool WaitStopped(std::chrono::milliseconds wait) override;

 private:
  asio::awaitable<void> AcceptLoop();
  void Admit(tcp::socket socket);
  asio::awaitable<void> Serve(ConnectionPtr connection);
  asio::awaitable<bool> ServeOne(Connection& connection);
  asio::awaitable<beast::error_code> AwaitRequest(Connection& connection);
  asio::awaitable<beast::error_code> ReadRequest(Connection& connection, Parser& parser);
  asio::awaitable<HttpResponse> Answer(HttpRequest request);
  asio::awaitable<bool> Send(Connection& connection, HttpResponse response, unsigned version, bool keep_alive,
                             bool head_only = false);
  asio::awaitable<void> Linger(Connection& connection);
  void Forget(const ConnectionPtr& connection);

  const HttpLimits limits_;
  HttpHandler& handler_;
  ServeMetrics& metrics_;
  std::string address_;
  std::uint16_t port_ = 0;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<ConnectionPtr> connections_;
  std::vector<std::thread> threads_;
};

std::unexpected<Error> CannotListen(const HttpAddress& address, const beast::error_code& error) {
  const std::string where = address.host + ":" + std::to_string(address.port);
  if (error == asio::error::address_in_use) {
    return Fail(ErrorCode::kConflict, "listen on", where, "another program has this port",
                "Stop it, or choose another with --listen HOST:PORT (port 0 takes any)");
  }
  return Fail(ErrorCode::kInvalid, "listen on", where, error.message(), "Choose an address of this host");
}

Status BeastServer::Listen(const HttpAddress& address, int threads) {
  beast::error_code error;
  tcp::resolver resolver(io_);
  auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.empty()) return CannotListen(address, error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return CannotListen(address, error);
  port_ = acceptor_.local_endpoint().port();
  const std::string host = acceptor_.local_endpoint().address().to_string();
  address_ = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port_);
  asio::co_spawn(acceptor_.get_executor(), AcceptLoop(), asio::detached);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { io_.run(); });
  return {};
}

asio::awaitable<void> BeastServer::AcceptLoop() {
  asio::steady_timer pause(acceptor_.get_executor());
  while (!stopping_) {
    auto [error, socket] = co_await acceptor_.async_accept(asio::make_strand(io_), kTuple);
    if (!error) {
      Admit(std::move(socket));
    } else if (!stopping_) {
      spdlog::warn("cannot accept a connection: {}", error.message());
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kTuple);
    }
  }
}

void BeastServer::Admit(tcp::socket socket) {
  beast::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  auto connection = std::make_shared<Connection>(std::move(socket));
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || connections_.size() >= static_cast<size_t>(limits_.connections)) {
      ++metrics_.shed;
      return;  // closes it: there is no room even for reading what it wants
    }
    connections_.insert(connection);
  }
  ++metrics_.connections;
  asio::co_spawn(connection->stream.get_executor(), Serve(connection),
                 [this, connection](std::exception_ptr) { Forget(connection); });
}

void BeastServer::Forget(const ConnectionPtr& connection) {
  --metrics_.connections;
  std::lock_guard lock(mutex_);
  connections_.erase(connection);
  changed_.notify_all();
}

asio::awaitable<void> BeastServer::Serve(ConnectionPtr connection) {
  bool more = true;
  while (more && !stopping_) more = co_await ServeOne(*connection);
  beast::error_code ignored;
  connection->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  connection->stream.close();
}

// One request and its answer; false when the connection is to end.
asio::awaitable<bool> BeastServer::ServeOne(Connection& connection) {
  connection.busy = false;
  beast::error_code error = co_await AwaitRequest(connection);
  if (error) co_return false;
  connection.busy = true;
  Parser parser;
  parser.header_limit(limits_.header_bytes);
  parser.body_limit(limits_.body_bytes);
  error = co_await ReadRequest(connection, parser);
  if (error) {
    HttpResponse refusal = ReadRefusal(error, limits_);
    if (refusal.status == 0) co_return false;
    co_await Send(connection, std::move(refusal), 11, false);
    co_await Linger(connection);
    co_return false;
  }
  const bool head_only = parser.get().method() == http::verb::head;
  HttpRequest request{.method = head_only ? "GET" : std::string(parser.get().method_string()), .path = {}, .body = std::move(parser.get().body()),
                      .headers = HeadersOf(parser.get())};
  const std::string_view target(parser.get().target().data(), parser.get().target().size());
  request.path = target.substr(0, target.find('?'));
  if (target.size() > request.path.size()) request.query = target.substr(request.path.size() + 1);
  const unsigned version = parser.get().version();
  const bool keep_alive = parser.get().keep_alive();
  HttpResponse response = co_await Answer(std::move(request));
  const bool go_on = keep_alive && !stopping_;
  const bool sent = co_await Send(connection, std::move(response), version, go_on, head_only);
  co_return sent&& go_on;
}

// Waits as long as a client may be idle for the first bytes of its next request.
asio::awaitable<beast::error_code> BeastServer::AwaitRequest(Connection& connection) {
  if (connection.buffer.size() > 0) co_return beast::error_code{};
  connection.stream.expires_after(limits_.idle);
  auto space = connection.buffer.prepare(kReadChunkBytes);
  auto [error, count] = co_await connection.stream.async_read_some(space, kTuple);
  connection.buffer.commit(count);
  co_return error;
}

asio::awaitable<beast::error_code> BeastServer::ReadRequest(Connection& connection, Parser& parser) {
  connection.stream.expires_after(limits_.header_read);
  auto [header_error, header_count] =
      co_await http::async_read_header(connection.stream, connection.buffer, parser, kTuple);
  if (header_error) co_return header_error;
  connection.stream.expires_after(limits_.body_read);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    auto [write_error, written] = co_await asio::async_write(connection.stream, asio::buffer(kContinue), kTuple);
    if (write_error) co_return write_error;
  }
  auto [body_error, body_count] = co_await http::async_read(connection.stream, connection.buffer, parser, kTuple);
  co_return body_error;
}

// Hands the request to the handler and comes back to this connection's strand with the answer.
asio::awaitable<HttpResponse> BeastServer::Answer(HttpRequest request) {
  auto executor = co_await asio::this_coro::executor;
  auto place = std::make_shared<HttpResponse>();
  auto done = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  std::function<void(HttpResponse)> respond = [place, done, executor](HttpResponse response) {
    *place = std::move(response);
    asio::post(executor, [done] { done->expires_at(asio::steady_timer::time_point::min()); });
  };
  handler_.Handle(std::move(request), std::move(respond));
  co_await done->async_wait(kTuple);
  co_return std::move(*place);
}

asio::awaitable<bool> BeastServer::Send(Connection& connection, HttpResponse response, unsigned version,
                                        bool keep_alive, bool head_only) {
  auto message = ToBeast(std::move(response), version, keep_alive, head_only);
  connection.stream.expires_after(limits_.answer_write);
  auto [error, count] = co_await http::async_write(connection.stream, message, kTuple);
  co_return !error;
}

// Reads on for a moment, since closing a socket with unread bytes would take the answer away from the client.
asio::awaitable<void> BeastServer::Linger(Connection& connection) {
  beast::error_code ignored;
  connection.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  connection.stream.expires_after(kLinger);
  std::vector<char> scratch(kReadChunkBytes);
  for (;;) {
    auto [error, count] = co_await connection.stream.async_read_some(asio::buffer(scratch), kTuple);
    if (error) co_return;
  }
}

void BeastServer::BeginStop() {
  stopping_ = true;
  asio::post(acceptor_.get_executor(), [this] {
    beast::error_code ignored;
    acceptor_.close(ignored);
  });
  std::lock_guard lock(mutex_);
  for (const ConnectionPtr& connection : connections_) {
    asio::post(connection->stream.get_executor(), [connection] {
      if (!connection->busy) connection->stream.close();
    });
  }
}

bool BeastServer::WaitStopped(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [&] { return connections_.empty(); });
}

}  // namespace

Result<HttpAddress> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  HttpAddress address;
  if (colon != std::string::npos) {
    address.host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    const bool bracketed = address.host.starts_with('[') && address.host.ends_with(']');
    if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
    if (error == std::errc() && stop == end && !address.host.empty()) return address;
  }
  return Fail(ErrorCode::kInvalid, "read address", text, "is not HOST:PORT", "For example 127.0.0.1:7301");
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpAddress& address, int threads, HttpLimits limits,
                                                      HttpHandler& handler, ServeMetrics& metrics) {
  auto server = std::make_unique<BeastServer>(limits, handler, metrics, threads);
  RATCHET_TRY(server->Listen(address, threads));
  return server;
}

}  // namespace ratchet::serving
