#include "pipeline/fork_server.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"

namespace ratchet::pipeline {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kTermTimeUs = 500'000;  // for a supervisor to end its step, before it is killed itself
constexpr std::int64_t kLongestEndUs = 3'000'000;
constexpr std::array kHosts{StepHost::kCommands, StepHost::kRecipes};

void Watch(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

bool IsReadable(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return poll(&polled, 1, 0) == 1;
}

}  // namespace

ForkServer::ForkServer(ForkServerOptions options, const Clock& clock)
    : clock_(clock),
      answer_time_us_(options.answer_time_us),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  Watch(epoll_, timer_);
  const auto commands_log =
      options.commands_log_path.empty() ? options.log_path + ".commands" : options.commands_log_path;
  WorkerCommand command{options.program, "commands", options.plugins, commands_log, options.log_level, options.data_dir};
  workers_[0] = std::make_unique<WorkerProcess>(command, clock);
  command.role = "recipes";
  command.log_path = options.log_path;
  workers_[1] = std::make_unique<WorkerProcess>(command, clock);
}

ForkServer::~ForkServer() {
  for (const auto& [id, step] : steps_)
    if (step.pidfd >= 0) close(step.pidfd);
  close(timer_);
  close(epoll_);
}

bool ForkServer::Pump() {
  std::uint64_t expirations = 0;
  (void)!read(timer_, &expirations, sizeof expirations);
  bool changed = false;
  for (const StepHost host : kHosts) changed |= PumpWorker(host);
  changed |= PumpSteps();
  ArmTimer();
  return changed;
}

bool ForkServer::PumpWorker(StepHost host) {
  WorkerProcess& worker = this->worker(host);
  if (worker.LaunchWhenDue()) Watch(epoll_, worker.fd());
  bool changed = false;
  for (;;) {
    auto heard = worker.Receive();
    if (heard.kind == WorkerProcess::Heard::Kind::kNothing) return changed;
    if (heard.kind == WorkerProcess::Heard::Kind::kPacket) {
      changed |= Hear(std::move(heard));
      continue;
    }
    // What had been asked of it and not been answered may have begun or not; the step's folder tells, when polled.
    std::erase_if(steps_, [&](const auto& entry) {
      const Known& step = entry.second;
      return step.ref.host == host && step.status.kind == StepStatus::Kind::kRunning && step.pidfd < 0;
    });
    return true;
  }
}

// False when a step has begun, as it was asked to: nobody waits for that.
bool ForkServer::Hear(WorkerProcess::Heard heard) {
  const Json& packet = heard.packet;
  const auto text = [&](const Json& from, const char* key) {
    return from.is_object() && from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : "";
  };
  const auto event = text(packet, "event");
  const auto known = steps_.find(text(packet, "id"));
  const bool awaited = known != steps_.end() && known->second.pidfd < 0;
  const bool begun = event == "started" && awaited && heard.pidfd >= 0;
  if (begun) {
    if (packet.contains("pid") && packet["pid"].is_number_integer())
      known->second.status.pid = packet["pid"].get<std::int64_t>();
    Follow(known->second, std::exchange(heard.pidfd, -1));
  } else if (event == "refused" && awaited) {
    const Json error = packet.value("error", Json::object());
    known->second.status = {
        .kind = StepStatus::Kind::kExited,
        .exit = {.error_class = text(error, "class"), .message = text(error, "message"), .hint = text(error, "hint")}};
  } else if (event == "started" && known != steps_.end()) {
    // Without a descriptor (a kernel before 5.3 has none to give) the folder has to tell.
    Drop(known->first);
  } else if (event != "ready" && event != "started" && event != "refused") {
    spdlog::warn("ratchet-worker sent what is not understood: {}", packet.dump().substr(0, 200));
  }
  if (heard.pidfd >= 0) close(heard.pidfd);
  return !begun;
}

void ForkServer::Follow(Known& step, int pidfd) {
  step.status.kind = StepStatus::Kind::kRunning;
  step.pidfd = pidfd;
  Watch(epoll_, pidfd);
  if (step.order) Terminate(step);
}

