#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/api.h"

namespace ratchet::daemon {

// Which part of whose log.
struct LogPlace {
  std::int64_t run = 0;
  std::string step;
  std::int64_t attempt = 0;  // from 1; 0 = none has begun
  std::uint64_t offset = 0;  // of the attempt's whole stream, in bytes
  bool one_attempt = false;  // asked for by number: later ones are not gone on to
};

enum class LogForm { kText, kEvents };
enum class Follow { kNo, kYes };

// Sends a step's log from a place on: as plain text, or as server-sent events (docs/formats.md, "Logs"). Followed, it
// goes on until the step has ended, from attempt to attempt; what a step writes is sent within kLogPause. One thread.
class LogSender {
 public:
  LogSender(Api& api, LogPlace place, LogForm form, std::function<bool()> abandoned)
      : api_(api), place_(std::move(place)), form_(form), abandoned_(std::move(abandoned)) {}

  // False when the client has gone.
  bool Run(const Send& send, Follow follow);

 private:
  enum class Progress { kRunning, kNext, kOver };
  Progress Look();
  bool SendNew(const Send& send);
  bool SendPiece(const Send& send, std::uint64_t from, std::string bytes);
  bool SendNextAttempt(const Send& send);
  bool SendHeartbeat(const Send& send);
  bool SendHeld(const Send& send);
  bool SendEnd(const Send& send);
  std::string Id() const;  // the place as an event's id

  Api& api_;
  LogPlace place_;
  const LogForm form_;
  const std::function<bool()> abandoned_;
  std::string held_;  // first bytes of a character whose rest has not been read yet; before place_.offset
  std::string state_;
  std::int64_t heartbeat_us_ = 0;
};

}  // namespace ratchet::daemon
