#include "pipeline/run_plan.h"

#include <gtest/gtest.h>

#include "pipeline/triggers.h"
#include "registry/runs.h"

namespace ratchet::pipeline {
namespace {

using registry::Attempt;
using registry::AttemptState;
using registry::Json;
using registry::RunState;
using registry::StepState;

constexpr std::int64_t kNow = 1'000'000'000;

registry::Run MakeRun(RunState state = RunState::kRunning) {
  registry::Run run{.id = 1, .state = state};
  for (const char* name : registry::kStepNames) run.steps.push_back({.name = name});
  return run;
}

registry::Run AtStep(size_t index, std::vector<Attempt> attempts = {}) {
  registry::Run run = MakeRun();
  for (size_t i = 0; i < index; ++i) run.steps[i].state = StepState::kSucceeded;
  run.steps[index].state = attempts.empty() ? StepState::kPending : StepState::kRunning;
  run.steps[index].attempts = std::move(attempts);
  return run;
}

Attempt Ended(AttemptState state, const std::string& error_class, std::int64_t ended_at = kNow) {
  return {.run = 1, .step = "train", .number = 1, .state = state, .ended_at = ended_at, .error = Json{{"class", error_class}}};
}

template <typename Action>
bool Is(const RunAction& action) {
  return std::holds_alternative<Action>(action);
}

TEST(RunPlan, BeginsAQueuedRun) { EXPECT_TRUE(Is<BeginRun>(NextAction(MakeRun(RunState::kQueued), 3, kNow))); }

TEST(RunPlan, GoesThroughTheStepsInOrder) {
  EXPECT_EQ(std::get<StartAttempt>(NextAction(AtStep(0), 3, kNow)).step, "validate");
  EXPECT_EQ(std::get<StartAttempt>(NextAction(AtStep(1), 3, kNow)).step, "train");
  EXPECT_EQ(std::get<StartAttempt>(NextAction(AtStep(2), 3, kNow)).step, "test");
  EXPECT_TRUE(Is<JudgeCandidate>(NextAction(AtStep(3), 3, kNow)));
  EXPECT_TRUE(Is<StartRelease>(NextAction(AtStep(4), 3, kNow)));
}

TEST(RunPlan, PollsARunningAttempt) {
  Attempt running{.run = 1, .step = "train", .number = 2};
  EXPECT_EQ(std::get<PollAttempt>(NextAction(AtStep(1, {running}), 3, kNow)).attempt.number, 2);
}

TEST(RunPlan, TriesALostAttemptAgainAtOnceAndDoesNotCountIt) {
  std::vector<Attempt> lost(50, Ended(AttemptState::kLost, "lost"));
  EXPECT_TRUE(Is<StartAttempt>(NextAction(AtStep(1, lost), 3, kNow)));
  lost.resize(kMaxLostAttempts, lost[0]);
  EXPECT_TRUE(Is<FailStep>(NextAction(AtStep(1, lost), 3, kNow)));
}

TEST(RunPlan, WaitsLongerAfterEachSignalAndGivesUpAfterTheLastAttempt) {
  std::vector<Attempt> attempts = {Ended(AttemptState::kFailed, "signal")};
  auto first = std::get<WaitUntil>(NextAction(AtStep(1, attempts), 3, kNow));
  attempts.push_back(attempts[0]);
  auto second = std::get<WaitUntil>(NextAction(AtStep(1, attempts), 3, kNow));
  EXPECT_GT(second.at_us, first.at_us);
  EXPECT_TRUE(Is<StartAttempt>(NextAction(AtStep(1, attempts), 3, second.at_us)));
  attempts.push_back(attempts[0]);
  EXPECT_TRUE(Is<FailStep>(NextAction(AtStep(1, attempts), 3, second.at_us)));
}

TEST(RunPlan, DoesNotRepeatWhatWouldFailAgain) {
  for (const char* error_class : {"user", "out_of_memory", "timeout", "disk_quota", "internal"})
    EXPECT_TRUE(Is<FailStep>(NextAction(AtStep(1, {Ended(AttemptState::kFailed, error_class)}), 3, kNow))) << error_class;
}

TEST(RunPlan, EndsAsRejectedWhenTheReleaseIsSkipped) {
  registry::Run run = AtStep(4);
  run.steps[4].state = StepState::kSkipped;
  EXPECT_EQ(std::get<EndRun>(NextAction(run, 3, kNow)).outcome, "rejected");
  EXPECT_EQ(std::get<EndRun>(NextAction(run, 3, kNow)).state, RunState::kSucceeded);
}

TEST(RunPlan, EndsAsPromotedWhenAllSucceeded) {
  registry::Run run = AtStep(4);
  run.steps[4].state = StepState::kSucceeded;
  EXPECT_EQ(std::get<EndRun>(NextAction(run, 3, kNow)).outcome, "promoted");
}

TEST(RunPlan, CancelsTheRunningAttemptBeforeTheRun) {
  registry::Run run = AtStep(1, {Attempt{.run = 1, .step = "train", .number = 1}});
  run.cancel_asked = true;
  EXPECT_TRUE(Is<CancelAttempt>(NextAction(run, 3, kNow)));
  run.steps[1].attempts[0].state = AttemptState::kCancelled;
  EXPECT_EQ(std::get<EndRun>(NextAction(run, 3, kNow)).outcome, "cancelled");
}

TEST(Triggers, FireOnEnoughNewRowsAndNeverTwiceAtOnce) {
  EXPECT_FALSE(DueTrigger({.rows_now = 100}));
  EXPECT_FALSE(DueTrigger({.new_rows = 50, .rows_now = 149, .rows_at_last_run = 100}));
  EXPECT_TRUE(DueTrigger({.new_rows = 50, .rows_now = 150, .rows_at_last_run = 100}));
  EXPECT_FALSE(DueTrigger({.new_rows = 50, .rows_now = 150, .rows_at_last_run = 100, .run_active = true}));
  EXPECT_EQ(DueTrigger({.new_rows = 50, .rows_now = 150, .rows_at_last_run = 100})->kind, "new_rows");
}

}  // namespace
}  // namespace ratchet::pipeline
