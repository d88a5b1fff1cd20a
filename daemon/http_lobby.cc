#include "daemon/http_lobby.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/problem.h"

namespace ratchet::daemon {
namespace {

constexpr int kAcceptsPerTurn = 64;

std::string PeerAddress(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  }
  return text;
}

}  // namespace

HttpLobby::HttpLobby(int listener, const HttpLimits& limits, const Clock& clock, Serve serve)
    : limits_(limits), clock_(clock), serve_(std::move(serve)), listener_(listener) {
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  thread_ = std::thread([this] { Loop(); });
}

HttpLobby::~HttpLobby() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  close(listener_);
  close(wake_);
}

void HttpLobby::Return(std::unique_ptr<Connection> connection) {
  {
    std::lock_guard lock(mutex_);
    returned_.push_back(Welcome(std::move(connection), Stage::kIdle));
  }
  Wake();
}

void HttpLobby::Dismiss(std::unique_ptr<Connection> connection) {
  shutdown(connection->fd(), SHUT_WR);
  {
    std::lock_guard lock(mutex_);
    returned_.push_back(Welcome(std::move(connection), Stage::kDraining));
  }
  Wake();
}

HttpLobby::Counts HttpLobby::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

void HttpLobby::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
}

HttpLobby::Guest HttpLobby::Welcome(std::unique_ptr<Connection> connection, Stage stage) const {
  const std::int64_t now = clock_.MonotonicUs();
  const int patience_ms = stage == Stage::kIdle      ? limits_.idle_ms
                          : stage == Stage::kReading ? limits_.head_ms
                                                     : limits_.drain_ms;
  return Guest{std::move(connection), stage, now, now + patience_ms * 1000LL};
}

void HttpLobby::Loop() {
  pthread_setname_np(pthread_self(), "http-lobby");
  std::vector<pollfd> waiting;
  for (;;) {
    if (PollGuests(waiting) < 0 && errno != EINTR) continue;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    const size_t seen = guests_.size();
    for (size_t i = 0; i < seen; ++i) {
      if (!Attend(guests_[i], waiting[i + 2].revents != 0)) guests_[i].connection = nullptr;
    }
    std::erase_if(guests_, [](const Guest& guest) { return !guest.connection; });
    if (waiting[1].revents != 0) TakeReturned();
    if (waiting[0].revents != 0) Accept();
  }
}

int HttpLobby::PollGuests(std::vector<pollfd>& waiting) {
  waiting.assign({{listener_, POLLIN, 0}, {wake_, POLLIN, 0}});
  std::int64_t next_us = clock_.MonotonicUs() + 60'000'000;
  for (const Guest& guest : guests_) {
    waiting.push_back({guest.connection->fd(), POLLIN, 0});
    next_us = std::min(next_us, guest.deadline_us);
  }
  const std::int64_t wait_us = next_us - clock_.MonotonicUs();
  return poll(waiting.data(), waiting.size(), static_cast<int>(std::max<std::int64_t>(0, (wait_us + 999) / 1000)));
}

void HttpLobby::Accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int fd = accept4(listener_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) return MakeRoom();
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (guests_.size() >= limits_.connections) MakeRoom();
    guests_.push_back(
        Welcome(std::make_unique<Connection>(fd, PeerAddress(address), limits_, clock_), Stage::kReading));
    std::lock_guard lock(mutex_);
    ++counts_.accepted;
  }
}

// Lets the connection go that has waited longest without completing a request.
void HttpLobby::MakeRoom() {
  const auto oldest = std::min_element(guests_.begin(), guests_.end(),
                                       [](const Guest& a, const Guest& b) { return a.since_us < b.since_us; });
  if (oldest == guests_.end()) return;
  guests_.erase(oldest);
  std::lock_guard lock(mutex_);
  ++counts_.dropped;
}

void HttpLobby::TakeReturned() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_, &count, sizeof count);
  std::vector<Guest> returned;
  {
    std::lock_guard lock(mutex_);
    returned.swap(returned_);
  }
  for (Guest& guest : returned) {
    // The next request may have come together with the last one.
    if (guest.stage == Stage::kIdle && !guest.connection->held().empty() && !AttendReading(guest)) continue;
    guests_.push_back(std::move(guest));
  }
}

