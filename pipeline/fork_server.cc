#include "pipeline/fork_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/log.h"

extern char** environ;

namespace ratchet::pipeline {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxPacketBytes = 64 * 1024;
constexpr int kControlFd = 3;                          // in the worker
constexpr std::int64_t kFirstPauseUs = 100'000;        // after the first death
constexpr std::int64_t kLongestPauseUs = 30'000'000;
constexpr int kEndWaitMs = 10'000;
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

}  // namespace

ForkServer::ForkServer(ForkServerOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

ForkServer::~ForkServer() {
  if (socket_ < 0) return;
  close(socket_);
  socket_ = -1;
  for (int waited_ms = 0; waited_ms < kEndWaitMs; waited_ms += 10) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) return;
    poll(nullptr, 0, 10);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void ForkServer::Launch() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return spdlog::error("start the worker: {}", std::strerror(errno)), void();
  // A descriptor that is 3 already would keep its close-on-exec flag through dup2.
  int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
  close(pair[1]);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  pid_t pid = 0;
  struct stat log {};
  log_size_ = stat(options_.log_path.c_str(), &log) == 0 ? static_cast<std::uint64_t>(log.st_size) : 0;
  SpawnPlan plan;
  int error = plan.Run({options_.program, "--control-fd", std::to_string(kControlFd), "--plugins", options_.plugins,
                        "--log-level", options_.log_level},
                       theirs, options_.log_path, &pid);
  close(theirs);
  if (error != 0) {
    close(pair[0]);
    spdlog::error("start {}: {}", options_.program, std::strerror(error));
    deaths_in_a_row_ = std::max(deaths_in_a_row_ + 1, kDeathsToBeDown);
    next_launch_us_ = clock_.MonotonicUs() + kLongestPauseUs;
    std::lock_guard lock(ready_mutex_);
    last_end_ = {"cannot start " + options_.program + ": " + std::strerror(error), log_size_};
    return;
  }
  socket_ = pair[0];
  pid_ = pid;
}

// The worker's children die with it, so all that ran is lost.
void ForkServer::Bury() {
  close(socket_);
  socket_ = -1;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  spdlog::warn("ratchet-worker (process {}) ended; see {}", pid_, options_.log_path);
  pid_ = 0;
  std::erase_if(steps_, [](const auto& entry) { return entry.second.kind != StepStatus::Kind::kExited; });
  std::lock_guard lock(ready_mutex_);
  ready_ = nullptr;
  last_end_ = {WIFSIGNALED(status) ? std::string("ended by signal ") + std::to_string(WTERMSIG(status))
                                   : "ended with exit code " + std::to_string(WEXITSTATUS(status)),
               log_size_};
  std::int64_t pause_us = std::min(kFirstPauseUs << std::min(deaths_in_a_row_++, 10), kLongestPauseUs);
  next_launch_us_ = clock_.MonotonicUs() + pause_us;
}

bool ForkServer::Pump() {
  if (socket_ < 0 && clock_.MonotonicUs() >= next_launch_us_) Launch();
  bool changed = false;
  std::vector<char> packet(kMaxPacketBytes);
  while (socket_ >= 0) {
    ssize_t got = recv(socket_, packet.data(), packet.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    changed = true;
    if (got <= 0) {
      Bury();
      break;
    }
    try {
      Take(Json::parse(packet.data(), packet.data() + got, nullptr, false));
    } catch (const Json::exception& exception) {
      spdlog::warn("ratchet-worker sent what is not understood: {}", exception.what());
    }
  }
  return changed;
}

void ForkServer::Take(const Json& packet) {
  std::string event = packet.is_object() ? packet.value("event", "") : "";
  std::string id = packet.is_object() ? packet.value("id", "") : "";
  if (event == "ready") {
    deaths_in_a_row_ = 0;
    std::lock_guard lock(ready_mutex_);
    ready_ = std::make_shared<const Json>(packet);
    last_end_ = {};
    spdlog::info("ratchet-worker is ready: {} recipes, sandbox {}", packet.value("recipes", Json::array()).size(),
                 packet.value("sandbox", "?"));
  } else if (event == "started") {
    steps_[id].pid = packet.value("pid", std::int64_t{0});
  } else if (event == "refused") {
    Json error = packet.value("error", Json::object());
    steps_[id] = {.kind = StepStatus::Kind::kExited,
                  .exit = {.error_class = error.value("class", "internal"), .message = error.value("message", ""),
                           .hint = error.value("hint", "")}};
  } else if (event == "exited") {
    StepExit exit{.message = packet.value("message", ""), .cpu_s = packet.value("cpu_s", 0.0),
                  .max_rss_bytes = packet.value("max_rss_bytes", std::int64_t{0})};
    if (packet.contains("class") && packet["class"].is_string()) exit.error_class = packet["class"];
    if (packet.contains("exit_code") && packet["exit_code"].is_number()) exit.exit_code = packet["exit_code"].get<int>();
    if (packet.contains("signal") && packet["signal"].is_number()) exit.signal = packet["signal"].get<int>();
    steps_[id] = {.kind = StepStatus::Kind::kExited, .pid = steps_[id].pid, .exit = exit};
  } else {
    spdlog::warn("ratchet-worker sent what is not understood: {}", packet.dump().substr(0, 200));
  }
}

Status ForkServer::Send(const Json& packet) {
  std::string text = packet.dump();
  if (socket_ < 0 || send(socket_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    return Fail(ErrorCode::kUnavailable, "tell", "ratchet-worker", "it is not there");
  return {};
}

bool ForkServer::Ready() const {
  std::lock_guard lock(ready_mutex_);
  return ready_ != nullptr;
}

Json ForkServer::Describe() const {
  std::lock_guard lock(ready_mutex_);
  return ready_ ? *ready_ : Json();
}

std::string ForkServer::State() const {
  if (Ready()) return "ready";
  return deaths_in_a_row_ >= kDeathsToBeDown ? "down" : "starting";
}

ForkServer::LastEnd ForkServer::WhyDown() const {
  std::lock_guard lock(ready_mutex_);
  return last_end_;
}

Status ForkServer::Start(const std::string& id, const std::string& folder) {
  RATCHET_TRY(Send({{"op", "start"}, {"id", id}, {"folder", folder}}));
  steps_[id] = {.kind = StepStatus::Kind::kRunning};
  return {};
}

void ForkServer::Kill(const std::string& id, const std::string& error_class, const std::string& message) {
  auto step = steps_.find(id);
  if (step == steps_.end() || step->second.kind != StepStatus::Kind::kRunning) return;
  Status sent = Send({{"op", "kill"}, {"id", id}, {"class", error_class}, {"message", message}});
  if (!sent) spdlog::warn("{}", sent.error().Message());
}

StepStatus ForkServer::Poll(const std::string& id) {
  auto step = steps_.find(id);
  return step == steps_.end() ? StepStatus{} : step->second;
}

void ForkServer::Forget(const std::string& id) { steps_.erase(id); }

}  // namespace ratchet::pipeline
