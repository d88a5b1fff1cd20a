#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "pipeline/executor.h"
#include "pipeline/step_process.h"
#include "pipeline/worker_process.h"

namespace ratchet::pipeline {

struct ForkServerOptions {
  std::string program;            // path of ratchet-worker
  std::string plugins;            // folder of plugins
  std::string log_path;           // where the one with the recipes writes what it has to say
  std::string commands_log_path;  // the one for commands; empty = log_path + ".commands"
  std::string log_level = "info";
  std::string data_dir;  // of the steps to come, for the workers to get ready for; may be empty
  std::int64_t answer_time_us = 15'000'000;  // for a worker to answer a start, before it is taken for hung and killed
};

// Runs steps by two `ratchet-worker` processes, one for each StepHost (docs/formats.md, "Fork server"), and watches
// each step by a pidfd of its supervisor. Steps outlive the workers and this object; another one takes them on again by
// their folders. The control loop's thread only, but for Describe(), Ready(), State() and WhyDown(), which any thread
// may call.
class ForkServer final : public Executor {
 public:
  ForkServer(ForkServerOptions options, const Clock& clock);
  ~ForkServer() override;  // the workers end, the steps go on
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  // Starts workers that are not running and whose pause is over, takes in what they have sent and which steps have
  // ended, and goes on with kills. To be called in every turn of the loop and whenever fd() is readable. True if there
  // is something new to learn by Poll(), Ready() or State(): a step ended or was refused, a worker came or went.
  bool Pump();
  // Readable when there is something for Pump() to do, its own deadlines included. The same all the time.
  int fd() const { return epoll_; }
  int pid(StepHost host) const { return worker(host).pid(); }
  // The worker's state as /api/v1/status shows it: "ready", "starting", "down".
  std::string State(StepHost host) const { return worker(host).State(); }
  WorkerProcess::LastEnd WhyDown(StepHost host) const { return worker(host).WhyDown(); }
  const std::string& LogPath(StepHost host) const { return worker(host).command().log_path; }

  // Ends every step that is known to run and waits for that, at most some seconds.
  void EndAll(const std::string& message);

  // Recipes that the commands' worker offers, too, are run there.
  StepHost HostOf(const std::string& kind, const std::optional<std::string>& recipe) const override;
  bool Ready(StepHost host) const override { return worker(host).Ready(); }
  Status Start(const StepRef& step) override;
  void Kill(const StepRef& step, const std::string& error_class, const std::string& message) override;
  StepStatus Poll(const StepRef& step) override;
  void Forget(const std::string& id) override;
  nlohmann::json Describe() const override { return worker(StepHost::kRecipes).Describe(); }

 private:
  struct Known {
    StepRef ref;
    StepStatus status;
    std::int64_t asked_us = 0;  // monotonic; when the worker was asked to start it
    int pidfd = -1;             // of the supervisor; -1: not heard of yet, or ended
    std::optional<KillOrder> order;
    std::int64_t kill_by_us = 0;  // monotonic; then SIGTERM has had its time
    bool forced = false;          // SIGKILL has been sent
  };

  WorkerProcess& worker(StepHost host) { return *workers_[host == StepHost::kCommands ? 0 : 1]; }
  const WorkerProcess& worker(StepHost host) const { return *workers_[host == StepHost::kCommands ? 0 : 1]; }
  bool PumpWorker(StepHost host);
  bool PumpSteps();
  bool Hear(WorkerProcess::Heard heard);
  void Follow(Known& step, int pidfd);
  static bool IsUnanswered(const Known& step);
  bool HasEnded(const Known& step) const;
  void End(Known& step);
  void Drop(const std::string& id);
  bool TakeOn(const StepRef& ref);
  void Terminate(Known& step);
  void Force(Known& step);
  void ArmTimer();

  const Clock& clock_;
  const std::int64_t answer_time_us_;
  int epoll_ = -1, timer_ = -1;
  std::array<std::unique_ptr<WorkerProcess>, 2> workers_;  // commands, recipes
  std::map<std::string, Known> steps_;
};

}  // namespace ratchet::pipeline
