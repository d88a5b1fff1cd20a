// What comes over a connection, into the real server on loopback: each input is all that one client sends. Limits are small,
// so that they are met.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serving/http_server.h"
#include "tests/fuzz/fuzz_input.h"

using namespace ratchet;
using namespace ratchet::serving;

namespace {

constexpr HttpLimits kSmallLimits{.body_bytes = 4096, .header_bytes = 1024};
constexpr int kLongestAnswerMs = 20'000;

// Answers with what it was asked, so that the answer's framing is tried, too.
class Mirror final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::function<void(HttpResponse)> respond) override {
    fuzz::Expect(request.body.size() <= kSmallLimits.body_bytes, "no body is over the limit");
    fuzz::Expect(request.path.find('?') == std::string::npos, "the path comes without its query");
    size_t header_bytes = 0;
    for (const auto& [name, value] : request.headers) header_bytes += name.size() + value.size();
    fuzz::Expect(header_bytes <= kSmallLimits.header_bytes, "no header is over the limit");
    respond({.status = request.Header("x-status") ? 503 : 200, .body = request.method + request.path + request.body});
  }
};

HttpServer& Server() {
  static ServeMetrics metrics;
  static Mirror mirror;
  static const std::unique_ptr<HttpServer> server = std::move(*HttpServer::Start({"127.0.0.1", 0}, 1, kSmallLimits, mirror, metrics));
  return *server;
}

int Connect(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  fuzz::Expect(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "the server takes connections");
  const linger at_once{.l_onoff = 1, .l_linger = 0};  // else thousands of closed ports would wait
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  const int fd = Connect(Server().Port());
  if (size > 0) send(fd, data, size, MSG_NOSIGNAL);
  shutdown(fd, SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (;;) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    fuzz::Expect(poll(&waiting, 1, kLongestAnswerMs) == 1, "the server answers or closes");
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  fuzz::Expect(answer.empty() || answer.starts_with("HTTP/1."), "an answer is HTTP");
  return 0;
}
