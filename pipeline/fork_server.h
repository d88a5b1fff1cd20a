#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "pipeline/executor.h"

namespace ratchet::pipeline {

struct ForkServerOptions {
  std::string program;   // path of ratchet-worker
  std::string plugins;   // folder of plugins
  std::string log_path;  // the fork server's own stderr is appended here
  std::string log_level = "info";
};

// Runs steps as children of a `ratchet-worker` process of its own, over a socket pair (docs/formats.md, "Fork server").
// Starts the process when needed and again when it dies, with a growing pause. The control loop's thread only, but for
// Describe() and Ready(), which any thread may call.
class ForkServer final : public Executor {
 public:
  ForkServer(ForkServerOptions options, const Clock& clock);
  ~ForkServer() override;  // closes the socket, upon which the worker ends with its children; waits for that, bounded
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  // Starts the worker if it is not running and its pause is over, and takes in what it has sent. To be called in every
  // turn of the loop and whenever fd() is readable. True if anything changed.
  bool Pump();
  // The control socket, to wait on; -1 while there is no worker.
  int fd() const { return socket_; }
  int pid() const { return pid_; }
  // How the worker ended or failed to start last, since when nothing has been ready; empty `how` = it has not.
  struct LastEnd {
    std::string how;
    std::uint64_t log_from = 0;  // where in the log its own lines begin
  };
  LastEnd WhyDown() const;  // any thread
  // The worker's state as /api/v1/status shows it: "ready", "starting", "down".
  std::string State() const;

  bool Ready() const override;
  Status Start(const std::string& id, const std::string& folder) override;
  void Kill(const std::string& id, const std::string& error_class, const std::string& message) override;
  StepStatus Poll(const std::string& id) override;
  void Forget(const std::string& id) override;
  nlohmann::json Describe() const override;

 private:
  void Launch();
  void Bury();
  void Take(const nlohmann::json& packet);
  Status Send(const nlohmann::json& packet);

  const ForkServerOptions options_;
  const Clock& clock_;
  int socket_ = -1;
  int pid_ = 0;
  std::atomic<int> deaths_in_a_row_{0};
  std::int64_t next_launch_us_ = 0;  // monotonic
  std::map<std::string, StepStatus> steps_;
  mutable std::mutex ready_mutex_;
  std::shared_ptr<const nlohmann::json> ready_;  // the `ready` packet; null before it came
  LastEnd last_end_;                             // under ready_mutex_
  std::uint64_t log_size_ = 0;                   // at the last launch
};

}  // namespace ratchet::pipeline
