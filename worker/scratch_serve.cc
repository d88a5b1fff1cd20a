#include "worker/scratch_serve.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "worker/confined_call.h"
#include "worker/process_watch.h"
#include "worker/step_process.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr int kTold = 3;
constexpr int kEndingMs = 1000;  // of a process that has closed its pipe
constexpr size_t kMostLineBytes = 64 << 10;

std::vector<std::string> Words(const ScratchPlan& plan) {
  return {plan.program,      "--scratch-manifest", plan.bundle.manifest,  "--scratch-model",
          plan.bundle.model, "--scratch-fd",       std::to_string(kTold), "--log-level",
          "warn"};
}

// As confined_call.cc does it: no descriptor but the streams and one pipe, nothing written, dead with its parent.
Status ShutIn(const ScratchPlan& plan, pid_t parent, int pipe) {
  if (pipe == kTold ? fcntl(kTold, F_SETFD, 0) < 0 : dup2(pipe, kTold) < 0) return FailErrno("keep", "pipe", errno);
  CloseAllBut(kTold);
  RATCHET_TRY(NarrowToWork(plan.means, {plan.step_folder, {}}));
  DieWithParent(parent);
  if (chdir(plan.step_folder.c_str()) != 0) return FailErrno("enter", plan.step_folder, errno);
  return {};
}

// What goes wrong here is told as the program would tell it.
[[noreturn]] void BecomeServe(const ScratchPlan& plan, pid_t parent, int pipe) {
  std::string why;
  if (const auto shut = ShutIn(plan, parent, pipe); !shut) why = shut.error().Message();
  if (why.empty()) {
    std::vector<std::string> words = Words(plan);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(plan.program.c_str(), arguments.data());
    why = fmt::format("{} cannot be started: {}", plan.program, strerror(errno));
  }
  const std::string line = json{{"event", "not_started"}, {"why", why}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  (void)!write(kTold, line.data(), line.size());
  _exit(127);
}

std::string HowItEnded(int status) {
  if (!WIFSIGNALED(status)) return fmt::format("with exit code {}", WEXITSTATUS(status));
  return fmt::format("by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

// How the child ended, where it does so in this time.
std::optional<int> AwaitEnd(pid_t pid, int wait_ms) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd waiting{fd, POLLIN, 0};
  if (fd >= 0) (void)poll(&waiting, 1, wait_ms);
  if (fd >= 0) close(fd);
  int status = 0;
  return waitpid(pid, &status, WNOHANG) == pid ? std::optional(status) : std::nullopt;
}

std::uint64_t PeakOf(pid_t pid) {
  const auto status = SystemFiles().Read(fmt::format("/proc/{}/status", pid), 64 << 10).value_or("");
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10) * 1024;
}

// What follows the last colon of "127.0.0.1:41234"; 0 for something else.
int PortOf(const json& told) {
  const std::string address = told.value("address", "");
  return address.starts_with("127.0.0.1:") ? std::atoi(address.c_str() + strlen("127.0.0.1:")) : 0;
}

}  // namespace

std::expected<std::unique_ptr<ScratchServe>, StepError> ScratchServe::Start(const ScratchPlan& plan) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::unexpected(FromError(FailErrno("make", "pipe", errno).error()));
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) BecomeServe(plan, parent, ends[1]);
  const int why = errno;
  close(ends[1]);
  std::unique_ptr<ScratchServe> serve(new ScratchServe);
  serve->told_ = ends[0];
  serve->pid_ = child;
  if (child < 0) return std::unexpected(FromError(FailErrno("fork", "for ratchet-serve", why).error()));
  if (auto loaded = serve->AwaitLoaded(plan); !loaded) return std::unexpected(loaded.error());
  return serve;
}

ScratchServe::~ScratchServe() {
  (void)Stop();
  if (told_ >= 0) close(told_);
}

