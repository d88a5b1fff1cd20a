#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace ratchet::pipeline {

struct WorkerCommand {
  std::string program;   // path of ratchet-worker
  std::string role;      // "commands" or "recipes"
  std::string plugins;   // folder of plugins
  std::string log_path;  // its own stderr is appended here
  std::string log_level = "info";
  std::string data_dir = {};  // may be empty
};

// A `ratchet-worker` process, started when needed and again when it dies, with a growing pause, and the socket to it
// (docs/formats.md, "Fork server"). One thread, but for what is said to be any thread's.
class WorkerProcess {
 public:
  WorkerProcess(WorkerCommand command, const Clock& clock) : command_(std::move(command)), clock_(clock) {}
  ~WorkerProcess();  // closes the socket, upon which the worker ends; its steps go on
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Starts the worker if it is not there and its pause is over; true if it did.
  bool LaunchWhenDue();
  std::optional<std::int64_t> next_launch_us() const;  // monotonic; nothing while it is there
  int fd() const { return socket_; }                   // -1 while it is not there
  int pid() const { return pid_; }
  const WorkerCommand& command() const { return command_; }

  struct Heard {
    enum class Kind { kNothing, kPacket, kDeath };
    Kind kind = Kind::kNothing;
    nlohmann::json packet;
    int pidfd = -1;  // came with it; the caller's to close
  };
  // The next packet that is there; `ready` packets are kept. After kDeath the worker is buried.
  Heard Receive();
  Status Send(const nlohmann::json& packet);
  // Kills the worker, which has not done what it was asked to; its death is heard of by Receive().
  void Kill();

  // Any thread.
  bool Ready() const;
  bool Offers(const std::string& recipe) const;
  nlohmann::json Describe() const;  // the `ready` packet; null while there is none
  std::string State() const;        // "ready", "starting", "down"
  struct LastEnd {
    std::string how;             // how it ended or failed to start last, since when it has not been ready; or empty
    std::uint64_t log_from = 0;  // where in the log its own lines begin
  };
  LastEnd WhyDown() const;

 private:
  void Launch();
  void Bury();
  void TakeReady(const nlohmann::json& packet);

  const WorkerCommand command_;
  const Clock& clock_;
  int socket_ = -1;
  int pid_ = 0;
  std::atomic<int> deaths_in_a_row_{0};
  std::int64_t next_launch_us_ = 0;  // monotonic
  std::uint64_t log_size_ = 0;       // at the last launch
  mutable std::mutex mutex_;
  // Under mutex_:
  std::shared_ptr<const nlohmann::json> ready_;
  std::set<std::string> recipes_;  // by name
  LastEnd last_end_;
};

}  // namespace ratchet::pipeline