bool HttpLobby::Attend(Guest& guest, bool readable) {
  if (readable && guest.stage == Stage::kDraining) {
    const bool open = guest.connection->Fill(256 * 1024);
    guest.connection->Take(guest.connection->held().size());
    if (!open) return false;
  } else if (readable) {
    const bool open = guest.connection->Fill(limits_.head_bytes + limits_.gathered_bytes);
    if (guest.connection->held().empty() && !open) return false;
    if (!AttendReading(guest)) return false;
    if (!open && guest.stage == Stage::kReading) return RefuseCut(guest);
    if (!open) return false;
  }
  return clock_.MonotonicUs() < guest.deadline_us || Expire(guest);
}

bool HttpLobby::AttendReading(Guest& guest) {
  if (guest.stage == Stage::kIdle) guest = Welcome(std::move(guest.connection), Stage::kReading);
  const RequestHead& head = guest.connection->Inspect();
  switch (head.state) {
    case RequestHead::State::kIncomplete:
      return true;
    case RequestHead::State::kTooLong:
      return Refuse(guest, 431, "The request's headers are over the limit of 16 KiB.");
    case RequestHead::State::kBroken:
      return Refuse(guest, 400, head.fault);
    case RequestHead::State::kComplete:
      break;
  }
  if (!guest.head_seen) guest.deadline_us = clock_.MonotonicUs() + limits_.gathered_ms * 1000LL;
  guest.head_seen = true;
  const bool gather =
      !head.chunked && !head.expects_continue && head.content_length.value_or(0) <= limits_.gathered_bytes;
  return gather && !guest.connection->HoldsBody() ? true : HandOver(guest);
}

bool HttpLobby::HandOver(Guest& guest) {
  const char* refusal = serve_(guest.connection);
  if (!refusal) return false;
  {
    std::lock_guard lock(mutex_);
    ++counts_.shed;
  }
  return Refuse(guest, 503, refusal);
}

// The client will send no more, but may still read: who closes only its sending side learns what was wrong.
bool HttpLobby::RefuseCut(Guest& guest) {
  return Refuse(guest, 400,
                guest.head_seen ? "The request's body ended early: it has fewer bytes than Content-Length."
                                : "The request ended before its headers did.");
}

bool HttpLobby::Refuse(Guest& guest, int status, const char* detail) {
  guest.connection->WriteNow(RawProblem(status, detail));
  shutdown(guest.connection->fd(), SHUT_WR);
  guest = Welcome(std::move(guest.connection), Stage::kDraining);
  guest.connection->Take(guest.connection->held().size());
  return true;
}

bool HttpLobby::Expire(Guest& guest) {
  if (guest.stage != Stage::kReading || guest.connection->held().empty()) return false;
  return Refuse(guest, 408, "The request did not come in within the time allowed. Send it faster.");
}

Result<int> ListenOn(const std::string& host, int& port) {
  const std::string name = host == "localhost" ? "127.0.0.1" : host;
  const std::string subject = host + ":" + std::to_string(port);
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(static_cast<std::uint16_t>(port));
  const bool is_v4 = inet_pton(AF_INET, name.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, name.c_str(), &v6.sin6_addr) != 1)
    return Fail(ErrorCode::kInvalid, "listen on", subject, "the host is no IP address",
                "Use one such as 127.0.0.1:7300");
  const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return FailErrno("open a socket for", subject, errno);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto* address = is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
  if (bind(fd, address, size) != 0 || listen(fd, 256) != 0) {
    const int error = errno;
    close(fd);
    if (error == EADDRINUSE)
      return Fail(ErrorCode::kConflict, "listen on", subject, "the port is taken by another program",
                  "Stop that program or choose another port with --listen");
    return FailErrno("listen on", subject, error);
  }
  getsockname(fd, address, &size);
  port = ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
  return fd;
}

}  // namespace ratchet::daemon
