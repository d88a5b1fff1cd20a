#include "serving/http_server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast.hpp>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "serving/v2_protocol.h"

namespace ratchet::serving {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kLinger{2'000};    // to read what a refused client still sends
constexpr std::chrono::milliseconds kAcceptPause{50};  // when the process is out of file descriptors
constexpr std::chrono::milliseconds kShortestSweep{20}, kLongestSweep{1'000};
constexpr std::size_t kReadChunkBytes = 16u << 10, kBodyChunkBytes = 128u << 10;

using Parser = http::request_parser<http::string_body>;
using Steady = std::chrono::steady_clock;

struct Connection {
  explicit Connection(tcp::socket its_socket) : socket(std::move(its_socket)) {}
  void AllowFor(std::chrono::milliseconds wait) { deadline = Steady::now() + wait; }

  tcp::socket socket;
  beast::flat_buffer buffer;
  Steady::time_point deadline = Steady::time_point::max();  // then the sweep closes it
  bool busy = false;  // from the first byte of a request to the last of its answer
};
using ConnectionPtr = std::shared_ptr<Connection>;

// One thread and the connections that live on it; nothing of a connection is touched from elsewhere.
struct Loop {
  asio::io_context io{1};
  std::set<ConnectionPtr> connections;
  asio::steady_timer sweep{io};
  bool round_ends = false;  // RoundOver is under way
  std::thread thread;
};

std::string HeadText(const HttpResponse& response, unsigned version, bool keep_alive) {
  const std::string_view reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head = "HTTP/1." + std::string(version == 10 ? "0 " : "1 ") + std::to_string(response.status) + " ";
  head.append(reason).append("\r\nServer: ratchet-serve\r\nContent-Type: ").append(response.content_type);
  head += "\r\nContent-Length: " + std::to_string(response.body.size());
  if (!response.allow.empty()) head += "\r\nAllow: " + response.allow;
  if (response.retry_after_s > 0) head += "\r\nRetry-After: " + std::to_string(response.retry_after_s);
  for (const auto& [name, value] : response.headers) head += "\r\n" + name + ": " + value;
  if (!keep_alive) head += "\r\nConnection: close";
  if (keep_alive && version == 10) head += "\r\nConnection: keep-alive";
  return head + "\r\n\r\n";
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
      : limits_(limits), handler_(handler), metrics_(metrics), loops_(static_cast<size_t>(threads)),
        acceptor_(loops_.front().io) {}

  ~BeastServer() override {
    for (Loop& loop : loops_) loop.io.stop();
    for (Loop& loop : loops_)
      if (loop.thread.joinable()) loop.thread.join();
  }

  Status Listen(const HttpAddress& address);
  std::string Address() const override { return address_; }
  std::uint16_t Port() const override { return port_; }
  void BeginStop() override;
  bool WaitStopped(std::chrono::milliseconds wait) override;

 private:
  asio::awaitable<void> AcceptLoop();
  asio::awaitable<void> SweepLoop(Loop& loop);
  void Admit(Loop& loop, tcp::socket socket);
  asio::awaitable<void> Serve(Loop& loop, ConnectionPtr connection);
  asio::awaitable<bool> ServeOne(Loop& loop, Connection& connection);
  asio::awaitable<beast::error_code> ReadRequest(Connection& connection, Parser& parser);
  beast::error_code TakeIn(Connection& connection, Parser& parser);
  asio::awaitable<beast::error_code> InviteBody(Connection& connection, const Parser& parser);
  asio::awaitable<HttpResponse> Answer(Loop& loop, HttpRequest request);
  void EndRound(Loop& loop);
  asio::awaitable<bool> Send(Connection& connection, const HttpResponse& response, unsigned version, bool keep_alive,
                             bool head_only);
  asio::awaitable<void> Linger(Connection& connection);
  void Forget(Loop& loop, const ConnectionPtr& connection);

  const HttpLimits limits_;
  HttpHandler& handler_;
  ServeMetrics& metrics_;
  std::string address_;
  std::uint16_t port_ = 0;
  std::vector<Loop> loops_;
  tcp::acceptor acceptor_;  // of the first loop
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;  // connections, with mutex_ held
};

std::unexpected<Error> CannotListen(const HttpAddress& address, const beast::error_code& error) {
  const std::string where = address.host + ":" + std::to_string(address.port);
  if (error == asio::error::address_in_use) {
    return Fail(ErrorCode::kConflict, "listen on", where, "another program has this port",
                "Stop it, or choose another with --listen HOST:PORT (port 0 takes any)");
  }
  return Fail(ErrorCode::kInvalid, "listen on", where, error.message(), "Choose an address of this host");
}

Status BeastServer::Listen(const HttpAddress& address) {
  beast::error_code error;
  tcp::resolver resolver(loops_.front().io);
  auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.empty()) return CannotListen(address, error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && address.shared) acceptor_.set_option(ReusePort(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return CannotListen(address, error);
  port_ = acceptor_.local_endpoint().port();
  const std::string host = acceptor_.local_endpoint().address().to_string();
  address_ = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port_);
  asio::co_spawn(loops_.front().io, AcceptLoop(), asio::detached);
  for (Loop& loop : loops_) {
    asio::co_spawn(loop.io, SweepLoop(loop), asio::detached);
    loop.thread = std::thread([&loop] { loop.io.run(); });
  }
  return {};
}

// Deals the connections out to the loops in turn.
asio::awaitable<void> BeastServer::AcceptLoop() {
  asio::steady_timer pause(acceptor_.get_executor());
  for (size_t next = 0; !stopping_; next = (next + 1) % loops_.size()) {
    Loop& loop = loops_[next];
    auto [error, socket] = co_await acceptor_.async_accept(loop.io, kTuple);
    if (!error) {
      asio::post(loop.io, [this, &loop, accepted = std::move(socket)]() mutable { Admit(loop, std::move(accepted)); });
    } else if (!stopping_) {
      spdlog::warn("cannot accept a connection: {}", error.message());
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kTuple);
    }
  }
}

// Closes connections whose time is over. One timer for all of them, for one each would cost every request more.
asio::awaitable<void> BeastServer::SweepLoop(Loop& loop) {
  const auto shortest = std::min({limits_.idle, limits_.header_read, limits_.body_read, limits_.answer_write});
  for (;;) {
    loop.sweep.expires_after(std::clamp(shortest / 4, kShortestSweep, kLongestSweep));
    co_await loop.sweep.async_wait(kTuple);
    const auto now = Steady::now();
    beast::error_code ignored;
    for (const ConnectionPtr& connection : loop.connections)
      if (connection->deadline < now) connection->socket.close(ignored);
  }
}

void BeastServer::Admit(Loop& loop, tcp::socket socket) {
  beast::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || open_ >= limits_.connections) {
      ++metrics_.shed;
      return;  // closes it: there is no room even for reading what it wants
    }
    ++open_;
  }
  ++metrics_.connections;
  auto connection = std::make_shared<Connection>(std::move(socket));
  loop.connections.insert(connection);
  asio::co_spawn(loop.io, Serve(loop, connection),
                 [this, &loop, connection](std::exception_ptr) { Forget(loop, connection); });
}

