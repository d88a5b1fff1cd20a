#include "daemon/http_protocol.h"

#include <httplib.h>
#include <spdlog/spdlog.h>
#include <strings.h>

#include <algorithm>
#include <utility>

#include "daemon/problem.h"

namespace ratchet::daemon {
namespace {

// Under which name the library sees a Range header: it would act on it behind the handler's back, and refuse those that it
// cannot read, where RFC 9110 wants them passed over.
constexpr std::string_view kHiddenRange = "X-Ratchet-Range";

std::string WithHiddenRange(std::string_view head) {
  constexpr std::string_view kName = "range:";
  std::string kept;
  while (!head.empty()) {
    const size_t end = head.find("\r\n") + 2;
    const std::string_view name = head.substr(0, kName.size());
    const bool hide = name.size() == kName.size() && strncasecmp(name.data(), kName.data(), kName.size()) == 0;
    if (hide) kept += kHiddenRange;
    kept += head.substr(hide ? kName.size() - 1 : 0, end - (hide ? kName.size() - 1 : 0));
    head.remove_prefix(end);
  }
  return kept;
}

// The library's view of a connection. It only ever reads the head, which lies in memory already.
class ConnectionStream final : public httplib::Stream {
 public:
  ConnectionStream(Connection& connection, size_t head_bytes)
      : connection_(connection), head_(WithHiddenRange(connection.held().substr(0, head_bytes))) {
    connection_.Take(head_bytes);
  }

  bool is_readable() const override { return read_ < head_.size(); }
  bool is_writable() const override { return !connection_.PeerGone(); }
  ssize_t read(char* into, size_t size) override {
    const size_t copied = head_.copy(into, size, read_);
    read_ += copied;
    return static_cast<ssize_t>(copied);
  }
  ssize_t write(const char* bytes, size_t size) override {
    return connection_.Write({bytes, size}) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = connection_.peer();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  socket_t socket() const override { return connection_.fd(); }
  // Asked for by later versions of the library.
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return is_writable(); }
  bool is_peer_alive() const { return is_writable(); }
  time_t duration() const { return 0; }

 private:
  Connection& connection_;
  const std::string head_;
  size_t read_ = 0;
};

void FillAnswer(Response answer, httplib::Response& out) {
  out.status = answer.status;
  for (const auto& [name, value] : answer.headers) out.set_header(name.c_str(), value.c_str());
  if (!answer.stream) {
    if (!answer.content_type.empty() && answer.status != 204) out.set_content(answer.body, answer.content_type.c_str());
    return;
  }
  auto provide = [stream = std::move(answer.stream)](httplib::DataSink& sink) {
    return stream([&sink](std::string_view bytes) { return bytes.empty() || sink.write(bytes.data(), bytes.size()); });
  };
  if (answer.stream_bytes) {
    out.set_content_provider(static_cast<size_t>(*answer.stream_bytes), answer.content_type.c_str(),
                             [provide](size_t, size_t, httplib::DataSink& sink) { return provide(sink); });
  } else {
    out.set_chunked_content_provider(answer.content_type.c_str(), [provide](size_t, httplib::DataSink& sink) {
      const bool complete = provide(sink);
      if (complete) sink.done();
      return complete;
    });
  }
}

}  // namespace

class HttpProtocol::Engine final : public httplib::Server {
 public:
  explicit Engine(Answer answer) : answer_(std::move(answer)) {
    // The library stops streaming when it sees no listening socket; ours is elsewhere.
    svr_sock_ = 0;
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Handle(request, response);
      return HandlerResponse::Handled;
    });
    // Reached with an empty body when the library itself refused the request's head.
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty() || response.content_length_ > 0) return;
      Response problem =
          Problem(response.status, response.status == 414 ? "The request's address is over the limit of 8 KiB."
                                                          : "This is no well-formed HTTP/1.1 request.");
      response.set_content(problem.body, problem.content_type.c_str());
      response.set_header("Connection", "close");
    });
  }
  ~Engine() override { svr_sock_ = INVALID_SOCKET; }

  bool Process(Connection& connection, bool close_after) {
    Current current{connection, connection.head(), connection.head().has_body()};
    ConnectionStream stream(connection, current.head.bytes);
    current_ = &current;
    bool closed = close_after;
    const bool served = Call(*this, stream, close_after, closed, [](httplib::Request& request) {
      request.headers.erase("Accept-Encoding");  // a compressed stream would hold back what should be seen at once
    });
    current_ = nullptr;
    // What follows a request that the library refused cannot be told from its rest: it is never read as a new one.
    return served && !closed && !current.body_left && current.understood;
  }

 private:
  // The request that a thread serves.
  struct Current {
    Connection& connection;
    const RequestHead head;
    bool body_left;
    bool understood = false;
  };

  // The library's entry point took the addresses from the stream in 0.11 and takes them as arguments in 0.18.
  template <typename Self, typename Prepare>
  static bool Call(Self& self, ConnectionStream& stream, bool close_after, bool& closed, Prepare prepare) {
    const std::function<void(httplib::Request&)> setup = prepare;
    const std::string none;
    if constexpr (requires { self.process_request(stream, none, 0, none, 0, close_after, closed, setup); }) {
      return self.process_request(stream, none, 0, none, 0, close_after, closed, setup);
    } else {
      return self.process_request(stream, close_after, closed, setup);
    }
  }

  void Handle(const httplib::Request& in, httplib::Response& out) {
    Arrival arrival{
        .request = {}, .connection = current_->connection, .head = current_->head, .body_left = current_->body_left};
    arrival.request.method = in.method;
    arrival.request.path = in.target;
    for (const auto& [name, value] : in.headers)
      arrival.request.headers.emplace(name == kHiddenRange ? "Range" : name, value);
    current_->understood = true;
    Response answer = answer_(arrival);
    current_->body_left = arrival.body_left;
    if (arrival.body_left) answer.headers.emplace_back("Connection", "close");
    FillAnswer(std::move(answer), out);
  }

  const Answer answer_;
  static thread_local Current* current_;
};

thread_local HttpProtocol::Engine::Current* HttpProtocol::Engine::current_ = nullptr;

HttpProtocol::HttpProtocol(Answer answer) : engine_(std::make_unique<Engine>(std::move(answer))) {}
HttpProtocol::~HttpProtocol() = default;

bool HttpProtocol::ServeOne(Connection& connection, bool keep_alive) const {
  return engine_->Process(connection, !keep_alive);
}

}  // namespace ratchet::daemon