bool ForkServer::IsUnanswered(const Known& step) {
  return step.asked_us > 0 && step.pidfd < 0 && step.status.kind == StepStatus::Kind::kRunning;
}

bool ForkServer::HasEnded(const Known& step) const { return step.pidfd >= 0 && IsReadable(step.pidfd); }

bool ForkServer::PumpSteps() {
  bool changed = false;
  std::vector<std::string> lost;
  for (auto& [id, step] : steps_) {
    if (HasEnded(step)) {
      changed = true;
      End(step);
      if (step.status.kind != StepStatus::Kind::kExited) lost.push_back(id);
    } else if (IsUnanswered(step) && clock_.MonotonicUs() >= step.asked_us + answer_time_us_) {
      spdlog::error("ratchet-worker does not answer that it started {}; it is killed and started anew", id);
      step.asked_us = 0;  // said once; when its death is heard of, the folder tells what became of the step
      worker(step.ref.host).Kill();
    } else if (step.pidfd >= 0 && step.order && !step.forced && clock_.MonotonicUs() >= step.kill_by_us) {
      Force(step);
    }
  }
  for (const auto& id : lost) Drop(id);
  return changed;
}

// The supervisor is no more: its last word counts, and where there is none, nothing of the step may be left.
void ForkServer::End(Known& step) {
  close(std::exchange(step.pidfd, -1));
  if (auto exit = ReadExit(step.ref.folder)) {
    step.status.kind = StepStatus::Kind::kExited;
    step.status.exit = std::move(*exit);
    // A supervisor that could not read the order ended it as merely cancelled.
    if (step.order && step.status.exit.error_class == "cancelled") {
      step.status.exit.error_class = step.order->error_class;
      step.status.exit.message = step.order->message;
    }
    return;
  }
  SweepStep(step.ref.folder);
  step.status.kind = StepStatus::Kind::kUnknown;
  if (!step.order) return;
  step.status.kind = StepStatus::Kind::kExited;
  step.status.exit = {.signal = SIGKILL, .error_class = step.order->error_class, .message = step.order->message};
}

void ForkServer::Drop(const std::string& id) {
  const auto step = steps_.find(id);
  if (step == steps_.end()) return;
  if (step->second.pidfd >= 0) close(step->second.pidfd);
  steps_.erase(step);
}

StepHost ForkServer::HostOf(const std::string& kind, const std::optional<std::string>& recipe) const {
  const bool light = kind == "recipe" && recipe && worker(StepHost::kCommands).Offers(*recipe);
  return light ? StepHost::kCommands : Executor::HostOf(kind, recipe);
}

Status ForkServer::Start(const StepRef& step) {
  RATCHET_TRY(worker(step.host).Send({{"op", "start"}, {"id", step.id}, {"folder", step.folder}}));
  Drop(step.id);
  steps_[step.id] = {.ref = step, .status = {.kind = StepStatus::Kind::kRunning}, .asked_us = clock_.MonotonicUs()};
  ArmTimer();
  return {};
}

// Finds the step again by its folder; false: it does not run, left no word, and will never start.
bool ForkServer::TakeOn(const StepRef& ref) {
  auto record = ReadProcessRecord(ref.folder);
  if (record && !*record) {
    const Status abandoned = Abandon(ref.folder);
    if (abandoned || abandoned.error().code == ErrorCode::kNotFound) return false;
    record = ReadProcessRecord(ref.folder);
  }
  Known step{.ref = ref, .status = {.kind = StepStatus::Kind::kRunning}};
  if (!record || !*record) {
    // Neither read nor claimed (too many open files, a full disk): nothing is known, so nothing is given up.
    spdlog::warn("{}: it cannot be told whether the step runs", ref.folder);
    return true;
  }
  if ((*record)->abandoned || !IsOfThisBoot(**record)) return false;
  if (const int pidfd = OpenSupervisor(**record); pidfd >= 0) {
    step.status.pid = (*record)->pid;
    step.order = ReadKillOrder(ref.folder);  // of a ratchetd that was gone before it could act on it
    Follow(steps_[ref.id] = std::move(step), pidfd);
    return true;
  }
  if (auto exit = ReadExit(ref.folder)) {
    step.status = {.kind = StepStatus::Kind::kExited, .pid = (*record)->pid, .exit = std::move(*exit)};
  } else {
    SweepStep(ref.folder);
    const auto order = ReadKillOrder(ref.folder);
    if (!order) return false;
    step.status = {.kind = StepStatus::Kind::kExited,
                   .exit = {.signal = SIGKILL, .error_class = order->error_class, .message = order->message}};
  }
  steps_[ref.id] = std::move(step);
  return true;
}

