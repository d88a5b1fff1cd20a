#include "worker/command_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "worker/command_end.h"
#include "worker/process_watch.h"
#include "worker/step_process.h"

namespace ratchet::worker {
namespace {

constexpr size_t kTailBytes = 4096;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void Own(int fd) {
    Close();
    fd_ = fd;
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Why a command was not started: a sandbox that cannot be shut, told in the log, or the errno of exec.
struct LaunchFailure {
  bool sandbox = false;
  int why = 0;
};

[[noreturn]] void TellAndExit(int failure, const LaunchFailure& told) {
  (void)!write(failure, &told, sizeof told);
  _exit(127);
}

// The child's side: becomes the command, or tells by `failure` why it can't.
[[noreturn]] void Become(const CommandCall& call, char** argv, char** environment, pid_t parent, int output,
                         int failure) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  if (const auto shut = NarrowToWork(call.means, call.sandbox); !shut) {
    spdlog::error("{}", shut.error().Message());
    TellAndExit(failure, {true, 0});
  }
  // After the sandbox: the kernel forgets the tie when a process changes its credentials in some ways. And by the path,
  // so that the folder is the one that the sandbox shows.
  DieWithParent(parent);
  if (chdir(call.folder.c_str()) != 0) TellAndExit(failure, {true, errno});
  execvpe(argv[0], argv, environment);
  TellAndExit(failure, {false, errno});
}

class CommandProcess {
 public:
  explicit CommandProcess(ProgressLog& progress) : progress_(progress) {}

  std::expected<void, StepError> Run(const CommandCall& call);

 private:
  Status Open(const CommandCall& call, const std::string& fifo);
  Status Launch(const CommandCall& call, const std::string& fifo);
  int WaitForEnd();
  bool HandleSignals();
  void PassOutput();
  void PassProgress();

  ProgressLog& progress_;
  Descriptor fifo_, output_, output_end_, failure_, failure_end_, signals_;
  pid_t pid_ = -1;
  int status_ = 0;
  std::string tail_;
};

Status MakePipe(Descriptor& reading, Descriptor& writing) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("make", "pipe", errno);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  reading.Own(ends[0]);
  writing.Own(ends[1]);
  return {};
}

Status CommandProcess::Open(const CommandCall& call, const std::string& fifo) {
  (void)unlink(fifo.c_str());
  if (mkfifo(fifo.c_str(), 0600) != 0) return FailErrno("make", fifo, errno);
  // Reading and writing, so that it never ends while the command opens and closes it.
  const int opened = open(fifo.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (opened < 0) return FailErrno("open", fifo, errno);
  fifo_.Own(opened);
  RATCHET_TRY(MakePipe(output_, output_end_));
  RATCHET_TRY(MakePipe(failure_, failure_end_));
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_.Own(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (signals_.get() < 0) return FailErrno("watch", "signals", errno);
  return Launch(call, fifo);
}

Status CommandProcess::Launch(const CommandCall& call, const std::string& fifo) {
  auto argv = call.argv;
  auto variables = call.environment;
  variables["RATCHET_PROGRESS"] = fifo;
  auto environment = CommandEnvironment(variables);
  const auto argv_pointers = Pointers(argv);
  const auto environment_pointers = Pointers(environment);
  const pid_t parent = getpid();
  // With a command to end, the death of the parent is a signal to act on, not to die of.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  pid_ = fork();
  if (pid_ == 0)
    Become(call, const_cast<char**>(argv_pointers.data()), const_cast<char**>(environment_pointers.data()), parent,
           output_end_.get(), failure_end_.get());
  output_end_.Close();
  failure_end_.Close();
  if (pid_ < 0) return FailErrno("fork", call.argv[0], errno);
  return {};
}

std::expected<void, StepError> CommandProcess::Run(const CommandCall& call) {
  const auto fifo = call.folder + "/progress.fifo";
  if (auto opened = Open(call, fifo); !opened) return std::unexpected(FromError(opened.error()));
  const int status = WaitForEnd();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const bool all_ended = EndAllChildren();
  PassOutput();
  PassProgress();
  (void)unlink(fifo.c_str());
  if (!all_ended) return InternalFault("the processes that the trainer left behind cannot be ended");
  LaunchFailure told;
  if (read(failure_.get(), &told, sizeof told) == sizeof told) {
    if (told.sandbox) return InternalFault("the trainer's sandbox cannot be shut; the log tells why");
    return CannotRun({"trainer", call.argv[0], status}, told.why);
  }
  return JudgeEnd({"trainer", call.argv[0], status}, tail_);
}

int CommandProcess::WaitForEnd() {
  for (;;) {
    std::array<pollfd, 3> polled{{{fifo_.get(), POLLIN, 0}, {output_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return status_;
    if (polled[1].revents != 0) PassOutput();
    if (polled[0].revents != 0) PassProgress();
    if (polled[2].revents != 0 && HandleSignals()) return status_;
  }
}

// True when the command has ended.
bool CommandProcess::HandleSignals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGTERM) continue;
    (void)EndAllChildren();
    _exit(1);
  }
  bool ended = false;
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == pid_) status_ = status;
    ended |= pid == pid_;
  }
  return ended;
}

void CommandProcess::PassOutput() {
  std::array<char, 64 << 10> buffer;
  constexpr int kReadsAtOnce = 16;
  for (int reads = 0; output_.get() >= 0 && reads < kReadsAtOnce; ++reads) {
    const ssize_t got = read(output_.get(), buffer.data(), buffer.size());
    if (got == 0) output_.Close();
    if (got <= 0) return;
    const std::string_view text(buffer.data(), static_cast<size_t>(got));
    for (size_t passed = 0; passed < text.size();) {
      const ssize_t written = write(STDERR_FILENO, text.data() + passed, text.size() - passed);
      if (written < 0 && errno != EINTR) break;
      passed += written > 0 ? static_cast<size_t>(written) : 0;
    }
    tail_ += text;
    if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  }
}

void CommandProcess::PassProgress() {
  std::array<char, 16 << 10> buffer;
  constexpr int kReadsAtOnce = 64;
  for (int reads = 0; reads < kReadsAtOnce; ++reads) {
    const ssize_t got = read(fifo_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    progress_.Feed({buffer.data(), static_cast<size_t>(got)});
  }
}

}  // namespace

std::expected<void, StepError> RunCommand(const CommandCall& call, ProgressLog& progress) {
  return CommandProcess(progress).Run(call);
}

}  // namespace ratchet::worker
