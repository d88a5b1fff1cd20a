#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/http_head.h"
#include "daemon/http_limits.h"
#include "daemon/http_pace.h"
#include "daemon/http_slots.h"
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

  // True when the body of the request that Inspect() found is here wholly; of a chunked one that is never known.
  bool HoldsBody() const;

  // Begins a request in work: its thread may wait for the client while it holds a place, and takes one of `downloads`
  // when an answer makes it wait and it holds none. `place` may be null; `downloads` must live until EndRequest().
  void BeginRequest(HttpSlots::Place place, HttpSlots& downloads);
  // Holds another place (or none) instead.
  void Hold(HttpSlots::Place place) { place_ = std::move(place); }
  // The answer is a stream: its client needs to take only some bytes within limits().write_stall_ms.
  void ExpectStream();
  void EndRequest();

  // Waits for bytes until `deadline_us` (monotonic) and receives some. kTimeout; kInvalid when the peer has ended its
  // sending; kUnavailable when the connection broke.
  Status Wait(std::int64_t deadline_us);
  // Sends all, waiting as long as the peer keeps the least rate and there is a place to wait in; else false.
  bool Write(std::string_view bytes);
  // Sends what goes out at once; for answers nobody may wait for.
  void WriteNow(std::string_view bytes);
  // True when the peer closed or reset the connection, or ended its sending, which looks the same.
  bool PeerGone() const;

  int requests = 0;  // served so far

 private:
  bool AwaitRoom();

  const int fd_;
  const std::string peer_;
  const HttpLimits& limits_;
  const Clock& clock_;
  std::string buffer_;
  size_t taken_ = 0;
  bool ended_ = false;  // the peer has said that it sends no more
  RequestHead head_;
  HttpSlots* downloads_ = nullptr;  // while a request is in work
  HttpSlots::Place place_;
  Pace write_pace_;
};

// The body of the request whose head was just taken from the connection: by length or chunked, within a size limit, at
// no less than the limits' rate, and until a deadline. One thread.
std::unique_ptr<BodySource> MakeBodySource(Connection& connection, const RequestHead& head, std::uint64_t limit_bytes,
                                           std::int64_t deadline_us);

}  // namespace ratchet::daemon
