#include "daemon/control_loop.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>

#include "base/log.h"

namespace ratchet::daemon {
namespace {
constexpr std::int64_t kLongestTurnUs = 1'000'000;  // chores are due at least so often
constexpr std::int64_t kShortestTurnUs = 5'000;     // a tick that asks for "now" again does not spin
}  // namespace

ControlLoop::ControlLoop(pipeline::Orchestrator& orchestrator, pipeline::ForkServer& fork_server, const Clock& clock)
    : orchestrator_(orchestrator), fork_server_(fork_server), clock_(clock) {}

void ControlLoop::Run() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("signal {}: stopping", signal);
    Stop();
  });
  Wake();
  context_.run();
  worker_.close();
}

void ControlLoop::Wake() {
  if (wake_pending_.exchange(true)) return;
  boost::asio::post(context_, [this] {
    wake_pending_ = false;
    Turn();
  });
}

void ControlLoop::Stop() { context_.stop(); }

void ControlLoop::Turn() {
  fork_server_.Pump();
  for (const auto& chore : chores_) chore();
  std::int64_t next_us = orchestrator_.Tick();
  WaitForWorker();
  std::int64_t pause_us = std::clamp(next_us - clock_.WallUs(), kShortestTurnUs, kLongestTurnUs);
  timer_.expires_after(std::chrono::microseconds(pause_us));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Turn();
  });
}

// The worker's socket is waited on by a descriptor of its own, as the worker may come and go.
void ControlLoop::WaitForWorker() {
  if (fork_server_.fd() != worker_fd_) {
    boost::system::error_code ignored;
    worker_.close(ignored);
    worker_fd_ = fork_server_.fd();
    if (worker_fd_ < 0) return;
    worker_.assign(dup(worker_fd_), ignored);
  } else {
    worker_.cancel();
  }
  if (worker_fd_ < 0) return;
  worker_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) Turn();
  });
}

}  // namespace ratchet::daemon
