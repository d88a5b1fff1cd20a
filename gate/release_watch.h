#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gate/mean_sequence.h"
#include "gate/rate_sequence.h"

// What traffic says of a candidate that gets a share of it, beside the live version: judged anew whenever counts come in.
// Peek-safe: a candidate that is no worse than it may be is called harmful, at any of all the looks, with probability at
// most alpha. That holds for requests that are independent of each other: where one client sends many under one sticky
// key, they are one observation and count as many.
namespace ratchet::gate {

// What one arm answered within one step of a release.
struct ArmCounts {
  std::int64_t requests = 0;  // answered by the version, well or with a failure of its own
  std::int64_t errors = 0;    // of these: failures
  std::int64_t unkeyed = 0;   // of these: without a sticky key, so that each fell to its arm for itself
  LatencyBuckets latencies = {};
};

// One step: `share` of the requests of both arms fell to the candidate, 0 < share < 1. In a shadow each request that was copied
// counts in both arms: share ½.
struct WatchedStep {
  double share = 0.5;
  ArmCounts candidate = {}, live = {};
  bool paired = false;  // a shadow: nothing is to be learnt from how many came
};

// Scores of answers whose outcome is known, in the order in which they were joined.
struct WatchedScores {
  double low = 0, high = 1;  // all lie in here
  bool higher_is_better = true;
  bool shares = true;  // each is 0 or 1
  std::vector<double> candidate = {}, live = {};
};

// What a candidate may do. Each limit speaks only of what the live version does not do as well.
struct WatchLimits {
  double error_rate = 0;                         // 0 ≤ r < 1; 0: no more than the live version
  std::optional<std::int64_t> p99_latency_us = {};
  std::optional<double> metric_drop = {};             // in the metric's unit, ≥ 0
  std::int64_t min_requests = 100;               // of the candidate, in the step, before anything passes
  double alpha = 0.05;                           // of all signals together
};

enum class SignalState {
  kQuiet,  // too little has been seen
  kHolds,
  kDoubt,  // what was seen is beyond the limit, and worse than live; it is not proven
  kHarm,   // it is
};
std::string_view SignalStateName(SignalState state);  // quiet, holds, doubt, harm

struct Signal {
  std::string_view name;  // error_rate, p99_latency (microseconds), metric_drop
  SignalState state = SignalState::kQuiet;
  double candidate = 0, live = 0;  // as measured
  Bounds candidate_bounds = {}, live_bounds = {};
  double limit = 0;
  double p = 1;                    // anytime-valid, of "it is within its limit or no worse than live"; of a drop: the level or 1
  double level = 0.05;             // harm is proven at this level
  std::int64_t candidate_seen = 0, live_seen = 0;
};

struct WatchReport {
  std::vector<Signal> signals;
  std::int64_t requests = 0;  // of the candidate in the last step
  // That requests fell to the arms in other shares than asked for is proven: then the arms cannot be compared, and nothing
  // passes until someone has looked. Its level is a fifth of alpha, beside alpha.
  bool mismatch = false;
  double mismatch_p = 1;

  bool Harmful() const;
  bool Passes(const WatchLimits& limits) const;  // all hold, and the last step has its min_requests
};

// `steps`: of the release so far, in order; evidence adds up over them. `scores`: none where nothing is watched by feedback.
WatchReport JudgeWatch(const WatchLimits& limits, std::span<const WatchedStep> steps, const std::optional<WatchedScores>& scores);

// One sentence about the first proven harm, or the first doubt; empty where there is neither.
std::string WatchSentence(const WatchReport& report);

}  // namespace ratchet::gate
