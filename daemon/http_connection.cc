#include "daemon/http_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace ratchet::daemon {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;
constexpr size_t kMaxChunkLine = 1024;
// A socket says that it can be written to only when a third of its buffer is free, which a slow client may take long to
// bring about; it takes bytes before. So it is tried this often.
constexpr std::int64_t kTryAgainUs = 1'000'000;

int WaitMs(std::int64_t until_us, std::int64_t now_us) {
  return static_cast<int>(std::clamp<std::int64_t>((until_us - now_us + 999) / 1000, 0, 60'000));
}

std::unexpected<Error> TooSlow() {
  return Fail(ErrorCode::kTimeout, "read the request body", "", "it came in too slowly",
              "Send it faster; the limits are in the documentation of the API");
}

std::unexpected<Error> EndedEarly() {
  return Fail(ErrorCode::kInvalid, "read the request body", "", "it ended early: the client sent no more",
              "Send as many bytes as the headers say, or end the last chunk");
}

}  // namespace

Connection::Connection(int fd, std::string peer, const HttpLimits& limits, const Clock& clock)
    : fd_(fd),
      peer_(std::move(peer)),
      limits_(limits),
      clock_(clock),
      write_pace_(limits.write_window_ms, limits.write_rate_bytes) {}

Connection::~Connection() { close(fd_); }

bool Connection::Fill(size_t most) {
  while (held().size() < most) {
    const size_t want = std::min(most - held().size(), kReceiveBytes);
    const size_t before = buffer_.size();
    buffer_.resize(before + want);
    const ssize_t got = recv(fd_, buffer_.data() + before, want, MSG_DONTWAIT);
    buffer_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) continue;
    if (got < 0 && errno == EINTR) continue;
    ended_ = got == 0;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  return true;
}

void Connection::Take(size_t bytes) {
  taken_ += bytes;
  if (taken_ < buffer_.size() && taken_ < kReceiveBytes) return;
  buffer_.erase(0, taken_);
  taken_ = 0;
  if (buffer_.empty()) buffer_.shrink_to_fit();
}

const RequestHead& Connection::Inspect() {
  head_ = InspectHead(held(), limits_.head_bytes);
  return head_;
}

bool Connection::HoldsBody() const {
  return !head_.chunked && held().size() >= head_.bytes + head_.content_length.value_or(0);
}

void Connection::BeginRequest(HttpSlots::Place place, HttpSlots& downloads) {
  place_ = std::move(place);
  downloads_ = &downloads;
  write_pace_ = Pace(limits_.write_window_ms, limits_.write_rate_bytes);
}

void Connection::ExpectStream() { write_pace_ = Pace(limits_.write_stall_ms, 1); }

void Connection::EndRequest() {
  place_ = nullptr;
  downloads_ = nullptr;
}

Status Connection::Wait(std::int64_t deadline_us) {
  const size_t before = held().size();
  for (;;) {
    pollfd waiting{fd_, POLLIN, 0};
    const int ready = poll(&waiting, 1, WaitMs(deadline_us, clock_.MonotonicUs()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 && clock_.MonotonicUs() >= deadline_us) return TooSlow();
    if (ready == 0) continue;
    const bool open = Fill(before + kReceiveBytes);
    if (held().size() > before) return {};
    if (open) continue;
    if (ended_) return EndedEarly();
    return Fail(ErrorCode::kUnavailable, "read the request body", "", "the connection broke");
  }
}

bool Connection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
      write_pace_.Moved(sent);
    } else if (errno != EINTR) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      if (!AwaitRoom()) return false;
    }
  }
  return true;
}

// Waits a while for the peer to take what the socket holds; false when it must not wait.
bool Connection::AwaitRoom() {
  if (!place_ && downloads_) place_ = downloads_->Take(downloads_->limit() / 4);
  const std::int64_t began_us = clock_.MonotonicUs();
  if (!place_ || write_pace_.patience_us() <= 0) return false;
  pollfd waiting{fd_, POLLOUT, 0};
  poll(&waiting, 1, WaitMs(began_us + std::min(write_pace_.patience_us(), kTryAgainUs), began_us));
  write_pace_.Waited(clock_.MonotonicUs() - began_us);
  return true;
}

