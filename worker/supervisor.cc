#include "worker/supervisor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "worker/command_end.h"
#include "worker/command_step.h"
#include "worker/process_record.h"
#include "worker/process_watch.h"
#include "worker/progress_log.h"
#include "worker/step_error.h"
#include "worker/step_process.h"
#include "worker/step_watch.h"

namespace ratchet::worker {
namespace {

constexpr long kWatchEveryNs = 100'000'000;
constexpr size_t kReadBytes = 64 << 10;
// A step that floods its log must not keep its supervisor from its other work.
constexpr int kReadsAtOnce = 16;
constexpr int kNotStarted = 127 << 8;  // a wait status

// How the child's memory is limited, before the folder in its order.
const std::string kLimitedByCgroup = "c", kLimitedByItself = "i";

// The process that is to be a step's, forked before it is known which one's, and the pipes to it: reading and writing
// ends.
struct StepChild {
  pid_t pid = -1;
  std::array<int, 2> order{-1, -1}, log{-1, -1}, failure{-1, -1}, progress{-1, -1};
};

// An order, as it was written into the pipe at once; empty: the other side is gone.
std::string ReadOrder(int fd) {
  std::array<char, PIPE_BUF> order;
  ssize_t got = -1;
  while ((got = read(fd, order.data(), order.size())) < 0 && errno == EINTR) continue;
  return got > 0 ? std::string(order.data(), static_cast<size_t>(got)) : std::string();
}

[[noreturn]] void RunChild(const SupervisorOptions& options, const StepChild& pipes, pid_t supervisor) {
  DieWithParent(supervisor);
  close(pipes.order[1]);
  auto prepared = PrepareSandbox(options.sandbox, options.data_dir);
  const std::string order = ReadOrder(pipes.order[0]);
  if (order.empty()) _exit(1);
  const auto spec = ReadStepSpec(order.substr(1));  // which the supervisor has just read
  if (!spec) _exit(1);
  const bool limit_address_space = order.starts_with(kLimitedByItself);
  if (spec->kind == StepKind::kCommand)
    BecomeCommand(*spec, {.parent = supervisor,
                          .output_fd = pipes.log[1],
                          .failure_fd = pipes.failure[1],
                          .progress_fd = pipes.progress[1],
                          .limit_address_space = limit_address_space,
                          .sandbox = options.sandbox,
                          .prepared = std::move(prepared)});
  prctl(PR_SET_NAME, ("step:" + spec->step).c_str());
  setenv("RATCHET_STEP_FOLDER", spec->folder.c_str(), 1);
  auto ready = SetUpProcess(*spec, {.parent = supervisor,
                                    .output_fd = pipes.log[1],
                                    .limit_address_space = limit_address_space,
                                    .kept_fd = prepared ? prepared->descriptor() : -1});
  if (ready) ready = EnterStepSandbox(*spec, options.sandbox, supervisor, std::move(prepared));
  int code = 1;
  if (ready) {
    code = options.run_step(*spec);
  } else {
    spdlog::error("{}", ready.error().Message());
    (void)WriteResult(spec->folder, std::unexpected(FromError(ready.error())));
  }
  std::fflush(nullptr);
  _exit(code);
}

Result<StepChild> ForkChild(const SupervisorOptions& options) {
  StepChild child;
  for (auto* made : {&child.order, &child.log, &child.failure, &child.progress})
    if (pipe2(made->data(), O_CLOEXEC) != 0) return FailErrno("make", "pipe", errno);
  fcntl(child.log[0], F_SETFL, O_NONBLOCK);
  // Its writing end stays open here too, so that it never ends while a command opens and closes it.
  fcntl(child.progress[0], F_SETFL, O_NONBLOCK);
  const pid_t supervisor = getpid();
  child.pid = fork();
  if (child.pid == 0) RunChild(options, child, supervisor);
  if (child.pid < 0) return FailErrno("fork", "a step's process", errno);
  for (const int fd : {child.order[0], child.log[1], child.failure[1]}) close(fd);
  return child;
}

class Supervisor {
 public:
  Supervisor(const SupervisorOptions& options, std::string folder, const Clock& clock, const StepChild& child)
      : options_(options), folder_(std::move(folder)), clock_(clock), log_(folder_, options.log), child_(child.pid),
        order_fd_(child.order[1]), log_fd_(child.log[0]), failure_fd_(child.failure[0]), progress_fd_(child.progress[0]) {}

  int Run(const std::optional<CgroupParent>& cgroups);

 private:
  Result<StepSpec> Admit() const;
  Status Open();
  Status Launch(const std::optional<CgroupParent>& cgroups);
  void WaitForEnd();
  void HandleSignals();
  void Reap();
  void Watch();
  void Kill(StepError why);
  void EndAll();
  void DrainLog(int reads);
  void DrainProgress();
  void WriteCommandResult();
  StepOutcome JudgeCommand() const;
  bool is_command() const { return spec_.kind == StepKind::kCommand; }

