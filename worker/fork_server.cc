#include "worker/fork_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "worker/process_watch.h"
#include "worker/running_step.h"
#include "worker/step_process.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr size_t kMaxPacketBytes = 64 << 10;
constexpr size_t kMaxUnsentPackets = 4096;
constexpr long kWatchEveryNs = 100'000'000;
constexpr std::int64_t kLastWaitUs = 3'000'000;

// Which processes are ours: the steps, by pid, and nobody else.
class ForkServer {
 public:
  ForkServer(const ForkServerOptions& options, const Clock& clock) : options_(options), clock_(clock) {}
  ~ForkServer() {
    if (signal_fd_ >= 0) close(signal_fd_);
    if (timer_fd_ >= 0) close(timer_fd_);
  }
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  int Serve();

 private:
  bool Open();
  bool HandleControl();
  bool HandleSignals();
  bool HandlePacket(const std::string& packet);
  void Start(const std::string& id, const std::string& folder);
  Result<StepSpec> Admit(const std::string& id, const std::string& folder) const;
  void Launch(const std::string& id, StepSpec spec);
  [[noreturn]] void RunChild(const StepSpec& spec, pid_t server, int output_fd, bool limit_address_space) const;
  void Refuse(const std::string& id, const StepError& error);
  void Reap();
  void Finish(size_t index, int status, const rusage& used);
  void SweepOrphans() const;
  void Watch();
  void ArmTimer();
  void Send(const json& packet);
  void Flush();
  void EndAll();

  const ForkServerOptions& options_;
  const Clock& clock_;
  std::optional<CgroupParent> cgroups_;
  std::vector<std::unique_ptr<RunningStep>> steps_;
  std::deque<std::string> unsent_;
  int signal_fd_ = -1;
  int timer_fd_ = -1;
  bool timer_armed_ = false;
  bool daemon_gone_ = false;
  int cgroup_count_ = 0;
};

bool ForkServer::Open() {
  // The daemon may end while a packet is on its way, and a terminal's Ctrl-C is the daemon's to answer.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signal_fd_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  // Orphans of a step that died come to us to be ended; see SweepOrphans.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  fcntl(options_.control_fd, F_SETFD, FD_CLOEXEC);
  if (const auto place = FindOwnCgroup()) {
    if (auto parent = CgroupParent::Take(place->root, place->own, getpid())) cgroups_ = std::move(*parent);
  }
  return signal_fd_ >= 0 && timer_fd_ >= 0;
}