void Connection::WriteNow(std::string_view bytes) {
  // A short write is lost on purpose: the answer fits any socket buffer that is not full already.
  [[maybe_unused]] const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool Connection::PeerGone() const {
  char byte;
  const ssize_t got = recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

namespace {

class ConnectionBody final : public BodySource {
 public:
  ConnectionBody(Connection& connection, const RequestHead& head, std::uint64_t limit_bytes, std::int64_t deadline_us)
      : connection_(connection),
        chunked_(head.chunked),
        left_(head.chunked ? 0 : head.content_length.value_or(0)),
        limit_(limit_bytes),
        deadline_us_(deadline_us),
        pace_(connection.limits().rate_window_ms, connection.limits().rate_bytes),
        at_end_(!head.has_body()) {}

  Result<size_t> Read(char* into, size_t size) override {
    if (at_end_ || size == 0) return 0;
    if (left_ == 0 && chunked_) RATCHET_TRY(NextChunk());
    if (at_end_) return 0;
    if (connection_.held().empty()) RATCHET_TRY(Receive());
    const std::string_view held = connection_.held();
    const size_t take = static_cast<size_t>(std::min<std::uint64_t>({held.size(), size, left_}));
    std::copy_n(held.data(), take, into);
    connection_.Take(take);
    left_ -= take;
    total_ += take;
    if (left_ == 0 && !chunked_) at_end_ = true;
    if (total_ > limit_) return TooLarge();
    return take;
  }

 private:
  std::unexpected<Error> TooLarge() const {
    return Fail(ErrorCode::kTooLarge, "read the request body", "",
                "it is over the limit of " + std::to_string(limit_) + " bytes", "Send less at once");
  }

  // Waits for more bytes, but never past the deadline nor below the least rate.
  Status Receive() {
    const size_t before = connection_.held().size();
    const std::int64_t began_us = connection_.clock().MonotonicUs();
    RATCHET_TRY(connection_.Wait(std::min(deadline_us_, began_us + pace_.patience_us())));
    pace_.Waited(connection_.clock().MonotonicUs() - began_us);
    pace_.Moved(static_cast<std::int64_t>(connection_.held().size() - before));
    return pace_.patience_us() > 0 ? Status() : TooSlow();
  }

  Result<std::string> Line() {
    for (;;) {
      const std::string_view held = connection_.held();
      const size_t end = held.find("\r\n");
      if (end != std::string_view::npos) {
        std::string line(held.substr(0, end));
        connection_.Take(end + 2);
        return line;
      }
      if (held.size() > kMaxChunkLine) return Broken("a chunk's size line is too long");
      RATCHET_TRY(Receive());
    }
  }

  Status NextChunk() {
    if (!first_) {
      RATCHET_ASSIGN(const std::string end, Line());
      if (!end.empty()) return Broken("a chunk is longer than its size says");
    }
    first_ = false;
    RATCHET_ASSIGN(const std::string line, Line());
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
    if (error != std::errc() || (*end != '\0' && *end != ';' && *end != ' '))
      return Broken("a chunk's size is no number");
    if (left_ > limit_ - std::min(total_, limit_)) return TooLarge();
    if (left_ > 0) return {};
    for (size_t trailers = 0;; ++trailers) {
      RATCHET_ASSIGN(const std::string trailer, Line());
      if (trailer.empty()) break;
      if (trailers > 16) return Broken("too many trailers");
    }
    at_end_ = true;
    return {};
  }

  static std::unexpected<Error> Broken(const char* why) {
    return Fail(ErrorCode::kInvalid, "read the request body", "", why, "Send a well-formed HTTP/1.1 body");
  }

  Connection& connection_;
  const bool chunked_;
  std::uint64_t left_;  // of the body, or of the chunk at hand
  const std::uint64_t limit_;
  std::uint64_t total_ = 0;
  const std::int64_t deadline_us_;
  Pace pace_;
  bool at_end_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<BodySource> MakeBodySource(Connection& connection, const RequestHead& head, std::uint64_t limit_bytes,
                                           std::int64_t deadline_us) {
  return std::make_unique<ConnectionBody>(connection, head, limit_bytes, deadline_us);
}

}  // namespace ratchet::daemon
