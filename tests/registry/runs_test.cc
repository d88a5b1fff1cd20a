#include "registry/runs.h"

#include "registry/models.h"
#include "registry/run_views.h"
#include "tests/registry/registry_fixture.h"

namespace ratchet::registry {
namespace {

using RunsTest = RegistryTest;

TEST_F(RunsTest, StartOnTheLatestDatasetVersionWithAllStepsPending) {
  MakePipeline();
  PushRows(10);
  PushRows(5);
  registry::Run run = StartRunNow();
  EXPECT_EQ(run.dataset_version, 2);
  ASSERT_EQ(run.steps.size(), 5u);
  EXPECT_EQ(run.steps[0].name, "validate");
  EXPECT_EQ(run.steps[4].name, "release");
  for (const Step& step : run.steps) EXPECT_EQ(step.state, StepState::kPending);
}

TEST_F(RunsTest, RefuseToStartWithoutRows) {
  MakePipeline();
  auto run = store_->Write([](Db& db) -> Result<registry::Run> {
    RATCHET_TRY(EnsureDataset(db, 1, "parcels", Json{{"holdout", 0.2}}));
    return CreateRun(db, 1, {.pipeline = "sorter", .reason = Json::object(), .overrides = Json::object(), .spec = Json::object()});
  });
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, ErrorCode::kConflict);
  EXPECT_NE(run.error().hint.find("dataset push"), std::string::npos);
}

TEST_F(RunsTest, NumberTheAttemptsOfAStep) {
  MakePipeline();
  PushRows(10);
  registry::Run run = StartRunNow();
  auto numbers = store_->Write([&](Db& db) -> Result<std::vector<std::int64_t>> {
    RATCHET_TRY(StartRun(db, 5, run.id));
    RATCHET_ASSIGN(Attempt first, StartAttempt(db, 6, run.id, "validate"));
    RATCHET_TRY(EndAttempt(db, 7, first, AttemptState::kLost, {}));
    RATCHET_ASSIGN(Attempt second, StartAttempt(db, 8, run.id, "validate"));
    return std::vector{first.number, second.number};
  });
  ASSERT_TRUE(numbers) << numbers.error().Message();
  EXPECT_EQ(*numbers, (std::vector<std::int64_t>{1, 2}));
}

// What the loop asks in every tick costs what is open, however much has ended: no statement goes through a whole table.
TEST_F(RunsTest, WhatIsAskedInEveryTickGoesThroughNoTable) {
  MakePipeline();
  PushRows(10);
  const std::int64_t run = StartRunNow().id;
  ASSERT_TRUE(store_->Write([&](Db& db) { return StartRun(db, 5, run); }));
  ASSERT_TRUE(store_->Read([&](Db& db) -> Status {
    RunningRuns(db);
    QueuedRuns(db, 100);
    RunningPipelines(db);
    CountActiveRuns(db);
    CountSteps(db);
    LoadingReleases(db);
    LastRun(db, "sorter");
    RATCHET_ASSIGN(const auto record, GetRun(db, run));
    PlaceInQueue(db, record);
    sqlite3* handle = db.database().getHandle();
    for (sqlite3_stmt* one = sqlite3_next_stmt(handle, nullptr); one != nullptr; one = sqlite3_next_stmt(handle, one)) {
      SQLite::Statement plan(db.database(), std::string("EXPLAIN QUERY PLAN ") + sqlite3_sql(one));
      while (plan.executeStep()) {
        const std::string detail = plan.getColumn(3).getString();
        const bool whole = detail.starts_with("SCAN ") && !detail.contains("USING INDEX") && !detail.contains("USING COVERING INDEX") &&
                           !detail.contains("CONSTANT ROW");
        const bool every_run = detail.contains("runs_by_pipeline") && detail.starts_with("SCAN ");
        EXPECT_FALSE(whole || every_run) << detail << ": " << sqlite3_sql(one);
      }
    }
    return {};
  }));
}

TEST_F(RunsTest, RefuseIllegalMovesAndChangeNothing) {
  MakePipeline();
  PushRows(10);
  registry::Run run = StartRunNow();
  Status moved = store_->Write([&](Db& db) { return EndRun(db, 5, run.id, RunState::kSucceeded, {}); });
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, ErrorCode::kConflict);
  auto again = store_->Read([&](Db& db) { return GetRun(db, run.id); });
  EXPECT_EQ(again->state, RunState::kQueued);
}

