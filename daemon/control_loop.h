#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "daemon/serve_supervisor.h"
#include "pipeline/fork_server.h"
#include "pipeline/orchestrator.h"

namespace ratchet::daemon {

// The daemon's one loop: ticks the orchestrator when rows changed, a step's process said something, or its time has
// come; keeps worker and data plane alive; ends on SIGTERM or SIGINT. Run() is called once, by the main thread.
class ControlLoop {
 public:
  // From here on a signal does not end the process but, once it runs, the loop.
  ControlLoop(pipeline::Orchestrator& orchestrator, pipeline::ForkServer& worker, const Clock& clock);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Gives the loop a data plane to keep alive. Before Run().
  void Supervise(ServeSupervisor& serve) { serve_ = &serve; }
  // Returns after a signal or Stop(). Steps go on after SIGTERM and Stop(), and are ended after SIGINT.
  void Run();
  // Asks for a turn soon. Any thread.
  void Wake();
  void Stop();

 private:
  struct Reactor;
  void Turn();
  void WatchWorker();
  void WatchServe();

  pipeline::Orchestrator& orchestrator_;
  pipeline::ForkServer& worker_;
  ServeSupervisor* serve_ = nullptr;
  const Clock& clock_;
  std::atomic<bool> wake_asked_{false};
  bool watching_ = false;
  bool interrupted_ = false;  // by SIGINT
  std::unique_ptr<Reactor> reactor_;
};

}  // namespace ratchet::daemon
