#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "serving/http_messages.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

struct HttpLimits {
  std::uint64_t body_bytes = 64u << 20;
  std::uint32_t header_bytes = 16u << 10;
  std::chrono::milliseconds idle{60'000};  // between requests
  std::chrono::milliseconds header_read{10'000};
  std::chrono::milliseconds body_read{30'000};
  std::chrono::milliseconds answer_write{60'000};
  int connections = 4096;
};

struct HttpAddress {
  std::string host;
  std::uint16_t port = 0;
  bool shared = false;  // with other processes that say so, too: the kernel deals connections out among them
};
// "127.0.0.1:7301", "[::1]:0", "localhost:80".
Result<HttpAddress> ParseAddress(const std::string& text);

// HTTP/1.1 on a port: keep-alive, pipelining, chunked bodies, `Expect: 100-continue`. A slow or idle client costs a
// socket and nothing else.
class HttpServer {
 public:
  // Listens and answers from when this returns, with `threads` threads. kConflict when the port is taken. Port 0 takes
  // any. `handler` and `metrics` outlive the server.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpAddress& address, int threads, HttpLimits limits,
                                                   HttpHandler& handler, ServeMetrics& metrics);
  virtual ~HttpServer() = default;  // closes everything at once

  // Where it listens, with the real port: "127.0.0.1:7301".
  virtual std::string Address() const = 0;
  virtual std::uint16_t Port() const = 0;
  // No new connections; idle ones are closed, others after the answer under way.
  virtual void BeginStop() = 0;
  // True when no connection is left, which it waits for.
  virtual bool WaitStopped(std::chrono::milliseconds wait) = 0;
};

}  // namespace ratchet::serving
