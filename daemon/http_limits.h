#pragma once

#include <cstddef>
#include <cstdint>

namespace ratchet::daemon {

// Every bound of the control plane's HTTP server, in one place.
struct HttpLimits {
  size_t connections = 512;           // open at once; beyond it the one that has waited longest without a request goes
  int threads = 64;                   // requests in work at once; beyond it new ones get 503
  int streams = 32;                   // of these, long-lived answers (events, followed logs, replicas); beyond it 503
  int thread_idle_ms = 5'000;         // a pool thread without work ends after this
  size_t head_bytes = 16 * 1024;      // request line and headers
  int head_ms = 10'000;               // from the first byte of a request (or the connect) to the end of its headers
  int idle_ms = 5'000;                // between two requests of one connection
  size_t gathered_bytes = 16 * 1024;  // a body up to this size is received before the request takes a thread
  int gathered_ms = 30'000;           // time for such a body
  int plain_body_ms = 30'000;         // time for a whole body that is held in memory
  int rate_window_ms = 10'000;        // a body must bring at least rate_bytes in each such window
  std::int64_t rate_bytes = 10 * 1024;
  int write_stall_ms = 20'000;  // the client must take some bytes of an answer within this
  int drain_ms = 2'000;         // how long what a refused client still sends is read away, so that it sees the answer
  int requests_per_connection = 10'000;
  int stop_ms = 5'000;  // requests in work at a graceful stop get this long
};

}  // namespace ratchet::daemon
