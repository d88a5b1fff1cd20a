#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/http_head.h"
#include "daemon/http_limits.h"
#include "daemon/http_types.h"

namespace ratchet::daemon {

// One accepted connection: its socket, the bytes received and not yet taken, and the head they begin with. Owned by one
// thread at a time (the lobby, or the pool thread that serves a request).
class Connection {
 public:
  // Takes over the socket, which must be non-blocking.
  Connection(int fd, std::string peer, const HttpLimits& limits, const Clock& clock);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  const std::string& peer() const { return peer_; }  // address without port
  const HttpLimits& limits() const { return limits_; }
  const Clock& clock() const { return clock_; }

  // Receives what is there without waiting, up to `most` bytes held. False at the end of the stream or on an error.
  bool Fill(size_t most);
  std::string_view held() const { return std::string_view(buffer_).substr(taken_); }
  void Take(size_t bytes);
  // Looks at the head of the bytes held, again after more came.
  const RequestHead& Inspect();
  const RequestHead& head() const { return head_; }

  // Waits for bytes until `deadline_us` (monotonic) and receives some. kTimeout, or kUnavailable when the peer is gone.
  Status Wait(std::int64_t deadline_us);
  // Sends all, waiting as long as the peer takes some within limits().write_stall_ms.
  bool Write(std::string_view bytes);
  // Sends what goes out at once; for answers nobody may wait for.
  void WriteNow(std::string_view bytes);
  // True when the peer closed or reset the connection.
  bool PeerGone() const;

  int requests = 0;  // served so far

 private:
  const int fd_;
  const std::string peer_;
  const HttpLimits& limits_;
  const Clock& clock_;
  std::string buffer_;
  size_t taken_ = 0;
  RequestHead head_;
};

// The body of the request whose head was just taken from the connection: by length or chunked, within a size limit, at
// no less than the limits' rate, and until a deadline. One thread.
std::unique_ptr<BodySource> MakeBodySource(Connection& connection, const RequestHead& head, std::uint64_t limit_bytes,
                                           std::int64_t deadline_us);

}  // namespace ratchet::daemon
