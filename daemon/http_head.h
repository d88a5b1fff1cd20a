#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ratchet::daemon {

// What the bytes received so far say about the next request. Pure; any thread.
struct RequestHead {
  enum class State {
    kIncomplete,  // more bytes are needed
    kTooLong,     // over the limit for a head
    kBroken,      // no HTTP request that this server takes; `fault` says why
    kComplete,
  };
  State state = State::kIncomplete;
  const char* fault = "";
  size_t bytes = 0;                             // of the head, with the empty line that ends it
  std::optional<std::uint64_t> content_length;  // absent when the request does not say
  bool chunked = false;
  bool expects_continue = false;
  bool has_host = false;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

// Finds the end of the head and reads its framing headers strictly: two meanings are an error, never a guess.
RequestHead InspectHead(std::string_view received, size_t limit_bytes);

}  // namespace ratchet::daemon
