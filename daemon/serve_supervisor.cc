#include "daemon/serve_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

extern char** environ;

namespace ratchet::daemon {
namespace {

constexpr std::int64_t kShortestPauseUs = 50'000;     // after a death; doubles with each in a row …
constexpr std::int64_t kLongestPauseUs = 30'000'000;  // … up to this
constexpr std::int64_t kHealthyUs = 60'000'000;       // having lived so long, a death counts as the first
constexpr std::int64_t kLookUs = 1'000'000;

// Waits until the process has ended; false when the time was over first.
bool WaitForEnd(int pid, int wait_ms) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return errno == ESRCH;
  pollfd waiting{fd, POLLIN, 0};
  const bool ended = poll(&waiting, 1, wait_ms) > 0;
  close(fd);
  return ended;
}

// In a session of its own, with the default signals, its output appended to the log.
int Spawn(const std::vector<std::string>& words, const std::string& log_path, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int error = posix_spawn(&pid, words.front().c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

ServeSupervisor::ServeSupervisor(ServeOptions options, Files& files, const Clock& clock)
    : options_(std::move(options)), files_(files), clock_(clock) {}

std::int64_t ServeSupervisor::Tick() {
  const std::int64_t now = clock_.MonotonicUs();
  if (!std::exchange(looked_, true)) Adopt();
  if (pid_ != 0 && StillRuns()) return now + kLookUs;
  if (pid_ != 0) {
    deaths_in_a_row_ = now - started_us_ >= kHealthyUs ? 1 : deaths_in_a_row_ + 1;
    next_start_us_ = now + std::min(kLongestPauseUs, kShortestPauseUs << std::min(deaths_in_a_row_ - 1, 10));
    spdlog::warn("ratchet-serve (pid {}) has ended; it is started again in {} ms. Its log: {}/logs/serve.log", pid_,
                 (next_start_us_ - now) / 1000, options_.data_dir);
    pid_ = 0;
  }
  if (now < next_start_us_) return next_start_us_;
  Launch();
  return std::max(next_start_us_, now + kLookUs);
}

std::string ServeSupervisor::Setup() const {
  std::string setup = options_.control_url + " " + options_.listen;
  for (const std::string& word : options_.logging) setup += " " + word;
  return setup + "\n";
}

void ServeSupervisor::Adopt() {
  const int holder = LockHolder(options_.data_dir + "/serve/lock");
  if (holder == 0) return;
  const auto setup = files_.Read(options_.data_dir + "/serve-setup", 4096);
  pid_ = holder;
  adopted_ = true;
  started_us_ = clock_.MonotonicUs();
  if (setup && *setup == Setup()) {
    spdlog::info("ratchet-serve (pid {}) runs already and goes on", holder);
    return;
  }
  spdlog::info("ratchet-serve (pid {}) was told other settings; it is started anew", holder);
  Stop(12'000);
}

bool ServeSupervisor::StillRuns() {
  if (adopted_) return LockHolder(options_.data_dir + "/serve/lock") == pid_;
  int status = 0;
  return waitpid(pid_, &status, WNOHANG) == 0;
}

void ServeSupervisor::Launch() {
  const std::string& dir = options_.data_dir;
  const auto noted = files_.WriteAtomic(dir + "/serve-setup", Setup());
  pid_t pid = 0;
  std::vector<std::string> words = {options_.program, "--listen",        options_.listen, "--control", options_.control_url,
                                    "--dir",          dir + "/serve",    "--blobs",       dir + "/blobs", "--id",
                                    "local",          "--log-level",     options_.log_level};
  words.insert(words.end(), options_.logging.begin(), options_.logging.end());
  const int error = noted ? Spawn(words, dir + "/logs/serve.log", pid) : EIO;
  started_us_ = clock_.MonotonicUs();
  if (error != 0) {
    spdlog::error("start {}: {}. Predictions are not answered until it runs.", options_.program, std::strerror(error));
    next_start_us_ = started_us_ + kLongestPauseUs;
    return;
  }
  adopted_ = false;
  pid_ = pid;
  ++starts_;
}

void ServeSupervisor::Stop(int wait_ms) {
  if (pid_ == 0) return;
  kill(pid_, SIGTERM);
  if (!WaitForEnd(pid_, wait_ms)) {
    spdlog::warn("ratchet-serve (pid {}) did not end in {} ms and is killed", pid_, wait_ms);
    kill(pid_, SIGKILL);
    WaitForEnd(pid_, 2'000);
  }
  int status = 0;
  if (!adopted_) waitpid(pid_, &status, WNOHANG);
  pid_ = 0;
  adopted_ = false;
}

}  // namespace ratchet::daemon
