#include "pipeline/run_plan.h"

#include <gtest/gtest.h>

#include "pipeline/graph.h"
#include "pipeline/run_queue.h"
#include "pipeline/step_cache.h"
#include "pipeline/triggers.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptState;
using registry::Json;
using registry::RunState;
using registry::RunWork;
using registry::Step;
using registry::StepState;

constexpr std::int64_t kNow = 1'000'000'000;

RunWork With(std::vector<Step> open) {
  RunWork work{.run = {.id = 1, .state = RunState::kRunning}, .open = std::move(open)};
  work.run.started_at = kNow;
  return work;
}

Step Open(const std::string& kind, std::vector<Attempt> attempts = {}) {
  Step step{.name = kind, .kind = kind};
  step.state = attempts.empty() ? StepState::kPending : StepState::kRunning;
  step.attempts = std::move(attempts);
  return step;
}

Attempt Ended(AttemptState state, const std::string& error_class, std::int64_t number = 1) {
  return {.run = 1, .step = "train", .number = number, .state = state, .ended_at = kNow, .error = Json{{"class", error_class}}};
}

AttemptPolicy Plain(const Step&) { return {.attempts = 3, .retry = {.jitter = 0}}; }

RunAction Only(const RunWork& work, std::int64_t now_us = kNow, AttemptPolicy (*policy)(const Step&) = Plain) {
  auto actions = NextActions(work, policy, now_us);
  EXPECT_EQ(actions.size(), 1u);
  return actions.at(0);
}

template <typename Action>
bool Is(const RunAction& action) {
  return std::holds_alternative<Action>(action);
}

TEST(RunPlan, StartsWhatMayStartAndPollsWhatRuns) {
  Attempt running{.run = 1, .step = "a", .number = 2};
  auto actions = NextActions(With({Open("command", {running}), Open("command"), Open("gate")}), Plain, kNow);
  ASSERT_EQ(actions.size(), 3u);
  EXPECT_EQ(std::get<PollAttempt>(actions[0]).attempt.number, 2);
  EXPECT_TRUE(Is<StartAttempt>(actions[1]));
  EXPECT_TRUE(Is<JudgeCandidate>(actions[2]));
}

TEST(RunPlan, KnowsWhatTheControlLoopDoesItself) {
  EXPECT_TRUE(Is<SelectTrial>(Only(With({Open("select")}))));
  EXPECT_TRUE(Is<StartRelease>(Only(With({Open("release")}))));
  Step release = Open("release");
  release.state = StepState::kRunning;
  EXPECT_TRUE(Is<FollowRelease>(Only(With({release}))));
}

TEST(RunPlan, TriesALostAttemptAgainAtOnceAndDoesNotCountIt) {
  std::vector<Attempt> lost(50, Ended(AttemptState::kLost, "lost"));
  EXPECT_TRUE(Is<StartAttempt>(Only(With({Open("train", lost)}))));
  lost.resize(kMaxLostAttempts, lost[0]);
  EXPECT_TRUE(Is<FailStep>(Only(With({Open("train", lost)}))));
}