std::expected<void, StepError> ScratchServe::AwaitLoaded(const ScratchPlan& plan) {
  const auto listening = Hear("listening", plan.start_ms);
  if (!listening) return std::unexpected(listening.error());
  port_ = PortOf(*listening);
  empty_bytes_ = listening->value("memory_bytes", std::uint64_t{0});
  if (port_ == 0) return InternalFault("the scratch ratchet-serve did not say where it listens");
  const auto loaded = Hear("loaded", plan.load_ms);
  if (!loaded) return std::unexpected(loaded.error());
  load_us_ = loaded->value("load_us", std::int64_t{0});
  return {};
}

// The next line, which has to be of this event.
std::expected<json, StepError> ScratchServe::Hear(const char* event, std::int64_t wait_ms) {
  const SystemClock clock;
  const std::int64_t deadline_us = clock.MonotonicUs() + wait_ms * 1000;
  size_t end = std::string::npos;
  while ((end = unread_.find('\n')) == std::string::npos) {
    const std::int64_t left_ms = (deadline_us - clock.MonotonicUs()) / 1000;
    pollfd waiting{told_, POLLIN, 0};
    if (left_ms <= 0) return std::unexpected(Silent(event, false));
    if (poll(&waiting, 1, static_cast<int>(left_ms)) < 0 && errno != EINTR) return std::unexpected(Silent(event, true));
    char bytes[4096];
    const ssize_t got = read(told_, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0 || unread_.size() > kMostLineBytes) return std::unexpected(Silent(event, true));
    unread_.append(bytes, static_cast<size_t>(got));
  }
  const json told = json::parse(unread_.substr(0, end), nullptr, false);
  unread_.erase(0, end + 1);
  if (!told.is_object()) return InternalFault("the scratch ratchet-serve told what is not understood");
  const json said = told.value("event", json()), why = told.value("why", json());
  if (said == event) return told;
  const std::string reason = why.is_string() ? why.get<std::string>() : "it did not say why";
  if (said == "failed")
    return UserFault("the candidate cannot be served: " + reason, "Make model.pt and its signature agree; see \"Bundle\" in docs/formats.md.");
  return InternalFault("the scratch ratchet-serve did not start: " + reason);
}

StepError ScratchServe::Silent(const char* event, bool in_time) {
  const bool loading = std::string_view(event) == "loaded";
  const std::string what = loading ? "loaded the candidate" : "begun to listen";
  if (!in_time)
    return {ErrorClass::kTimeout, "the scratch ratchet-serve has not " + what + " in time",
            loading ? "What serves it could not be ready in time either." : "", json::object()};
  const auto status = AwaitEnd(pid_, kEndingMs);
  if (!status) return {ErrorClass::kInternal, "the scratch ratchet-serve fell silent before it had " + what, "", json::object()};
  NoteEnd(*status);
  const std::string message = "the scratch ratchet-serve ended " + ended_ + " before it had " + what;
  const std::string hint = "Its last words are in the step's log.";
  if (loading && IsOwnDoing(ended_signal_)) return {ErrorClass::kUser, "the candidate crashes what serves it: " + message, hint, json::object()};
  return {ended_signal_ != 0 ? ErrorClass::kSignal : ErrorClass::kInternal, message, hint, json::object()};
}

void ScratchServe::NoteEnd(int status) {
  pid_ = -1;
  ended_ = HowItEnded(status);
  if (WIFSIGNALED(status)) ended_signal_ = WTERMSIG(status);
}

std::uint64_t ScratchServe::PeakBytes() const { return pid_ < 0 ? 0 : PeakOf(pid_); }

std::string ScratchServe::Ended(int wait_ms) {
  if (pid_ < 0) return ended_;
  const auto status = AwaitEnd(pid_, wait_ms);
  if (!status) return {};
  NoteEnd(*status);
  return ended_;
}

bool ScratchServe::Stop() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    ended_ = "when the step was done with it";
  }
  return EndAllChildren();
}

}  // namespace ratchet::worker
