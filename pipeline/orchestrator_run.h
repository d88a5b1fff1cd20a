#pragma once

#include "pipeline/graph.h"
#include "pipeline/orchestrator.h"

// What the orchestrator's sources share; nobody else includes it.
namespace ratchet::pipeline {

inline constexpr std::int64_t kIdleTickUs = 5'000'000;   // nothing under way
inline constexpr std::int64_t kBusyTickUs = 500'000;     // steps running: their ends wake the loop earlier
inline constexpr std::int64_t kPidAfterUs = 200'000;     // a step that is over sooner is not worth a commit for its pid
inline constexpr std::int64_t kWaitingTickUs = 50'000;   // waiting for the executor or for replicas

inline constexpr std::int64_t kMostJudgedAgain = 4;      // because the live version had changed; then the run fails

// Whether the time since then is over; also when the clock went back by more than that, perhaps by days.
inline bool IsOver(std::int64_t since_us, std::int64_t limit_us, std::int64_t now_us) {
  return now_us - since_us > limit_us || since_us - now_us > limit_us;
}

// One run while its actions are performed.
struct Orchestrator::Context {
  registry::RunWork work;
  SpecPtr spec;
  std::set<std::string> begun = {};  // steps begun since `work` was read

  const registry::Run& run() const { return work.run; }
  const registry::Step* Find(const std::string& name) const {
    for (const registry::Step& step : work.open)
      if (step.name == name) return &step;
    return nullptr;
  }
};

}  // namespace ratchet::pipeline