StepStatus ForkServer::Poll(const StepRef& step) {
  auto known = steps_.find(step.id);
  if (known != steps_.end() && HasEnded(known->second)) {
    End(known->second);
    if (known->second.status.kind == StepStatus::Kind::kUnknown) {
      Drop(step.id);
      known = steps_.end();
    }
  }
  if (known == steps_.end()) {
    if (!TakeOn(step)) return {};
    known = steps_.find(step.id);
    if (known == steps_.end()) return {.kind = StepStatus::Kind::kRunning};
  }
  return known->second.status;
}

void ForkServer::Kill(const StepRef& step, const std::string& error_class, const std::string& message) {
  if (Poll(step).kind != StepStatus::Kind::kRunning) return;
  const auto known = steps_.find(step.id);
  if (known == steps_.end() || known->second.order) return;
  known->second.order = KillOrder{error_class, message};
  if (const Status written = WriteKillOrder(step.folder, *known->second.order); !written)
    spdlog::warn("{}", written.error().Message());
  if (known->second.pidfd >= 0) Terminate(known->second);
}

void ForkServer::Terminate(Known& step) {
  syscall(SYS_pidfd_send_signal, step.pidfd, SIGTERM, nullptr, 0);
  step.kill_by_us = clock_.MonotonicUs() + kTermTimeUs;
  ArmTimer();
}

void ForkServer::Force(Known& step) {
  spdlog::warn("the supervisor of {} does not end it; killing all of it", step.ref.id);
  step.forced = true;
  // The pid is the supervisor's as long as the pidfd says that it has not ended.
  if (step.status.pid && !HasEnded(step)) KillTree(*step.status.pid);
  syscall(SYS_pidfd_send_signal, step.pidfd, SIGKILL, nullptr, 0);
  SweepStep(step.ref.folder);
}

void ForkServer::Forget(const std::string& id) { Drop(id); }

void ForkServer::EndAll(const std::string& message) {
  std::vector<StepRef> running;
  for (const auto& [id, step] : steps_)
    if (step.status.kind == StepStatus::Kind::kRunning) running.push_back(step.ref);
  for (const auto& step : running) Kill(step, "cancelled", message);
  const auto deadline_us = clock_.MonotonicUs() + kLongestEndUs;
  const auto still_runs = [&](const auto& entry) { return entry.second.status.kind == StepStatus::Kind::kRunning; };
  while (std::ranges::any_of(steps_, still_runs) && clock_.MonotonicUs() < deadline_us) {
    pollfd polled{epoll_, POLLIN, 0};
    poll(&polled, 1, 50);
    Pump();
  }
}

// The next time that Pump() has to be called though nothing is heard.
void ForkServer::ArmTimer() {
  std::optional<std::int64_t> next;
  const auto at = [&](std::int64_t time_us) { next = std::min(next.value_or(time_us), time_us); };
  for (const auto& worker : workers_)
    if (const auto launch = worker->next_launch_us()) at(*launch);
  for (const auto& [id, step] : steps_) {
    if (step.pidfd >= 0 && step.order && !step.forced) at(step.kill_by_us);
    if (IsUnanswered(step)) at(step.asked_us + answer_time_us_);
  }
  const std::int64_t wait_us = next ? std::max<std::int64_t>(*next - clock_.MonotonicUs(), 1000) : 0;
  const itimerspec timer{{0, 0}, {wait_us / 1'000'000, wait_us % 1'000'000 * 1000}};
  timerfd_settime(timer_, 0, &timer, nullptr);
}

}  // namespace ratchet::pipeline
