#include "pipeline/release_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ratchet::pipeline {
namespace {

using gate::SignalState;
using registry::ReleaseState;
using testing::HasSubstr;

constexpr std::int64_t kSecondUs = 1'000'000;

ReleaseSpec Plan(const char* strategy, const char* approval = "auto") {
  ReleaseSpec plan;
  plan.strategy = strategy;
  plan.approval = approval;
  if (plan.strategy == "canary") plan.steps = {0.05, 0.25, 1};
  if (plan.strategy == "ab") plan.shares = {{"candidate", 0.4}, {"previous", 0.2}};
  plan.watch.for_s = 120;
  return plan;
}

gate::WatchReport Watch(SignalState state, std::int64_t requests = 500, bool mismatch = false) {
  return {.signals = {{.name = "error_rate", .state = state, .candidate = 0.1, .live = 0.01, .candidate_bounds = {}, .live_bounds = {}}},
          .requests = requests, .mismatch = mismatch, .mismatch_p = 1};
}

std::string Told(const ReleaseAction& action) {
  struct Teller {
    std::string operator()(const KeepWaiting&) { return "wait"; }
    std::string operator()(const ShiftTo& shift) { return "shift " + std::to_string(shift.step); }
    std::string operator()(const AskApproval&) { return "ask"; }
    std::string operator()(const GoLive&) { return "live"; }
    std::string operator()(const GiveUp&) { return "give up"; }
    std::string operator()(const RollBack&) { return "roll back"; }
  };
  return std::visit(Teller{}, action);
}

const LoadState kLoads{LoadState::Kind::kLoading, ""}, kReady{LoadState::Kind::kReady, ""}, kBroken{LoadState::Kind::kFailed, "bad file"};

TEST(ReleasePolicy, DecidesWhileReplicasLoad) {
  struct Case {
    const char *strategy, *approval;
    LoadState load;
    bool has_live, approved;
    const char* next;
  };
  const Case cases[] = {
      {"immediate", "auto", kLoads, true, false, "wait"},   {"immediate", "auto", kReady, true, false, "live"},
      {"immediate", "auto", kBroken, true, false, "give up"}, {"immediate", "manual", kReady, true, false, "ask"},
      {"immediate", "manual", kReady, true, true, "live"},  {"canary", "auto", kReady, true, false, "shift 0"},
      {"canary", "auto", kLoads, true, false, "wait"},      {"canary", "auto", kReady, false, false, "live"},
      {"canary", "manual", kReady, false, false, "ask"},    {"shadow", "auto", kReady, true, false, "shift 0"},
      {"ab", "auto", kReady, true, true, "shift 0"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(Told(NextOfRelease(Plan(c.strategy, c.approval), {.state = ReleaseState::kLoading, .has_live = c.has_live,
                                                                .approved = c.approved, .load = c.load, .watch = {}})), c.next)
        << c.strategy << " " << c.approval;
}

TEST(ReleasePolicy, DecidesWhileTrafficIsShared) {
  struct Case {
    const char *what, *strategy, *approval;
    std::int64_t step, watched_s;
    gate::WatchReport watch;
    bool paused, approved;
    const char* next;
  };
  const auto well = Watch(SignalState::kHolds);
  const Case cases[] = {
      {"the window is not over", "canary", "auto", 0, 119, well, false, false, "wait"},
      {"the window is over", "canary", "auto", 0, 120, well, false, false, "shift 1"},
      {"the last step", "canary", "auto", 1, 120, well, false, false, "live"},
      {"the last step, to be approved", "canary", "manual", 1, 120, well, false, false, "ask"},
      {"the last step, approved", "canary", "manual", 1, 120, well, false, true, "live"},
      {"approval shortens nothing", "canary", "manual", 0, 10, well, false, true, "wait"},
      {"no traffic", "canary", "auto", 0, 500, well, true, false, "wait"},
      {"little traffic", "canary", "auto", 0, 500, Watch(SignalState::kHolds, 99), false, false, "wait"},
      {"doubt", "canary", "auto", 0, 500, Watch(SignalState::kDoubt), false, false, "wait"},
      {"too little known", "canary", "auto", 0, 500, Watch(SignalState::kQuiet), false, false, "wait"},
      {"other shares than asked for", "canary", "auto", 0, 500, Watch(SignalState::kHolds, 500, true), false, false, "wait"},
      {"harm at once", "canary", "auto", 0, 1, Watch(SignalState::kHarm, 20), false, false, "roll back"},
      {"harm without traffic", "canary", "auto", 0, 1, Watch(SignalState::kHarm, 20), true, true, "roll back"},
      {"a shadow that has passed", "shadow", "auto", 0, 120, well, false, false, "live"},
      {"a shadow, to be approved", "shadow", "manual", 0, 120, well, false, false, "ask"},
      {"ab never passes", "ab", "auto", 0, 9999, well, false, false, "wait"},
      {"ab, approved", "ab", "auto", 0, 3, Watch(SignalState::kDoubt), true, true, "live"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(Told(NextOfRelease(Plan(c.strategy, c.approval),
                                 {.state = ReleaseState::kWatching, .step = c.step, .approved = c.approved, .load = kReady,
                                  .watched_us = c.watched_s * kSecondUs, .paused = c.paused, .watch = c.watch})), c.next) << c.what;
}

TEST(ReleasePolicy, WaitsForAnApprovalAndGoesOnWatching) {
  ReleaseFacts facts{.state = ReleaseState::kWaiting, .load = kReady, .watch = Watch(SignalState::kHolds)};
  EXPECT_EQ(Told(NextOfRelease(Plan("canary", "manual"), facts)), "wait");
  facts.approved = true;
  EXPECT_EQ(Told(NextOfRelease(Plan("canary", "manual"), facts)), "live");
  facts.watch = Watch(SignalState::kHarm);
  EXPECT_EQ(Told(NextOfRelease(Plan("canary", "manual"), facts)), "roll back");
  facts.watch.reset();
  facts.approved = false;
  EXPECT_EQ(Told(NextOfRelease(Plan("immediate", "manual"), facts)), "wait");
}

TEST(ReleasePolicy, SaysWhatItWaitsFor) {
  ReleaseFacts facts{.state = ReleaseState::kWatching, .load = kReady, .paused = true, .watch = Watch(SignalState::kHolds)};
  const auto why = [&] { return std::get<KeepWaiting>(NextOfRelease(Plan("canary"), facts)).why; };
  EXPECT_EQ(why(), "No traffic reaches the candidate; the watch stands still.");
  facts.paused = false;
  EXPECT_EQ(why(), "All is well so far: watched 0 s of 120 s.");
  facts.watch = Watch(SignalState::kHolds, 7);
  EXPECT_EQ(why(), "7 of 100 requests have been seen.");
  facts.watch = Watch(SignalState::kDoubt);
  EXPECT_THAT(why(), HasSubstr("perhaps worse"));
}

TEST(SplitOf, SharesTrafficByStepAndStrategy) {
  const auto canary = SplitOf(Plan("canary"), 1, 3, 1);
  ASSERT_EQ(canary.arms.size(), 1u);
  EXPECT_EQ(canary.mode, "canary");
  EXPECT_EQ(canary.arms[0].version, 3);
  EXPECT_EQ(canary.arms[0].share, 0.25);
  EXPECT_DOUBLE_EQ(ComparedShare(Plan("canary"), canary), 0.25);
  const auto ab = SplitOf(Plan("ab"), 0, 3, 1);
  ASSERT_EQ(ab.arms.size(), 2u);
  EXPECT_EQ(ab.arms[0].version, 3);
  EXPECT_EQ(ab.arms[1].version, 1);
  EXPECT_DOUBLE_EQ(ComparedShare(Plan("ab"), ab), 0.5);
  EXPECT_EQ(SplitOf(Plan("ab"), 0, 3, {}).arms.size(), 1u) << "there is no previous version";
  EXPECT_EQ(SplitOf(Plan("shadow"), 0, 3, {}).arms[0].role, "shadow");
  ReleaseSpec at_once = Plan("canary");
  at_once.steps = {1};
  EXPECT_EQ(SplitOf(at_once, 0, 3, {}).arms[0].share, kMostCanaryShare);
}

TEST(WatchClock, StandsStillWithoutTraffic) {
  WatchClock clock;
  clock = AfterLook(clock, 100 * kSecondUs, 10);
  EXPECT_EQ(clock.watched_us, 0);
  clock = AfterLook(clock, 101 * kSecondUs, 20);
  EXPECT_EQ(clock.watched_us, 1 * kSecondUs);
  clock = AfterLook(clock, 105 * kSecondUs, 20);
  EXPECT_EQ(clock.watched_us, 1 * kSecondUs);
  clock = AfterLook(clock, 500 * kSecondUs, 21);
  EXPECT_EQ(clock.watched_us, 1 * kSecondUs + kLongestGapUs) << "a day of silence is no day of watching";
  clock = AfterLook(clock, 400 * kSecondUs, 30);
  EXPECT_EQ(clock.watched_us, 1 * kSecondUs + kLongestGapUs) << "the clock was set back";
  EXPECT_FALSE(IsPaused(clock, 0, 405 * kSecondUs));
  EXPECT_TRUE(IsPaused(clock, 0, 411 * kSecondUs));
  EXPECT_TRUE(IsPaused({}, 100 * kSecondUs, 111 * kSecondUs));
  EXPECT_FALSE(IsPaused({}, 100 * kSecondUs, 105 * kSecondUs));
}

}  // namespace
}  // namespace ratchet::pipeline
