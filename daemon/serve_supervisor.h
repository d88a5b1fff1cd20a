#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace ratchet::daemon {

struct ServeOptions {
  std::string program;      // path of ratchet-serve
  std::string data_dir;     // absolute
  std::string listen;       // "127.0.0.1:7301"
  std::string control_url;  // of this daemon
  std::string log_level = "info";
  std::vector<std::string> logging = {};  // further arguments: what of the answers is logged
};

// Keeps one ratchet-serve running. It lives in a session of its own and outlives a killed daemon; the next daemon takes
// on the one it finds by its lock file, unless that one was told another address. One thread, the control loop's.
class ServeSupervisor {
 public:
  ServeSupervisor(ServeOptions options, Files& files, const Clock& clock);
  ServeSupervisor(const ServeSupervisor&) = delete;
  ServeSupervisor& operator=(const ServeSupervisor&) = delete;

  // Starts it when it is not running and its pause is over. Returns when it wants to be called again (monotonic time).
  std::int64_t Tick();
  // Asks it to end (SIGTERM) and waits at most so long; then it is killed.
  void Stop(int wait_ms);

  int pid() const { return pid_; }  // 0 while it does not run
  int starts() const { return starts_; }

 private:
  bool StillRuns();
  void Adopt();
  void Launch();
  std::string Setup() const;  // what a running one must have been told, as text

  const ServeOptions options_;
  Files& files_;
  const Clock& clock_;
  bool adopted_ = false;
  bool looked_ = false;  // for one that runs already
  int pid_ = 0;
  int starts_ = 0;
  int deaths_in_a_row_ = 0;
  std::int64_t started_us_ = 0;
  std::int64_t next_start_us_ = 0;
};

}  // namespace ratchet::daemon
