#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/http_connection.h"
#include "daemon/http_limits.h"

namespace ratchet::daemon {

// Where connections are while nothing is to be done for them: one thread accepts, gathers heads and small bodies, lets
// idle connections go, and hands each request that is complete enough to whoever serves. So a client that is slow or
// silent costs a socket, never a thread.
class HttpLobby {
 public:
  // Takes over a connection whose next request can be served. Called on the lobby's thread, must return at once. Else
  // (connection untouched) says why, and the request is shed with 503.
  using Serve = std::function<const char*(std::unique_ptr<Connection>&)>;  // null = taken over

  // Takes over a listening socket.
  HttpLobby(int listener, const HttpLimits& limits, const Clock& clock, Serve serve);
  ~HttpLobby();
  HttpLobby(const HttpLobby&) = delete;
  HttpLobby& operator=(const HttpLobby&) = delete;

  // Gives a connection back for its next request. Any thread.
  void Return(std::unique_ptr<Connection> connection);
  // Lets the client read the answer that was sent, then closes. Any thread.
  void Dismiss(std::unique_ptr<Connection> connection);

  struct Counts {
    std::uint64_t accepted = 0, shed = 0, dropped = 0;
  };
  Counts counts() const;

 private:
  enum class Stage { kIdle, kReading, kDraining };
  struct Guest {
    std::unique_ptr<Connection> connection;
    Stage stage = Stage::kReading;
    std::int64_t since_us = 0;
    std::int64_t deadline_us = 0;
    bool head_seen = false;
  };

  void Loop();
  int PollGuests(std::vector<pollfd>& waiting);
  void Accept();
  void MakeRoom();
  void TakeReturned();
  // False when the guest is done with.
  bool Attend(Guest& guest, bool readable);
  bool AttendReading(Guest& guest);
  bool HandOver(Guest& guest);
  bool RefuseCut(Guest& guest);
  bool Refuse(Guest& guest, int status, const char* detail);
  bool Expire(Guest& guest);
  Guest Welcome(std::unique_ptr<Connection> connection, Stage stage) const;
  void Wake();

  const HttpLimits& limits_;
  const Clock& clock_;
  const Serve serve_;
  const int listener_;
  int wake_ = -1;
  std::vector<Guest> guests_;  // of the lobby's thread

  mutable std::mutex mutex_;
  std::vector<Guest> returned_;
  Counts counts_;
  bool stopping_ = false;
  std::thread thread_;
};

// A listening socket on host:port (port 0: any free one); `port` is set to the real one. kConflict when another program
// listens there; kInvalid when the host is no address of this machine.
Result<int> ListenOn(const std::string& host, int& port);

}  // namespace ratchet::daemon
