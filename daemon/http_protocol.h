#pragma once

#include <functional>
#include <memory>

#include "daemon/http_connection.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

// A request before its body was read, and the connection that brings it.
struct Arrival {
  Request request;
  Connection& connection;
  RequestHead head;
  bool body_left = false;  // to be cleared by whoever read the body to its end
};

// HTTP/1.1 on a connection, by cpp-httplib: reads the request's head, writes the answer. The only file that includes
// it.
class HttpProtocol {
 public:
  using Answer = std::function<Response(Arrival&)>;

  explicit HttpProtocol(Answer answer);
  ~HttpProtocol();
  HttpProtocol(const HttpProtocol&) = delete;
  HttpProtocol& operator=(const HttpProtocol&) = delete;

  // Serves the one request whose head the connection holds. True when the connection may be used for another:
  // nothing failed, `keep_alive` was set, the client wants it, and the body was read to its end. Any thread.
  bool ServeOne(Connection& connection, bool keep_alive) const;

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ratchet::daemon