int ForkServer::Serve() {
  if (!Open()) return 1;
  Send(options_.ready);
  for (bool serving = true; serving && !daemon_gone_;) {
    const short control_events = static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT);
    std::vector<pollfd> polled{
        {options_.control_fd, control_events, 0}, {signal_fd_, POLLIN, 0}, {timer_fd_, POLLIN, 0}};
    for (const auto& step : steps_) polled.push_back({step->log_pipe(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    // Logs first: the list of steps is as it was polled until a packet or a signal is handled.
    for (size_t i = 0; i < steps_.size(); ++i)
      if (polled[i + 3].revents != 0) steps_[i]->DrainLog(options_.log_limit_bytes);
    if (polled[2].revents != 0) Watch();
    if (polled[1].revents != 0) serving = HandleSignals();
    if (serving && (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) serving = HandleControl();
    Flush();
  }
  EndAll();
  return 0;
}

bool ForkServer::HandleControl() {
  std::string packet(kMaxPacketBytes, '\0');
  const ssize_t size = recv(options_.control_fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  if (static_cast<size_t>(size) > kMaxPacketBytes) {
    spdlog::error("a packet of {} bytes is over the limit of {}", size, kMaxPacketBytes);
    return true;
  }
  packet.resize(static_cast<size_t>(size));
  try {
    return HandlePacket(packet);
  } catch (const json::exception& fault) {
    spdlog::error("a packet that is none: {}", fault.what());
    return true;
  }
}

bool ForkServer::HandlePacket(const std::string& text) {
  const auto packet = json::parse(text);
  const auto op = packet.at("op").get<std::string>();
  const auto id = packet.at("id").get<std::string>();
  if (op == "start") {
    Start(id, packet.at("folder").get<std::string>());
  } else if (op == "kill") {
    const auto why = packet.value("class", "cancelled") == "timeout" ? ErrorClass::kTimeout : ErrorClass::kCancelled;
    for (const auto& step : steps_)
      if (step->id() == id) step->Kill(why, packet.value("message", ""));
  } else {
    spdlog::error("an unknown operation: {}", op);
  }
  return true;
}

void ForkServer::Start(const std::string& id, const std::string& folder) {
  auto spec = Admit(id, folder);
  if (!spec) return Refuse(id, FromError(spec.error()));
  Launch(id, std::move(*spec));
}

Result<StepSpec> ForkServer::Admit(const std::string& id, const std::string& folder) const {
  if (std::ranges::any_of(steps_, [&](const auto& step) { return step->id() == id; }))
    return Fail(ErrorCode::kConflict, "start step", id, "it runs already");
  if (steps_.size() >= kMaxRunningSteps)
    return Fail(ErrorCode::kOverloaded, "start step", id, "too many steps run already", "Start it when one has ended.");
  if (access((folder + "/result.json").c_str(), F_OK) == 0)
    return Fail(ErrorCode::kConflict, "start step", folder, "it has run to its end already");
  RATCHET_ASSIGN(auto spec, ReadStepSpec(folder));
  if (spec.sandbox.required && options_.sandbox == SandboxMeans::kNone)
    return Fail(ErrorCode::kDenied, "start step", id,
                "this kernel gives no means to keep a trainer away from the holdout",
                "Use a kernel with Landlock or user namespaces, or start ratchetd with --allow-unsandboxed.");
  return spec;
}

void ForkServer::Refuse(const std::string& id, const StepError& error) {
  Send({{"event", "refused"}, {"id", id}, {"error", ErrorToJson(error)}});
}

void ForkServer::Launch(const std::string& id, StepSpec spec) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Refuse(id, FromError(FailErrno("make", "log pipe", errno).error()));
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  std::unique_ptr<StepCgroup> cgroup;
  if (cgroups_) {
    const auto name = fmt::format("step-{}-{}", getpid(), ++cgroup_count_);
    if (auto made = cgroups_->Make(name, spec.limits.memory_bytes)) cgroup = std::move(*made);
  }
  std::fflush(nullptr);
  const pid_t server = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    if (cgroup != nullptr) (void)cgroup->Adopt(getpid());
    RunChild(spec, server, ends[1], cgroup == nullptr);
  }
  const int why = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return Refuse(id, FromError(FailErrno("fork", id, why).error()));
  }
  steps_.push_back(
      std::make_unique<RunningStep>(id, std::move(spec), pid, ends[0], clock_.MonotonicUs(), std::move(cgroup)));
  Send({{"event", "started"}, {"id", id}, {"pid", pid}});
  ArmTimer();
}

void ForkServer::RunChild(const StepSpec& spec, pid_t server, int output_fd, bool limit_address_space) const {
  auto ready = SetUpProcess(spec, {server, output_fd, limit_address_space});
  if (ready) ready = EnterStepSandbox(spec, options_.sandbox, server);
  int code = 1;
  if (ready) {
    code = options_.run_step(spec);
  } else {
    spdlog::error("{}", ready.error().Message());
    (void)WriteResult(spec.folder, std::unexpected(FromError(ready.error())));
  }
  std::fflush(nullptr);
  _exit(code);
}

bool ForkServer::HandleSignals() {
  signalfd_siginfo info;
  bool serving = true;
  while (read(signal_fd_, &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM) serving = false;
  Reap();
  return serving;
}

void ForkServer::Reap() {
  rusage used{};
  int status = 0;
  for (pid_t pid = 0; (pid = wait4(-1, &status, WNOHANG, &used)) > 0;) {
    const auto it = std::ranges::find_if(steps_, [&](const auto& step) { return step->pid() == pid; });
    if (it != steps_.end()) Finish(static_cast<size_t>(it - steps_.begin()), status, used);
  }
  ArmTimer();
}

void ForkServer::Finish(size_t index, int status, const rusage& used) {
  // Taken off the list first, so that what it left behind is nobody's.
  const auto step = std::move(steps_[index]);
  step->Ended();
  steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(index));
  SweepOrphans();
  for (std::uint64_t drained = 0; step->log_pipe() >= 0 && drained < 8; ++drained)
    step->DrainLog(options_.log_limit_bytes);
  Send(step->Exited(status, used));
}

// A step adopts its own orphans as long as it lives (it is a subreaper). So a child of ours that is no step was left by
// a step that is dead: a daemon of its making, in a session of its own or not.
void ForkServer::SweepOrphans() const {
  std::vector<pid_t> live;
  for (const auto& step : steps_) live.push_back(step->pid());
  if (!KillDescendants(getpid(), live)) spdlog::error("processes that a step left behind cannot be ended");
}

void ForkServer::Watch() {
  std::uint64_t ticks = 0;
  (void)!read(timer_fd_, &ticks, sizeof ticks);
  if (steps_.empty()) return;
  const auto all = ListProcesses();
  const auto now_us = clock_.MonotonicUs();
  for (const auto& step : steps_) step->CheckLimits(all, now_us);
}

void ForkServer::ArmTimer() {
  if (timer_armed_ == !steps_.empty()) return;
  timer_armed_ = !steps_.empty();
  const timespec period{0, timer_armed_ ? kWatchEveryNs : 0};
  const itimerspec timer{period, period};
  timerfd_settime(timer_fd_, 0, &timer, nullptr);
}

void ForkServer::Send(const json& packet) {
  unsent_.push_back(packet.dump(-1, ' ', false, json::error_handler_t::replace));
  Flush();
}

// A daemon that doesn't read is waited for up to a limit, and then taken for dead.
void ForkServer::Flush() {
  while (!unsent_.empty()) {
    const auto& packet = unsent_.front();
    const ssize_t sent = send(options_.control_fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) daemon_gone_ = true;
    if (daemon_gone_) break;
    unsent_.pop_front();
  }
  if (unsent_.size() > kMaxUnsentPackets) daemon_gone_ = true;
}

void ForkServer::EndAll() {
  for (const auto& step : steps_) step->Kill(ErrorClass::kCancelled, "the worker ends");
  (void)KillDescendants(getpid(), {});
  const auto deadline_us = clock_.MonotonicUs() + kLastWaitUs;
  while (!steps_.empty() && clock_.MonotonicUs() < deadline_us) {
    pollfd polled{signal_fd_, POLLIN, 0};
    poll(&polled, 1, 50);
    (void)HandleSignals();
  }
  Flush();
}

}  // namespace

int ServeSteps(const ForkServerOptions& options, const Clock& clock) { return ForkServer(options, clock).Serve(); }

}  // namespace ratchet::worker
