#include "worker/confined_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "worker/process_watch.h"
#include "worker/step_process.h"

// A message on the pipe is its length (four bytes, of this machine) and CBOR, which carries numbers and bytes exactly:
// {"told":…}, and as the last one {"outcome":…} or {"error":[class, message, hint, details]}.
namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr std::uint32_t kMostMessageBytes = 64u << 20;
constexpr int kPipe = 3;

bool WriteAll(const void* data, size_t size) {
  for (const char* at = static_cast<const char*>(data); size > 0;) {
    const ssize_t written = write(kPipe, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

// How long the child is listened to.
class Patience {
 public:
  explicit Patience(std::optional<std::int64_t> most_ms) {
    if (most_ms) until_us_ = SystemClock().MonotonicUs() + *most_ms * 1000;
  }
  // Until there is something to read or the pipe has ended; false: too late.
  bool Await(int pipe) {
    while (until_us_) {
      const std::int64_t left_ms = (*until_us_ - SystemClock().MonotonicUs() + 999) / 1000;
      pollfd waiting{pipe, POLLIN, 0};
      exhausted_ = left_ms <= 0;
      if (exhausted_) return false;
      if (poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left_ms, kMostWaitMs))) > 0) break;
    }
    return true;
  }
  bool exhausted() const { return exhausted_; }

 private:
  static constexpr std::int64_t kMostWaitMs = 3'600'000;
  std::optional<std::int64_t> until_us_;
  bool exhausted_ = false;
};

bool ReadAll(int pipe, void* data, size_t size, Patience& patience) {
  for (char* at = static_cast<char*>(data); size > 0;) {
    if (!patience.Await(pipe)) return false;
    const ssize_t got = read(pipe, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

void Send(const json& message) {
  const auto bytes = json::to_cbor(message);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  if (bytes.size() > kMostMessageBytes || !WriteAll(&size, sizeof size) || !WriteAll(bytes.data(), size)) _exit(1);
}

// Discarded: the pipe ended, patience did, or what came is no message.
json Receive(int pipe, Patience& patience) {
  std::uint32_t size = 0;
  if (!ReadAll(pipe, &size, sizeof size, patience) || size > kMostMessageBytes) return json(json::value_t::discarded);
  std::vector<std::uint8_t> bytes(size);
  if (!ReadAll(pipe, bytes.data(), size, patience)) return json(json::value_t::discarded);
  return json::from_cbor(bytes, true, false);
}

// Descriptors are closed because with a mount namespace /proc/self/fd leads by them to what is read-only by its path,
// and the folder is entered anew for the same reason.
Status ShutIn(const ConfinedCall& call, pid_t parent, int pipe) {
  if (dup2(pipe, kPipe) < 0) return FailErrno("keep", "pipe", errno);
  if (syscall(SYS_close_range, kPipe + 1, ~0u, 0u) != 0)
    for (int fd = kPipe + 1; fd < 65536; ++fd) close(fd);  // a kernel before 5.9
  RATCHET_TRY(NarrowToWork(call.means, {call.step_folder, {}}));
  DieWithParent(parent);
  if (chdir(call.step_folder.c_str()) != 0) return FailErrno("enter", call.step_folder, errno);
  return {};
}

[[noreturn]] void BeConfined(const ConfinedCall& call, pid_t parent, int pipe) {
  const auto shut = ShutIn(call, parent, pipe);
  const auto outcome = shut ? call.work([](const json& told) {
    Send({{"told", told}});
  })
                            : StepOutcome(std::unexpected(FromError(shut.error())));
  std::fflush(nullptr);
  if (outcome) Send({{"outcome", *outcome}});
  if (!outcome) {
    const auto& error = outcome.error();
    Send({{"error", {static_cast<int>(error.error_class), error.message, error.hint, error.details}}});
  }
  _exit(0);
}

StepError ReadError(const json& told) {
  StepError error{ErrorClass::kInternal, told.at(1), told.at(2), told.at(3)};
  const int number = told.at(0);
  for (const auto one : {ErrorClass::kUser, ErrorClass::kOutOfMemory, ErrorClass::kTimeout, ErrorClass::kDiskQuota})
    if (number == static_cast<int>(one)) error.error_class = one;
  return error;
}

// The child's last word, or nothing when it ended without one, or is still to say it.
std::optional<StepOutcome> Listen(const ConfinedCall& call, int pipe, Patience& patience) {
  for (;;) {
    const auto message = Receive(pipe, patience);
    if (!message.is_object()) return std::nullopt;
    if (message.contains("outcome")) return StepOutcome(std::in_place, message["outcome"]);
    if (message.contains("error")) return StepOutcome(std::unexpected(ReadError(message["error"])));
    if (call.hear) call.hear(message.at("told"));
  }
}

std::unexpected<StepError> EndedSilently(int status) {
  if (!WIFSIGNALED(status)) return InternalFault("the process that ran the model ended without a word");
  const int number = WTERMSIG(status);
  return std::unexpected(
      StepError{number == SIGXCPU ? ErrorClass::kTimeout : ErrorClass::kSignal,
                fmt::format("the process that ran the model was ended by signal {} ({})", number, strsignal(number)),
                "", json::object(), number});
}

std::unexpected<StepError> TooLate(std::int64_t most_ms) {
  return std::unexpected(StepError{ErrorClass::kTimeout,
                                   fmt::format("the process that ran the model was not done after {} ms", most_ms), "", json::object()});
}

// Whatever is thrown here by a message that is not what it should be, the child does not outlive it.
std::optional<StepOutcome> ListenSafely(const ConfinedCall& call, int pipe, Patience& patience) {
  try {
    return Listen(call, pipe, patience);
  } catch (const json::exception& fault) {
    return InternalFault(fmt::format("the process that ran the model told what is not understood: {}", fault.what()));
  }
}

}  // namespace

bool IsOwnDoing(int signal) {
  constexpr int kOwn[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
  return std::ranges::find(kOwn, signal) != std::end(kOwn);
}

StepOutcome CallConfined(const ConfinedCall& call) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(FromError(FailErrno("make", "pipe", errno).error()));
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) BeConfined(call, parent, ends[1]);
  const int why = errno;
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return std::unexpected(FromError(FailErrno("fork", "for the model", why).error()));
  }
  Patience patience(call.most_ms);
  auto outcome = ListenSafely(call, ends[0], patience);
  close(ends[0]);
  if (outcome || patience.exhausted()) kill(child, SIGKILL);  // it has nothing more to say, or nobody listens
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!EndAllChildren()) return InternalFault("the processes that the model left behind cannot be ended");
  if (outcome) return std::move(*outcome);
  return patience.exhausted() ? StepOutcome(TooLate(*call.most_ms)) : StepOutcome(EndedSilently(status));
}

}  // namespace ratchet::worker
