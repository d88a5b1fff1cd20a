#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "gate/release_watch.h"
#include "pipeline/executor.h"
#include "pipeline/spec.h"
#include "registry/release_steps.h"

// What a release under way does next: a pure function of its record, of what replicas and watch say, and of the time.
namespace ratchet::pipeline {

// Wait: for replicas, for traffic, for time to pass, for someone's word. `why` is for people.
struct KeepWaiting { std::string why; };
struct ShiftTo { std::int64_t step = 0; };  // from 0
struct AskApproval {};
struct GoLive {};
struct GiveUp { std::string cause; };       // it could not be tried
struct RollBack { std::string harm; };      // it was tried, and harm is proven
using ReleaseAction = std::variant<KeepWaiting, ShiftTo, AskApproval, GoLive, GiveUp, RollBack>;

struct ReleaseFacts {
  registry::ReleaseState state = registry::ReleaseState::kLoading;
  std::int64_t step = 0;
  bool has_live = true;              // there is a live version to compare with
  bool approved = false;
  LoadState load = {};
  std::int64_t watched_us = 0;       // time with traffic in this step
  bool paused = false;               // no traffic has come for a while
  std::optional<gate::WatchReport> watch = {};  // while it shares traffic
};
// A first version has nothing beside which it could be watched: it is live once it is loaded, and approved where that is asked for.
ReleaseAction NextOfRelease(const ReleaseSpec& plan, const ReleaseFacts& facts);

// The largest share of a canary that still leaves something to compare it with: a spec of the one step 100 % gets this.
inline constexpr double kMostCanaryShare = 0.99;
// The shares of a step. `previous`: the version that the arm of this name stands for; without one that arm is left out.
registry::TrafficSplit SplitOf(const ReleaseSpec& plan, std::int64_t step, std::int64_t candidate, std::optional<std::int64_t> previous);
// Of the requests that fall to candidate or live version, the share that falls to the candidate.
double ComparedShare(const ReleaseSpec& plan, const registry::TrafficSplit& split);

gate::WatchLimits LimitsOf(const WatchSpec& watch);

// How long a watch has seen traffic. A look at which new requests are there adds the time since the last such look, but
// at most kLongestGapUs: without traffic the watch stands still.
inline constexpr std::int64_t kLongestGapUs = 10'000'000;
struct WatchClock {
  std::int64_t watched_us = 0;
  std::optional<std::int64_t> seen_at;  // wall time at which new requests were seen last
  std::int64_t requests = 0;            // of the candidate, by then
};
WatchClock AfterLook(WatchClock clock, std::int64_t now_us, std::int64_t requests);
bool IsPaused(const WatchClock& clock, std::int64_t step_at_us, std::int64_t now_us);

}  // namespace ratchet::pipeline
