#include "daemon/control_loop.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

namespace ratchet::daemon {
namespace {

constexpr std::int64_t kLongestSleepUs = 1'000'000;  // the worker's pauses and the data plane are looked at this often
constexpr std::int64_t kShortestSleepUs = 1'000;

}  // namespace

struct ControlLoop::Reactor {
  boost::asio::io_context io{1};
  boost::asio::signal_set signals{io, SIGTERM, SIGINT};
  boost::asio::steady_timer timer{io};
  boost::asio::posix::stream_descriptor worker{io};  // a duplicate of the executor's descriptor, to wait on
  boost::asio::posix::stream_descriptor serve{io};   // of the data plane's process, readable when that has ended
  int serve_pid = 0;                                 // its process; 0 = none is watched
};

ControlLoop::ControlLoop(pipeline::Orchestrator& orchestrator, pipeline::ForkServer& worker, const Clock& clock)
    : orchestrator_(orchestrator), worker_(worker), clock_(clock), reactor_(std::make_unique<Reactor>()) {}

ControlLoop::~ControlLoop() = default;

void ControlLoop::Run() {
  reactor_->signals.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("stopping on signal {}", signal);
    interrupted_ = signal == SIGINT;
    reactor_->io.stop();
  });
  reactor_->worker.assign(fcntl(worker_.fd(), F_DUPFD_CLOEXEC, 0));
  boost::asio::post(reactor_->io, [this] { Turn(); });
  reactor_->io.run();
  boost::system::error_code ignored;
  reactor_->worker.close(ignored);
  reactor_->serve.close(ignored);
  // A service manager's stop leaves the steps to the next daemon; who presses Ctrl-C wants everything to end.
  if (interrupted_) worker_.EndAll("ratchetd was interrupted");
}

void ControlLoop::Wake() {
  if (wake_asked_.exchange(true)) return;
  boost::asio::post(reactor_->io, [this] { Turn(); });
}

void ControlLoop::Stop() { reactor_->io.stop(); }

void ControlLoop::Turn() {
  wake_asked_ = false;
  worker_.Pump();
  const std::int64_t due_us = orchestrator_.Tick() - clock_.WallUs();
  std::int64_t sleep_us = std::clamp(due_us, kShortestSleepUs, kLongestSleepUs);
  if (serve_) sleep_us = std::clamp(serve_->Tick() - clock_.MonotonicUs(), kShortestSleepUs, sleep_us);
  WatchWorker();
  WatchServe();
  reactor_->timer.expires_after(std::chrono::microseconds(sleep_us));  // cancels the wait before
  reactor_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) Turn();
  });
}

// Keeps a wait on whatever the executor has to hear: its workers, the ends of steps, its own deadlines.
void ControlLoop::WatchWorker() {
  if (watching_) return;
  watching_ = true;
  reactor_->worker.async_wait(boost::asio::posix::descriptor_base::wait_read,
                              [this](const boost::system::error_code& error) {
                                if (error) return;
                                watching_ = false;
                                if (worker_.Pump()) return Turn();
                                WatchWorker();  // a step has begun, as it was asked to
                              });
}

// A data plane that dies is seen at once, not when it is next looked at.
void ControlLoop::WatchServe() {
  const int pid = serve_ ? serve_->pid() : 0;
  if (pid == reactor_->serve_pid) return;
  boost::system::error_code ignored;
  reactor_->serve.close(ignored);
  reactor_->serve_pid = pid;
  const int fd = pid == 0 ? -1 : static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return;
  reactor_->serve.assign(fd, ignored);
  reactor_->serve.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (!error) Turn();
  });
}

}  // namespace ratchet::daemon