void BeastServer::Forget(Loop& loop, const ConnectionPtr& connection) {
  loop.connections.erase(connection);
  --metrics_.connections;
  std::lock_guard lock(mutex_);
  --open_;
  changed_.notify_all();
}

asio::awaitable<void> BeastServer::Serve(Loop& loop, ConnectionPtr connection) {
  bool more = true;
  while (more && !stopping_) more = co_await ServeOne(loop, *connection);
  beast::error_code ignored;
  connection->socket.shutdown(tcp::socket::shutdown_send, ignored);
  connection->socket.close(ignored);
}

// One request and its answer; false when the connection is to end.
asio::awaitable<bool> BeastServer::ServeOne(Loop& loop, Connection& connection) {
  Parser parser;
  parser.eager(true);
  parser.header_limit(limits_.header_bytes);
  parser.body_limit(limits_.body_bytes);
  connection.busy = false;
  const beast::error_code error = co_await ReadRequest(connection, parser);
  if (error) {
    const HttpResponse refusal = ReadRefusal(error, limits_);
    if (refusal.status == 0) co_return false;
    co_await Send(connection, refusal, 11, false, false);
    co_await Linger(connection);
    co_return false;
  }
  auto& message = parser.get();
  const bool head_only = message.method() == http::verb::head;
  const std::string_view target(message.target().data(), message.target().size());
  HttpRequest request{.method = head_only ? "GET" : std::string(message.method_string()),
                      .path = std::string(target.substr(0, target.find('?'))),
                      .body = std::move(message.body()),
                      .headers = HeadersOf(message),
                      .round_follows = true};
  if (target.size() > request.path.size()) request.query = target.substr(request.path.size() + 1);
  connection.deadline = Steady::time_point::max();
  const HttpResponse response = co_await Answer(loop, std::move(request));
  const bool go_on = message.keep_alive() && !stopping_;
  const bool sent = co_await Send(connection, response, message.version(), go_on, head_only);
  co_return sent&& go_on;
}