  const SupervisorOptions& options_;
  const std::string folder_;
  const Clock& clock_;
  StepLogWriter log_;
  StepSpec spec_;
  std::unique_ptr<StepWatch> watch_;
  std::unique_ptr<ProgressLog> progress_;  // commands only: all others write it themselves
  std::string failure_;                    // what the child told before it could become the command
  int signal_fd_ = -1, timer_fd_ = -1;
  const pid_t child_;
  int order_fd_, log_fd_, failure_fd_, progress_fd_;
  int status_ = kNotStarted;
  bool child_ended_ = false, reaped_all_ = false;
};

// The exit.json of a step that did not come to be run.
int GiveUp(const std::string& folder, const StepError& error) {
  auto exit = ErrorToJson(error);
  exit.update({{"exit_code", nullptr}, {"signal", nullptr}, {"cpu_s", 0}, {"max_rss_bytes", 0}, {"read_bytes", 0}});
  if (const auto written = WriteExit(folder, exit); !written) spdlog::error("{}", written.error().Message());
  return 1;
}

int Supervisor::Run(const std::optional<CgroupParent>& cgroups) {
  if (const auto claimed = ClaimStep(folder_, options_.boot_id); !claimed) {
    spdlog::error("{}", claimed.error().Message());
    return 1;
  }
  auto spec = Admit();
  if (!spec) return GiveUp(folder_, FromError(spec.error()));
  spec_ = std::move(*spec);
  watch_ = std::make_unique<StepWatch>(spec_, clock_.MonotonicUs());
  auto launched = Open();
  if (launched) launched = Launch(cgroups);
  if (!launched && launched.error().code == ErrorCode::kUnavailable)
    return GiveUp(folder_, {ErrorClass::kLost, launched.error().Message(), "It is tried again"});
  if (!launched) return GiveUp(folder_, FromError(launched.error()));
  WaitForEnd();
  EndAll();
  constexpr int kAll = 1 << 20;
  DrainLog(kAll);
  if (is_command() && !watch_->condemned()) WriteCommandResult();
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  if (const auto written = WriteExit(folder_, watch_->Exit(status_, used)); !written)
    spdlog::error("{}", written.error().Message());
  watch_.reset();  // and the cgroup with it
  return 0;
}

Result<StepSpec> Supervisor::Admit() const {
  if (access((folder_ + "/result.json").c_str(), F_OK) == 0)
    return Fail(ErrorCode::kConflict, "start step", folder_, "it has run to its end already");
  RATCHET_ASSIGN(auto spec, ReadStepSpec(folder_));
  if (spec.sandbox.required && options_.sandbox == SandboxMeans::kNone)
    return Fail(ErrorCode::kDenied, "start step", folder_,
                "this kernel gives no means to keep a trainer away from the holdout",
                "Use a kernel with Landlock or user namespaces, or start ratchetd with --allow-unsandboxed.");
  const bool by_recipe = spec.kind == StepKind::kRecipe;
  if (spec.kind != StepKind::kCommand && (!options_.run_step || (options_.light && !by_recipe)))
    return Fail(ErrorCode::kInternal, "start step", folder_, "this worker has no LibTorch, which such a step needs");
  return spec;
}

Status Supervisor::Open() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  signal_fd_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (signal_fd_ < 0 || timer_fd_ < 0) return FailErrno("watch", "signals and time", errno);
  const timespec period{0, kWatchEveryNs};
  const itimerspec timer{period, period};
  timerfd_settime(timer_fd_, 0, &timer, nullptr);
  return is_command() ? MakeCommandFolders(spec_) : Status();
}

Status Supervisor::Launch(const std::optional<CgroupParent>& cgroups) {
  std::unique_ptr<StepCgroup> cgroup;
  if (cgroups) {
    const auto name = fmt::format("step-{}-{}", getpid(), clock_.MonotonicUs());
    if (auto made = cgroups->Make(name, spec_.limits.memory_bytes)) cgroup = std::move(*made);
  }
  const bool in_cgroup = cgroup != nullptr && cgroup->Adopt(child_);
  watch_->UseCgroup(std::move(cgroup));
  const std::string order = (in_cgroup ? kLimitedByCgroup : kLimitedByItself) + folder_;
  const ssize_t written = write(order_fd_, order.data(), order.size());
  const int why = errno;
  close(std::exchange(order_fd_, -1));
  if (written < 0 && why == EPIPE)
    return Fail(ErrorCode::kUnavailable, "start", folder_, "the process that was forked for it has ended");
  if (written != static_cast<ssize_t>(order.size())) return FailErrno("start", folder_, why);
  return {};
}

void Supervisor::WaitForEnd() {
  while (!child_ended_) {
    std::array<pollfd, 4> polled{
        {{signal_fd_, POLLIN, 0}, {log_fd_, POLLIN, 0}, {progress_fd_, POLLIN, 0}, {timer_fd_, POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    if (polled[1].revents != 0) DrainLog(kReadsAtOnce);
    if (polled[2].revents != 0) DrainProgress();
    if (polled[3].revents != 0) Watch();
    if (polled[0].revents != 0) HandleSignals();
  }
}

void Supervisor::HandleSignals() {
  signalfd_siginfo info;
  bool told_to_end = false;
  while (read(signal_fd_, &info, sizeof info) == sizeof info) told_to_end |= info.ssi_signo == SIGTERM;
  Reap();
  if (!told_to_end || child_ended_) return;
  const auto kill = ReadKill(folder_);
  const auto text = [&](const char* key) { return kill.contains(key) && kill[key].is_string() ? kill[key] : ""; };
  Kill({ParseErrorClass(text("class").get<std::string>()).value_or(ErrorClass::kCancelled), text("message"), ""});
}

// What a process has read is told by the kernel as long as it has not been waited for.
void Supervisor::Reap() {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
      reaped_all_ = errno == ECHILD;
      return;
    }
    if (info.si_pid == 0) return;
    watch_->CountRead(ReadBytesOf(info.si_pid));
    int status = 0;
    if (waitpid(info.si_pid, &status, 0) != child_ || info.si_pid != child_) continue;
    status_ = status;
    child_ended_ = true;
  }
}

void Supervisor::Watch() {
  std::uint64_t ticks = 0;
  (void)!read(timer_fd_, &ticks, sizeof ticks);
  if (watch_->condemned()) return;
  if (auto over = watch_->OverLimit(Family(getpid()), clock_.MonotonicUs())) Kill(std::move(*over));
}

void Supervisor::Kill(StepError why) {
  if (!watch_->condemned()) watch_->Condemn(std::move(why));
  EndAll();
}

// Nothing of the step runs any more afterwards: the kernel says that we have no child.
void Supervisor::EndAll() {
  if (!child_ended_) {
    if (watch_->cgroup() != nullptr) watch_->cgroup()->KillAll();
    kill(-child_, SIGKILL);
    kill(child_, SIGKILL);
  }
  constexpr int kMostRounds = 500;
  for (int round = 0; round < kMostRounds; ++round) {
    Reap();
    if (reaped_all_) return;
    if (watch_->cgroup() != nullptr) watch_->cgroup()->KillAll();
    (void)KillDescendants(getpid(), {});
  }
  spdlog::error("{}: processes that the step left behind cannot be ended", folder_);
}

void Supervisor::DrainLog(int reads) {
  std::array<char, kReadBytes> buffer;
  for (; log_fd_ >= 0 && reads > 0; --reads) {
    const ssize_t got = read(log_fd_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got == 0) close(std::exchange(log_fd_, -1));
    log_.Write({buffer.data(), static_cast<size_t>(got)});
  }
}

void Supervisor::DrainProgress() {
  std::array<char, kReadBytes> buffer;
  for (int reads = 0; progress_fd_ >= 0 && reads < kReadsAtOnce; ++reads) {
    const ssize_t got = read(progress_fd_, buffer.data(), buffer.size());
    if (got <= 0) return;
    if (progress_ == nullptr) progress_ = std::make_unique<ProgressLog>(folder_, clock_);
    progress_->Feed({buffer.data(), static_cast<size_t>(got)});
  }
}

StepOutcome Supervisor::JudgeCommand() const {
  std::string failure(kReadBytes, '\0');
  const ssize_t got = read(failure_fd_, failure.data(), failure.size());
  if (got > 0) return std::unexpected(ReadFailure(failure.substr(0, static_cast<size_t>(got))));
  if (auto judged = JudgeEnd({"step", spec_.command[0], status_}, log_.tail()); !judged)
    return std::unexpected(NameLimits(spec_, std::move(judged.error())));
  return CollectOutputs(spec_);
}

void Supervisor::WriteCommandResult() {
  DrainProgress();
  auto outcome = JudgeCommand();
  if (outcome && progress_ != nullptr && !progress_->last_metrics().empty())
    (*outcome)["metrics"] = progress_->last_metrics();
  if (!outcome)
    log_.Write(fmt::format("{}: {}\n", ErrorClassName(outcome.error().error_class), outcome.error().message));
  if (const auto written = WriteResult(folder_, outcome, ResultSync::kNone); !written) {
    watch_->Condemn(FromError(written.error()));
    spdlog::error("{}", written.error().Message());
  }
}

}  // namespace

// The folder of the step to run; empty: there is to be none, or the child has ended before there was one.
std::string AwaitOrder(int order_fd) {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  const int signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  std::array<pollfd, 2> polled{{{order_fd, POLLIN, 0}, {signal_fd, POLLIN, 0}}};
  while (poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) continue;
  close(signal_fd);
  return polled[0].revents != 0 ? ReadOrder(order_fd) : std::string();
}

int Supervise(const SupervisorOptions& options, const std::optional<CgroupParent>& cgroups, int order_fd,
              const Clock& clock) {
  prctl(PR_SET_NAME, "ratchet-step");
  setsid();
  CloseAllBut(order_fd);
  // Whatever the step's processes leave behind comes to us, so that nobody escapes by becoming a daemon.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const auto child = ForkChild(options);
  if (!child) spdlog::error("{}", child.error().Message());
  const std::string folder = child ? AwaitOrder(order_fd) : "";
  if (folder.empty()) return 1;
  close(order_fd);
  return Supervisor(options, folder, clock, *child).Run(cgroups);
}

}  // namespace ratchet::worker
