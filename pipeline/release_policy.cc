#include "pipeline/release_policy.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

namespace ratchet::pipeline {
namespace {

using registry::ReleaseState;

bool IsTried(const ReleaseSpec& plan, const ReleaseFacts& facts) { return plan.strategy != "immediate" && facts.has_live; }

ReleaseAction LastDoor(const ReleaseSpec& plan, const ReleaseFacts& facts) {
  if (plan.approval == "manual" && !facts.approved) return AskApproval{};
  return GoLive{};
}

// What keeps a watch from passing, in a sentence; nothing where it passes.
std::optional<std::string> Lacking(const ReleaseSpec& plan, const ReleaseFacts& facts) {
  const gate::WatchReport& watch = *facts.watch;
  if (facts.paused) return "No traffic reaches the candidate; the watch stands still.";
  if (watch.mismatch)
    return fmt::format("Requests fell to the versions in other shares than asked for (p {:.1g}): they cannot be compared, and nothing passes. "
                       "Look for clients that retry or shed; abort the release, or mend it.", watch.mismatch_p);
  if (watch.requests < plan.watch.min_requests)
    return fmt::format("{} of {} requests have been seen.", watch.requests, plan.watch.min_requests);
  if (std::string doubt = gate::WatchSentence(watch); !doubt.empty()) return doubt + " It goes on being watched.";
  for (const gate::Signal& signal : watch.signals)
    if (signal.state == gate::SignalState::kQuiet) return fmt::format("Too little is known of {} yet.", signal.name);
  if (facts.watched_us < plan.watch.for_s * 1'000'000)
    return fmt::format("All is well so far: watched {} s of {} s.", facts.watched_us / 1'000'000, plan.watch.for_s);
  return std::nullopt;
}

ReleaseAction NextOfLoading(const ReleaseSpec& plan, const ReleaseFacts& facts) {
  switch (facts.load.kind) {
    case LoadState::Kind::kFailed: return GiveUp{facts.load.cause};
    case LoadState::Kind::kNoReplica:
    case LoadState::Kind::kLoading: return KeepWaiting{"The replicas load it."};
    case LoadState::Kind::kReady: break;
  }
  if (IsTried(plan, facts)) return ShiftTo{0};
  return LastDoor(plan, facts);
}

ReleaseAction NextOfWatching(const ReleaseSpec& plan, const ReleaseFacts& facts) {
  if (facts.load.kind == LoadState::Kind::kFailed) return GiveUp{facts.load.cause};
  if (facts.approved && plan.strategy == "ab") return GoLive{};
  const auto lacking = Lacking(plan, facts);
  if (lacking) return KeepWaiting{*lacking};
  if (plan.strategy == "ab") return KeepWaiting{"All is well; it goes on until someone approves or aborts it."};
  // The last step of a canary, 100 %, is being live.
  const auto next = static_cast<size_t>(facts.step) + 1;
  if (plan.strategy == "canary" && next < plan.steps.size() && plan.steps[next] < 1) return ShiftTo{facts.step + 1};
  return LastDoor(plan, facts);
}

}  // namespace

ReleaseAction NextOfRelease(const ReleaseSpec& plan, const ReleaseFacts& facts) {
  if (facts.watch && facts.watch->Harmful()) return RollBack{gate::WatchSentence(*facts.watch)};
  switch (facts.state) {
    case ReleaseState::kLoading: return NextOfLoading(plan, facts);
    case ReleaseState::kWatching: return facts.watch ? NextOfWatching(plan, facts) : ReleaseAction(KeepWaiting{"Nothing is known yet."});
    case ReleaseState::kWaiting:
      if (facts.load.kind == LoadState::Kind::kFailed) return GiveUp{facts.load.cause};
      if (facts.approved) return GoLive{};
      return KeepWaiting{"It waits for an approval."};
    case ReleaseState::kPending:
    case ReleaseState::kDone:
    case ReleaseState::kFailed:
    case ReleaseState::kAborted: break;
  }
  return KeepWaiting{""};
}

registry::TrafficSplit SplitOf(const ReleaseSpec& plan, std::int64_t step, std::int64_t candidate, std::optional<std::int64_t> previous) {
  registry::TrafficSplit split{.mode = plan.strategy, .arms = {}};
  if (plan.strategy == "shadow") split.arms.push_back({"shadow", candidate, plan.share});
  if (plan.strategy == "canary") {
    const size_t at = std::min(static_cast<size_t>(step), plan.steps.size() - 1);
    // A canary of one step, 100 %, gets all but a sliver: without a live arm there would be nothing to compare with.
    split.arms.push_back({"canary", candidate, std::min(plan.steps[at], kMostCanaryShare)});
  }
  for (const auto& [name, share] : plan.shares) {
    const auto version = name == "candidate" ? std::optional(candidate) : previous;
    if (version && (name == "candidate" || *version != candidate)) split.arms.push_back({"ab", *version, share});
  }
  return split;
}

double ComparedShare(const ReleaseSpec& plan, const registry::TrafficSplit& split) {
  if (plan.strategy == "shadow" || split.arms.empty()) return 0.5;
  double live = 1;
  for (const registry::TrafficArm& arm : split.arms) live -= arm.share;
  const double candidate = split.arms.front().share;
  return candidate / (candidate + live);
}

gate::WatchLimits LimitsOf(const WatchSpec& watch) {
  return {.error_rate = watch.error_rate, .p99_latency_us = watch.p99_latency_us, .metric_drop = watch.metric_drop,
          .min_requests = watch.min_requests, .alpha = 1 - watch.confidence};
}

WatchClock AfterLook(WatchClock clock, std::int64_t now_us, std::int64_t requests) {
  if (requests <= clock.requests) return clock;
  // The clock may have been set back: that adds nothing.
  if (clock.seen_at) clock.watched_us += std::clamp<std::int64_t>(now_us - *clock.seen_at, 0, kLongestGapUs);
  clock.seen_at = now_us;
  clock.requests = requests;
  return clock;
}

bool IsPaused(const WatchClock& clock, std::int64_t step_at_us, std::int64_t now_us) {
  const std::int64_t since_us = now_us - clock.seen_at.value_or(step_at_us);
  return since_us > kLongestGapUs || since_us < -kLongestGapUs;
}

}  // namespace ratchet::pipeline
