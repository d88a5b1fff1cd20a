#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ratchet::cli {

// Reads the event stream of a run's log (docs/formats.md, "Control plane HTTP: shapes"), however it is cut, and knows
// where to go on after a break: each byte is handed on once. One thread.
class LogEvents {
 public:
  // Takes bytes of the log; false when nobody reads any more.
  using Taker = std::function<bool(std::string_view bytes)>;
  explicit LogEvents(Taker taker) : taker_(std::move(taker)) {}

  // False when the taker said so.
  bool Feed(std::string_view piece);
  // Before a new stream: what was read of an unfinished event comes again.
  void Restart() { held_.clear(); }

  const std::string& last_id() const { return last_id_; }  // for Last-Event-ID; empty at first
  const std::string& step() const { return step_; }        // whose log it is, once known
  bool ended() const { return ended_; }
  std::uint64_t bytes() const { return bytes_; }           // of the stream, so far

 private:
  bool TakeEvent(std::string_view text);

  Taker taker_;
  std::string held_, last_id_, step_;
  bool ended_ = false;
  std::uint64_t bytes_ = 0;
};

}  // namespace ratchet::cli