// Reads until the request is there. What has come with the one before it is looked at first.
asio::awaitable<beast::error_code> BeastServer::ReadRequest(Connection& connection, Parser& parser) {
  connection.AllowFor(limits_.idle);
  bool invited = false;
  for (;;) {
    if (const auto error = TakeIn(connection, parser); error || parser.is_done()) co_return error;
    if (parser.is_header_done() && !std::exchange(invited, true)) {
      connection.AllowFor(limits_.body_read);
      if (const auto error = co_await InviteBody(connection, parser)) co_return error;
    }
    auto space = connection.buffer.prepare(parser.is_header_done() ? kBodyChunkBytes : kReadChunkBytes);
    auto [error, count] = co_await connection.socket.async_read_some(space, kTuple);
    connection.buffer.commit(count);
    if (error == asio::error::eof) co_return make_error_code(http::error::end_of_stream);
    if (error) co_return error;
  }
}

// Gives the parser what has been read, as far as it can use it.
beast::error_code BeastServer::TakeIn(Connection& connection, Parser& parser) {
  beast::error_code error;
  while (connection.buffer.size() > 0 && !parser.is_done() && !error) {
    if (!std::exchange(connection.busy, true)) connection.AllowFor(limits_.header_read);
    connection.buffer.consume(parser.put(connection.buffer.data(), error));
  }
  return error == http::error::need_more ? beast::error_code{} : error;
}

// Tells a client that waits to be asked for the body to send it.
asio::awaitable<beast::error_code> BeastServer::InviteBody(Connection& connection, const Parser& parser) {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (!beast::iequals(parser.get()[http::field::expect], "100-continue")) co_return beast::error_code{};
  auto [error, written] = co_await asio::async_write(connection.socket, asio::buffer(kContinue), kTuple);
  co_return error;
}

// Hands the request to the handler and goes on, on this connection's loop, with the answer.
asio::awaitable<HttpResponse> BeastServer::Answer(Loop& loop, HttpRequest request) {
  const auto hand_over = [this, &loop](auto go_on, HttpRequest asked) {
    auto shared = std::make_shared<decltype(go_on)>(std::move(go_on));
    EndRound(loop);
    handler_.Handle(std::move(asked), [shared, &loop](HttpResponse response) {
      asio::post(loop.io, [shared, answer = std::move(response)]() mutable { (*shared)(std::move(answer)); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(HttpResponse)>(
      hand_over, asio::use_awaitable, std::move(request));
}

// A round is what was ready when the loop looked for news: what is posted now comes after it.
void BeastServer::EndRound(Loop& loop) {
  if (std::exchange(loop.round_ends, true)) return;
  asio::post(loop.io, [this, &loop] {
    loop.round_ends = false;
    handler_.RoundOver();
  });
}

// Most answers fit into the socket's buffer: those are sent at once.
asio::awaitable<bool> BeastServer::Send(Connection& connection, const HttpResponse& response, unsigned version,
                                        bool keep_alive, bool head_only) {
  const std::string head = HeadText(response, version, keep_alive);
  const std::size_t total = head.size() + (head_only ? 0 : response.body.size());
  const std::array<asio::const_buffer, 2> buffers = {
      asio::buffer(head), head_only ? asio::const_buffer() : asio::buffer(response.body)};
  beast::error_code error;
  const std::size_t sent = connection.socket.write_some(buffers, error);
  if (!error && sent == total) co_return true;
  if (error && error != asio::error::would_block) co_return false;
  connection.AllowFor(limits_.answer_write);
  beast::buffers_suffix<std::array<asio::const_buffer, 2>> rest(buffers);
  rest.consume(error ? 0 : sent);
  auto [write_error, count] = co_await asio::async_write(connection.socket, rest, kTuple);
  co_return !write_error;
}

// A client that still sends would lose the refusal to a reset if the socket were closed over unread data.
asio::awaitable<void> BeastServer::Linger(Connection& connection) {
  beast::error_code error;
  connection.socket.shutdown(tcp::socket::shutdown_send, error);
  connection.AllowFor(kLinger);
  while (!error) {
    connection.buffer.clear();
    auto [read_error, count] =
        co_await connection.socket.async_read_some(connection.buffer.prepare(kReadChunkBytes), kTuple);
    error = read_error;
  }
}

void BeastServer::BeginStop() {
  if (stopping_.exchange(true)) return;
  asio::post(loops_.front().io, [this] {
    beast::error_code ignored;
    acceptor_.close(ignored);
  });
  for (Loop& loop : loops_) {
    asio::post(loop.io, [&loop] {
      beast::error_code ignored;
      for (const ConnectionPtr& connection : loop.connections)
        if (!connection->busy) connection->socket.close(ignored);
    });
  }
}

bool BeastServer::WaitStopped(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [&] { return open_ == 0; });
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
  RATCHET_TRY(server->Listen(address));
  return server;
}

}  // namespace ratchet::serving
