#include "pipeline/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/log.h"

extern char** environ;

namespace ratchet::pipeline {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxPacketBytes = 64 * 1024;
constexpr int kControlFd = 3;                    // in the worker
constexpr std::int64_t kFirstPauseUs = 100'000;  // after the first death
constexpr std::int64_t kLongestPauseUs = 30'000'000;
constexpr int kEndWaitMs = 3'000;
constexpr int kDeathsToBeDown = 3;  // in a row; what cannot be started at all is down at once

// What posix_spawn has to do in the child: own log, control socket as descriptor 3.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  int Run(const std::vector<std::string>& command, int control, const std::string& log_path, pid_t* pid) {
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions_, 1, 2);
    posix_spawn_file_actions_adddup2(&actions_, control, kControlFd);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setpgroup(&attributes_, 0);  // a terminal's Ctrl-C is for the daemon to handle
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    std::vector<char*> arguments;
    for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
    arguments.push_back(nullptr);
    return posix_spawn(pid, arguments[0], &actions_, &attributes_, arguments.data(), environ);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// The descriptor that came with a message, or -1.
int TakeDescriptor(msghdr& message) {
  int taken = -1;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
      std::memcpy(&taken, CMSG_DATA(header), sizeof taken);
  return taken;
}

}  // namespace

WorkerProcess::~WorkerProcess() {
  if (socket_ < 0) return;
  close(socket_);
  // One that is still loading would not see it for long; a worker has nothing that its death could harm.
  if (!Ready()) kill(pid_, SIGKILL);
  constexpr int kStepMs = 2;
  for (int waited_ms = 0; waited_ms < kEndWaitMs; waited_ms += kStepMs) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) return;
    poll(nullptr, 0, kStepMs);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool WorkerProcess::LaunchWhenDue() {
  if (socket_ >= 0 || clock_.MonotonicUs() < next_launch_us_) return false;
  Launch();
  return socket_ >= 0;
}

std::optional<std::int64_t> WorkerProcess::next_launch_us() const {
  return socket_ >= 0 ? std::nullopt : std::optional(next_launch_us_);
}

void WorkerProcess::Launch() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    spdlog::error("start the worker: {}", std::strerror(errno));
    next_launch_us_ = clock_.MonotonicUs() + kFirstPauseUs;
    return;
  }
  // A descriptor that is 3 already would keep its close-on-exec flag through dup2.
  const int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
  close(pair[1]);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  struct stat log {};
  log_size_ = stat(command_.log_path.c_str(), &log) == 0 ? static_cast<std::uint64_t>(log.st_size) : 0;
  pid_t pid = 0;
  SpawnPlan plan;
  std::vector<std::string> arguments{command_.program, "--role", command_.role, "--control-fd", std::to_string(kControlFd),
                                     "--plugins", command_.plugins, "--log-level", command_.log_level};
  if (!command_.data_dir.empty()) arguments.insert(arguments.end(), {"--data", command_.data_dir});
  const int error = plan.Run(arguments, theirs, command_.log_path, &pid);
  close(theirs);
  if (error == 0) {
    socket_ = pair[0];
    pid_ = pid;
    return;
  }
  close(pair[0]);
  spdlog::error("start {}: {}", command_.program, std::strerror(error));
  deaths_in_a_row_ = std::max(deaths_in_a_row_ + 1, kDeathsToBeDown);
  next_launch_us_ = clock_.MonotonicUs() + kLongestPauseUs;
  std::lock_guard lock(mutex_);
  last_end_ = {"cannot start " + command_.program + ": " + std::strerror(error), log_size_};
}

void WorkerProcess::Bury() {
  close(socket_);
  socket_ = -1;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  spdlog::warn("ratchet-worker for {} (process {}) ended; see {}", command_.role, pid_, command_.log_path);
  pid_ = 0;
  const std::int64_t pause_us = std::min(kFirstPauseUs << std::min(deaths_in_a_row_++, 10), kLongestPauseUs);
  next_launch_us_ = clock_.MonotonicUs() + pause_us;
  std::lock_guard lock(mutex_);
  ready_ = nullptr;
  recipes_.clear();
  last_end_ = {WIFSIGNALED(status) ? std::string("ended by signal ") + std::to_string(WTERMSIG(status))
                                   : "ended with exit code " + std::to_string(WEXITSTATUS(status)),
               log_size_};
}

void WorkerProcess::TakeReady(const Json& packet) {
  deaths_in_a_row_ = 0;
  std::set<std::string> recipes;
  for (const Json& recipe : packet.value("recipes", Json::array())) recipes.insert(recipe.at("name").get<std::string>());
  std::lock_guard lock(mutex_);
  ready_ = std::make_shared<const Json>(packet);
  recipes_ = std::move(recipes);
  last_end_ = {};
  spdlog::info("ratchet-worker is ready for {}: {} recipes, sandbox {}", command_.role,
               packet.value("recipes", Json::array()).size(), packet.value("sandbox", "?"));
}

WorkerProcess::Heard WorkerProcess::Receive() {
  std::array<char, kMaxPacketBytes> text;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  while (socket_ >= 0) {
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (got <= 0) {
      Bury();
      return {.kind = Heard::Kind::kDeath};
    }
    Heard heard{.kind = Heard::Kind::kPacket, .packet = Json::parse(text.data(), text.data() + got, nullptr, false)};
    heard.pidfd = TakeDescriptor(message);
    try {
      if (heard.packet.is_object() && heard.packet.value("event", "") == "ready") TakeReady(heard.packet);
    } catch (const Json::exception& fault) {
      spdlog::warn("ratchet-worker sent what is not understood: {}", fault.what());
    }
    return heard;
  }
  return {};
}

Status WorkerProcess::Send(const Json& packet) {
  const std::string text = packet.dump();
  if (socket_ < 0 || send(socket_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    return Fail(ErrorCode::kUnavailable, "tell", "ratchet-worker", "it is not there");
  return {};
}

void WorkerProcess::Kill() {
  if (socket_ >= 0) kill(pid_, SIGKILL);
}

bool WorkerProcess::Ready() const {
  std::lock_guard lock(mutex_);
  return ready_ != nullptr;
}

bool WorkerProcess::Offers(const std::string& recipe) const {
  std::lock_guard lock(mutex_);
  return recipes_.contains(recipe);
}

Json WorkerProcess::Describe() const {
  std::lock_guard lock(mutex_);
  return ready_ ? *ready_ : Json();
}

std::string WorkerProcess::State() const {
  if (Ready()) return "ready";
  return deaths_in_a_row_ >= kDeathsToBeDown ? "down" : "starting";
}

WorkerProcess::LastEnd WorkerProcess::WhyDown() const {
  std::lock_guard lock(mutex_);
  return last_end_;
}

}  // namespace ratchet::pipeline
