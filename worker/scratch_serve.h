#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "worker/sandbox.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// A ratchet-serve of a step's own, with one bundle (serving/scratch.h), confined as a model is scored: it writes
// nothing.
namespace ratchet::worker {

struct ScratchPlan {
  SandboxMeans means = SandboxMeans::kNone;  // what this process is shut in by
  std::string step_folder;
  std::string program;  // ratchet-serve
  BundleFiles bundle;
  std::int64_t start_ms = 60'000;  // until it listens: LibTorch is loaded
  std::int64_t load_ms = 120'000;  // until the model answers
};

// One running process; killed and waited for, with all that it left behind, by Stop or the destructor. It dies with
// this process. The calling process must have one thread and be a subreaper.
class ScratchServe {
 public:
  // Starts it and waits until the model is loaded. kUser: the model cannot be served, and why; it crashes the process, too,
  // where the signal is its own doing (worker/confined_call.h). kTimeout, kSignal,
  // kInternal: the process did not get that far, or did not say so.
  static std::expected<std::unique_ptr<ScratchServe>, StepError> Start(const ScratchPlan& plan);
  ~ScratchServe();
  ScratchServe(const ScratchServe&) = delete;
  ScratchServe& operator=(const ScratchServe&) = delete;

  int port() const { return port_; }
  std::int64_t load_us() const { return load_us_; }
  std::uint64_t empty_bytes() const { return empty_bytes_; }  // most memory that was resident before it had a model
  std::uint64_t PeakBytes() const;                            // by now; 0 where it is gone
  // How it ended, "by signal 11 (Segmentation fault)", if it does within the time; else empty.
  std::string Ended(int wait_ms);
  int ended_signal() const { return ended_signal_; }  // once it has ended; 0: by none
  // False where something of it cannot be ended.
  bool Stop();

 private:
  ScratchServe() = default;
  std::expected<nlohmann::json, StepError> Hear(const char* event, std::int64_t wait_ms);
  std::expected<void, StepError> AwaitLoaded(const ScratchPlan& plan);
  StepError Silent(const char* event, bool in_time);
  void NoteEnd(int status);

  pid_t pid_ = -1;
  int told_ = -1;
  std::string unread_;
  std::string ended_;
  int ended_signal_ = 0;
  int port_ = 0;
  std::int64_t load_us_ = 0;
  std::uint64_t empty_bytes_ = 0;
};

}  // namespace ratchet::worker
