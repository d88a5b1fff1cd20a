#pragma once

#include <cstddef>
#include <cstdint>

namespace ratchet::daemon {

// Every bound of the control plane's HTTP server, in one place.
//
// The rule that keeps slow clients from taking every thread: a thread waits for its client only while its request holds
// a place among `streams`, `uploads` or `downloads`, and these together are fewer than `threads`. A
// request that is here wholly and whose answer the socket takes at once (health, rollback) holds none and so finds a
// thread, however many slow clients there are. Within its place a client must keep a least rate; of a stream, which
// may have little to say for long, it must only take something now and then. Of streams and downloads a quarter is kept
// for operators' requests: replicas that sync and fetch bundle files.
struct HttpLimits {
  size_t connections = 512;  // open at once; beyond it the one that has waited longest without a request goes
  int threads = 80;          // requests in work at once; beyond it new ones get 503
  int streams = 32;          // of these, long-lived answers (events, logs, replicas); beyond it 503
  int uploads = 16;          // of these, requests that took a thread before their body was here; beyond it 503
  // Of these, answers over large_bytes or of unknown length: beyond it 503. A smaller answer takes a place only when
  // its client leaves the socket's buffer full, and is cut where there is none.
  int downloads = 16;
  size_t large_bytes = 512 * 1024;
  int thread_idle_ms = 5'000;         // a pool thread without work ends after this
  size_t head_bytes = 16 * 1024;      // request line and headers
  int head_ms = 10'000;               // from the first byte of a request (or the connect) to the end of its headers
  int idle_ms = 5'000;                // between two requests of one connection
  size_t gathered_bytes = 16 * 1024;  // a body up to this size is received before the request takes a thread
  int gathered_ms = 30'000;           // time for such a body
  int plain_body_ms = 30'000;         // time for a whole body that is held in memory
  int rate_window_ms = 10'000;        // a body must bring at least rate_bytes in each such window of waiting
  std::int64_t rate_bytes = 10 * 1024;
  // The client must take at least write_rate_bytes of an answer in each such window of waiting. The same rate as for
  // bodies in a longer window, because a socket whose buffers are full takes more only in lumps, each of up to some
  // 100 KB.
  int write_window_ms = 30'000;
  std::int64_t write_rate_bytes = 30 * 1024;
  int write_stall_ms = 20'000;  // of a stream the client must take some bytes within this
  int drain_ms = 2'000;         // how long what a refused client still sends is read away, so that it sees the answer
  int requests_per_connection = 10'000;
  int stop_ms = 5'000;  // requests in work at a graceful stop get this long
};

static_assert(HttpLimits{}.streams + HttpLimits{}.uploads + HttpLimits{}.downloads < HttpLimits{}.threads);

}  // namespace ratchet::daemon
