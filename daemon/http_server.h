#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/http_limits.h"
#include "daemon/http_lobby.h"
#include "daemon/http_pool.h"
#include "daemon/http_protocol.h"
#include "daemon/http_slots.h"
#include "daemon/router.h"

namespace ratchet::daemon {

// What one answered request was, for metrics and the log.
struct Served {
  const char* route = "";  // its pattern; empty where none matched
  std::string method;
  int status = 0;
  double seconds = 0;
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0 = any free one
  HttpLimits limits;
  std::function<void(const Served&)> observe;  // called by pool threads; may be empty
};

// The control plane's HTTP server: lobby, pool, protocol and routes put together. Serves from Start() to destruction.
class HttpServer {
 public:
  // Listens and serves at once. kConflict when the port is taken.
  static Result<std::unique_ptr<HttpServer>> Start(HttpOptions options, std::vector<Route> routes, const Clock& clock);
  // Stops listening, ends the streams, lets requests in work finish within limits.stop_ms, then cuts them.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return options_.port; }
  std::string address() const;  // "127.0.0.1:7300"

  struct Load {
    int threads = 0, busy = 0, streams = 0, uploads = 0, downloads = 0;
    HttpLobby::Counts lobby;
  };
  Load load() const;

 private:
  HttpServer(HttpOptions options, std::vector<Route> routes, const Clock& clock);

  const char* Take(std::unique_ptr<Connection>& connection);
  bool Submit(Connection* taken);
  void Serve(std::unique_ptr<Connection> connection);
  Response Answer(Arrival& arrival);
  Result<Response> Dispatch(Arrival& arrival, const char*& route);
  Result<Response> RunRoute(Arrival& arrival, const Route& route);
  Result<Response> CallHandler(Arrival& arrival, const Route& route, BodySource& body);
  Result<Response> RunHandler(const Request& request, const Route& route) const;
  void SkipHeldBody(Arrival& arrival) const;

  HttpOptions options_;
  const Router router_;
  const Doorkeeper doorkeeper_;
  const Clock& clock_;
  const HttpProtocol protocol_;
  std::atomic<bool> stopping_{false};
  HttpSlots streams_, uploads_, downloads_;
  std::atomic<std::uint64_t> next_request_{1};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Connection*> in_work_;  // connections that pool threads hold

  std::unique_ptr<HttpLobby> lobby_;
  std::unique_ptr<HttpPool> pool_;
};

}  // namespace ratchet::daemon
