#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "pipeline/fork_server.h"
#include "pipeline/orchestrator.h"

namespace ratchet::daemon {

// The one thread that ticks. It waits for the time that the last tick asked for, for word from the fork server, for
// Wake() and for signals; whatever comes leads to the same turn: pump the fork server, do the chores, tick.
class ControlLoop {
 public:
  ControlLoop(pipeline::Orchestrator& orchestrator, pipeline::ForkServer& fork_server, const Clock& clock);
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Work that is done in every turn, at least once a second, quickly: supervision. Before Run() only.
  void AddChore(std::function<void()> chore) { chores_.push_back(std::move(chore)); }

  // Runs until SIGTERM, SIGINT or Stop(). The calling thread is the loop's.
  void Run();
  // Another turn soon. Any thread; many calls before that turn are one.
  void Wake();
  // Ends Run(). Any thread.
  void Stop();

 private:
  void Turn();
  void WaitForWorker();

  pipeline::Orchestrator& orchestrator_;
  pipeline::ForkServer& fork_server_;
  const Clock& clock_;
  std::vector<std::function<void()>> chores_;
  boost::asio::io_context context_{1};
  boost::asio::steady_timer timer_{context_};
  boost::asio::signal_set signals_{context_};
  boost::asio::posix::stream_descriptor worker_{context_};
  int worker_fd_ = -1;
  std::atomic<bool> wake_pending_{false};
};

}  // namespace ratchet::daemon