TEST_F(RunsTest, RetryGoesBackToTheTestWhenTheReleaseFailed) {
  MakePipeline();
  PushRows(10);
  registry::Run run = StartRunNow();
  auto retried = store_->Write([&](Db& db) -> Result<registry::Run> {
    RATCHET_TRY(StartRun(db, 5, run.id));
    for (const char* step : kChain) {
      RATCHET_TRY(MoveStep(db, 5, run.id, step, StepState::kRunning));
      RATCHET_TRY(MoveStep(db, 6, run.id, step, std::string_view(step) == "release" ? StepState::kFailed : StepState::kSucceeded));
    }
    RATCHET_TRY(EndRun(db, 7, run.id, RunState::kFailed, {.outcome = "failed"}));
    return RetryRun(db, 8, "tester", run.id);
  });
  ASSERT_TRUE(retried) << retried.error().Message();
  EXPECT_EQ(retried->state, RunState::kQueued);
  EXPECT_EQ(retried->FindStep("train")->state, StepState::kSucceeded);
  EXPECT_EQ(retried->FindStep("test")->state, StepState::kPending);
  EXPECT_EQ(retried->FindStep("release")->state, StepState::kPending);
}

TEST_F(RunsTest, RetryLeavesTrialsOnceTheBestHasBeenPicked) {
  MakePipeline();
  PushRows(10);
  auto retried = store_->Write([&](Db& db) -> Result<registry::Run> {
    RATCHET_ASSIGN(registry::Run run, CreateRun(db, 3, {.pipeline = "sorter", .reason = {{"kind", "manual"}}, .overrides = Json::object(),
                                                        .spec = Json::object(),
                                                        .steps = {{.name = "trial-1", .kind = "trial", .needs = {}, .params = {}},
                                                                  {.name = "trial-2", .kind = "trial", .needs = {}, .params = {}},
                                                                  {.name = "train", .kind = "select", .needs = {"trial-1", "trial-2"}, .params = {}},
                                                                  {.name = "test", .kind = "test", .needs = {"train"}, .params = {}}}}));
    RATCHET_TRY(StartRun(db, 5, run.id));
    for (const char* step : {"trial-1", "trial-2", "train", "test"}) {
      const bool fails = std::string_view(step) == "trial-2" || std::string_view(step) == "test";
      RATCHET_TRY(MoveStep(db, 5, run.id, step, StepState::kRunning));
      RATCHET_TRY(MoveStep(db, 6, run.id, step, fails ? StepState::kFailed : StepState::kSucceeded));
    }
    RATCHET_TRY(EndRun(db, 7, run.id, RunState::kFailed, {.outcome = "failed"}));
    return RetryRun(db, 8, "tester", run.id);
  });
  ASSERT_TRUE(retried) << retried.error().Message();
  EXPECT_EQ(retried->FindStep("trial-2")->state, StepState::kFailed);
  EXPECT_EQ(retried->FindStep("train")->blocked, 0);
  EXPECT_EQ(retried->FindStep("test")->state, StepState::kPending);
}

TEST_F(RunsTest, PageNewestFirstByCursor) {
  MakePipeline();
  PushRows(10);
  for (int i = 0; i < 5; ++i) StartRunNow();
  auto first = store_->Read([](Db& db) -> Result<Page<registry::Run>> { return ListRuns(db, {}, 2, {}); });
  ASSERT_TRUE(first);
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[0].id, 5);
  auto second = store_->Read([&](Db& db) -> Result<Page<registry::Run>> { return ListRuns(db, {}, 10, first->next); });
  ASSERT_EQ(second->items.size(), 3u);
  EXPECT_EQ(second->items[0].id, 3);
  EXPECT_FALSE(second->next);
}

TEST_F(RunsTest, ADeletedPipelineKeepsItsRunsAndItsNameGoesOnCounting) {
  MakePipeline();
  PushRows(10);
  registry::Run run = StartRunNow();
  EXPECT_FALSE(store_->Write([](Db& db) { return DeletePipeline(db, 9, "tester", "sorter"); })) << "a run is active";
  ASSERT_TRUE(store_->Write([&](Db& db) { return EndRun(db, 9, run.id, RunState::kCancelled, {}); }));
  ASSERT_TRUE(store_->Write([](Db& db) { return DeletePipeline(db, 9, "tester", "sorter"); }));
  EXPECT_FALSE(store_->Read([](Db& db) { return GetPipeline(db, "sorter"); }));
  MakePipeline();
  EXPECT_EQ(store_->Read([](Db& db) { return GetPipeline(db, "sorter"); })->revision, 2);
}

TEST_F(RunsTest, LeaveAnAuditTrailThatShowsTampering) {
  MakePipeline();
  MakePipeline("other");
  EXPECT_TRUE(store_->Read([](Db& db) { return VerifyAudit(db); }));
  ASSERT_TRUE(store_->Write([](Db& db) -> Status {
    db.Exec("UPDATE audit SET actor = 'someone' WHERE id = 1");
    return {};
  }));
  auto verified = store_->Read([](Db& db) { return VerifyAudit(db); });
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace ratchet::registry