TEST(RunPlan, WaitsLongerAfterEachFailureAndThenGivesUp) {
  std::vector<Attempt> failed{Ended(AttemptState::kFailed, "signal")};
  EXPECT_EQ(std::get<WaitUntil>(Only(With({Open("train", failed)}))).at_us, kNow + 500'000);
  EXPECT_TRUE(Is<StartAttempt>(Only(With({Open("train", failed)}), kNow + 500'000)));
  failed.push_back(Ended(AttemptState::kFailed, "signal", 2));
  EXPECT_EQ(std::get<WaitUntil>(Only(With({Open("train", failed)}))).at_us, kNow + 1'000'000);
  failed.push_back(Ended(AttemptState::kFailed, "signal", 3));
  EXPECT_TRUE(Is<FailStep>(Only(With({Open("train", failed)}))));
}

TEST(RunPlan, DoesNotWaitForAClockThatWentBack) {
  std::vector<Attempt> failed{Ended(AttemptState::kFailed, "signal")};
  EXPECT_TRUE(Is<StartAttempt>(Only(With({Open("train", failed)}), kNow - 86'400'000'000)));
}

TEST(RunPlan, RetriesByClass) {
  auto next = [](const std::string& error_class, AttemptPolicy (*policy)(const Step&)) {
    return Only(With({Open("train", {Ended(AttemptState::kFailed, error_class)})}), kNow + 100'000'000, policy);
  };
  auto timeouts = [](const Step&) { return AttemptPolicy{.attempts = 3, .retry = {.on = {"timeout"}}}; };
  EXPECT_TRUE(Is<FailStep>(next("timeout", Plain)));
  EXPECT_TRUE(Is<StartAttempt>(next("timeout", timeouts)));
  EXPECT_TRUE(Is<FailStep>(next("signal", timeouts)));
  EXPECT_TRUE(Is<FailStep>(next("user", timeouts)));
}

TEST(RunPlan, JitterIsSeededAndBounded) {
  Attempt last = Ended(AttemptState::kFailed, "signal");
  AttemptPolicy policy{.retry = {.delay_s = 10, .jitter = 0.2}, .seed = 7};
  const std::int64_t first = RetryAt(last, 1, policy);
  EXPECT_EQ(first, RetryAt(last, 1, policy));
  EXPECT_GE(first, kNow + 8'000'000);
  EXPECT_LE(first, kNow + 12'000'000);
  policy.seed = 8;
  EXPECT_NE(first, RetryAt(last, 1, policy));
}

TEST(RunPlan, WhatWasBeforeARetryDoesNotCount) {
  std::vector<Attempt> failed;
  for (int i = 1; i <= 3; ++i) failed.push_back(Ended(AttemptState::kFailed, "signal", i));
  Step step = Open("train", failed);
  step.attempts_before = 3;
  EXPECT_TRUE(Is<StartAttempt>(Only(With({step}))));
}

TEST(RunPlan, ACancelledRunEndsOnceNothingRuns) {
  RunWork work = With({Open("train", {{.run = 1, .step = "train", .number = 1}}), Open("command")});
  work.run.cancel_asked = true;
  EXPECT_EQ(std::get<StopAttempt>(Only(work)).error_class, "cancelled");
  work.open = {Open("command")};
  EXPECT_EQ(std::get<EndRun>(Only(work)).state, RunState::kCancelled);
}

TEST(RunPlan, AFailureStopsTheSiblings) {
  RunWork work = With({Open("command", {{.run = 1, .step = "command", .number = 1}})});
  work.run.error = Json{{"class", "user"}};
  EXPECT_TRUE(Is<StopAttempt>(Only(work)));
  work.open.clear();
  EXPECT_EQ(std::get<EndRun>(Only(work)).outcome, "failed");
}

TEST(RunPlan, ADeadlineIsKept) {
  RunWork work = With({Open("train", {{.run = 1, .step = "train", .number = 1}})});
  work.run.deadline_s = 60;
  auto before = NextActions(work, Plain, kNow + 59'000'000);
  EXPECT_EQ(std::get<WaitUntil>(before.back()).at_us, kNow + 60'000'000);
  EXPECT_EQ(std::get<StopAttempt>(Only(work, kNow + 60'000'000)).error_class, "timeout");
}

TEST(RunPlan, EndsAsItsGateSaid) {
  EXPECT_EQ(std::get<EndRun>(Only(With({}))).outcome, "promoted");
  RunWork rejected = With({});
  rejected.run.outcome = "rejected";
  EXPECT_EQ(std::get<EndRun>(Only(rejected)).outcome, "rejected");
}

TEST(RunQueue, GivesEachPipelineItsTurn) {
  QueueFacts facts{.queued = {{1, "busy", 0, false}, {2, "busy", 0, false}, {3, "rare", 0, false}},
                   .running = {}, .last_begun = {{"busy", 50}, {"rare", 10}}, .free_places = 1};
  EXPECT_EQ(NextToBegin(facts), (std::vector<std::int64_t>{3}));
  facts.free_places = 3;
  EXPECT_EQ(NextToBegin(facts), (std::vector<std::int64_t>{3, 1})) << "one run of a pipeline at a time";
  facts.running = {"rare"};
  EXPECT_EQ(NextToBegin(facts), (std::vector<std::int64_t>{1}));
}

TEST(RunQueue, PriorityGoesFirstAndACancelledRunNeedsNoPlace) {
  QueueFacts facts{.queued = {{1, "a", 0, false}, {2, "b", 5, false}, {3, "c", 0, true}}, .running = {}, .last_begun = {}, .free_places = 1};
  EXPECT_EQ(NextToBegin(facts), (std::vector<std::int64_t>{2, 3}));
}

TEST(Triggers, StartOneRunForTheFirstReasonThatHolds) {
  TriggerFacts facts{.new_rows = 100, .rows_now = 250, .rows_at_last_run = 150, .drift = {}, .drifted_column = {}};
  EXPECT_EQ(DueTrigger(facts)->kind, "new_rows");
  facts.rows_now = 249;
  EXPECT_FALSE(DueTrigger(facts));
  facts.drift_limit = 0.2;
  facts.drift = 0.21;
  facts.drifted_column = "age";
  EXPECT_NE(DueTrigger(facts)->detail.find("age"), std::string::npos);
  facts.missed_fires = 3;
  EXPECT_EQ(DueTrigger(facts)->kind, "schedule");
  facts.first_missed_us = 1'795'316'400'000'000;
  EXPECT_EQ(DueTrigger(facts)->detail, "retrain.schedule; one run for 3 fire times that had none, the first 2026-11-22 03:00 UTC");
  facts.run_active = true;
  EXPECT_FALSE(DueTrigger(facts));
  facts.run_active = false;
  facts.paused = true;
  EXPECT_FALSE(DueTrigger(facts));
}

Json StepFile() {
  return {{"kind", "train"}, {"recipe", "a.b"}, {"command", nullptr}, {"command_files", Json::object()}, {"params", {{"x", 1}}},
          {"seed", 1}, {"inputs", {{"train", {"/d/blobs/sha256/aa/aa11"}}}}, {"limits", {{"cpus", 1}}},
          {"data", {{"target", "y"}, {"key", nullptr}, {"schema", Json::array()}, {"expect", Json::array()}}},
          {"folder", "/d/runs/1/train-1"}, {"run", 1}};
}

TEST(StepCache, KeyFollowsFromContentAlone) {
  const auto key = CacheKey(StepFile(), "build");
  ASSERT_TRUE(key);
  Json other = StepFile();
  other["folder"] = "/elsewhere";
  other["run"] = 9;
  other["inputs"]["train"][0] = "/elsewhere/blobs/sha256/aa/aa11";
  EXPECT_EQ(CacheKey(other, "build"), key);
  EXPECT_NE(CacheKey(other, "another build"), key);
  const Json changes = {{"seed", 2}, {"params", {{"x", 2}}}, {"inputs", {{"train", {"/d/bb"}}}}, {"recipe", "a.c"}};
  for (const auto& [field, value] : changes.items()) {
    Json changed = StepFile();
    changed[field] = value;
    EXPECT_NE(CacheKey(changed, "build"), key) << field;
  }
}

TEST(StepCache, TheSealedRowsAreOpenedAnew) {
  Json test = StepFile();
  test["kind"] = "test";
  EXPECT_FALSE(CacheKey(test, ""));
}

}  // namespace
}  // namespace ratchet::pipeline
