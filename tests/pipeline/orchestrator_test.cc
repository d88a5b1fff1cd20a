#include "tests/pipeline/orchestrator_fixture.h"

#include <gmock/gmock.h>

#include <numbers>

namespace ratchet::pipeline {
namespace {

TEST_F(OrchestratorTest, TakesARunFromTheQueueToALiveVersion) {
  std::int64_t id = Submit();
  Ticks();
  registry::Run run = Read(id);
  EXPECT_EQ(run.state, RunState::kSucceeded) << run.summary;
  EXPECT_EQ(run.outcome, "promoted");
  EXPECT_EQ(Live(), 1);
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/validate-1", "1/train-1", "1/test-1"}));
}

// The sealed rows that the run's test was given.
std::vector<std::string> HoldoutOf(const std::string& folder, std::int64_t run) {
  const Json step = Json::parse(std::ifstream(folder + "/runs/" + std::to_string(run) + "/test-1/step.json"));
  std::vector<std::string> names;
  for (const std::string path : step.at("inputs").at("holdout")) names.push_back(path.substr(path.rfind('/') + 1));
  return names;
}

TEST_F(OrchestratorTest, EveryLookAtTheSameRowsIsHeldToAStricterLevelAndFreshRowsBeginAnew) {
  executor_.candidate_score = 0.51;
  const auto decide = [&] {
    const std::int64_t run = Submit();
    Ticks();
    auto version = store_->Read([&](Db& db) { return registry::GetVersion(db, "sorter", Read(run).candidate.value_or(0)); });
    EXPECT_TRUE(version && version->decision);
    return version->decision->at("holdout");
  };
  const Json first = decide();
  EXPECT_EQ(first["epoch"], 1);
  EXPECT_EQ(first["look"], 1);
  EXPECT_NEAR(first["level"].get<double>(), 0.05 * 6 / (std::numbers::pi * std::numbers::pi), 1e-12);
  Push(30);  // too few to judge on
  const Json second = decide();
  EXPECT_EQ(second["epoch"], 1);
  EXPECT_EQ(second["look"], 2);
  EXPECT_NEAR(second["level"].get<double>(), 0.05 * 6 / (std::numbers::pi * std::numbers::pi) / 4, 1e-12);
  EXPECT_NEAR(second["spent"].get<double>() + second["left"].get<double>(), 0.05, 1e-12);
  EXPECT_EQ(HoldoutOf(folder_, 2), HoldoutOf(folder_, 1));
  Push(990);
  const Json third = decide();
  EXPECT_EQ(third["epoch"], 2);
  EXPECT_EQ(third["look"], 1);
  EXPECT_EQ(third["rows"], 1020);
  EXPECT_EQ(HoldoutOf(folder_, 3), (std::vector{Sha256Hex("1"), Sha256Hex("2")}));
  const auto epochs = store_->Read([](Db& db) -> Result<std::vector<registry::HoldoutEpoch>> {
    return registry::ListEpochs(db, "parcels");
  });
  ASSERT_EQ(epochs->size(), 2u);
  EXPECT_EQ((*epochs)[0].looks, 1);
  EXPECT_EQ((*epochs)[1].looks, 2);
}

TEST_F(OrchestratorTest, ARefreshPassesWhenItIsProvenNotWorseByMoreThanTheMargin) {
  Apply(std::string(kSpec) + "gate: {rule: not_worse, margin: 0.05}\n");
  executor_.candidate_score = 0.5;
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Read(run).outcome, "promoted") << Read(run).summary;
  auto version = store_->Read([](Db& db) { return registry::GetVersion(db, "sorter", 1); });
  EXPECT_EQ(version->decision->at("verdict"), "not_worse");
}

TEST_F(OrchestratorTest, ARunFailsWhereNoRowHasFallenIntoTheHoldout) {
  segments_ = Json::array();
  Push(0);
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Read(run).state, RunState::kFailed);
  EXPECT_THAT(Read(run).error->at("message").get<std::string>(), testing::HasSubstr("no row of parcels has fallen into the holdout"));
}

TEST_F(OrchestratorTest, RejectsACandidateThatIsNotBetter) {
  executor_.candidate_score = 0.5;
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kSucceeded);
  EXPECT_EQ(Read(id).outcome, "rejected");
  EXPECT_FALSE(Live());
}

TEST_F(OrchestratorTest, GoesOnAfterADeathAtAnyTick) {
  std::int64_t id = Submit();
  for (int i = 0; i < 12; ++i) {
    orchestrator_->Tick();
    Restart();
  }
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  EXPECT_EQ(Live(), 1);
}

TEST_F(OrchestratorTest, TriesALostStepAgain) {
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kRunning);
  executor_.LoseAll();
  executor_.script.clear();
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  EXPECT_EQ(Read(id).FindStep("train")->attempts.size(), 2u);
  EXPECT_EQ(Read(id).FindStep("train")->attempts[0].state, registry::AttemptState::kLost);
}

TEST_F(OrchestratorTest, TakesATornResultOfAStepThatIsGoneForALostOne) {
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks();
  executor_.LoseAll();
  std::ofstream(AttemptFolder(folder_, id, "train", 1) + "/result.json") << R"({"outcome":"succ)";
  executor_.script.clear();
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  ASSERT_EQ(Read(id).FindStep("train")->attempts.size(), 2u);
  EXPECT_EQ(Read(id).FindStep("train")->attempts[0].state, registry::AttemptState::kLost);
}

TEST_F(OrchestratorTest, TakesAResultWithoutItsFilesForALostOneWhereTheStepIsGone) {
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks();
  executor_.LoseAll();
  std::ofstream(AttemptFolder(folder_, id, "train", 1) + "/result.json") << R"({"outcome":"succeeded","bundle":"bundle"})";
  executor_.script.clear();
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  EXPECT_EQ(Read(id).FindStep("train")->attempts[0].state, registry::AttemptState::kLost);
}

TEST_F(OrchestratorTest, FailsTheRunAfterTheLastSignal) {
  executor_.script["train"] = FakeExecutor::Play::kExitWithoutResult;
  std::int64_t id = Submit();
  Ticks(40);
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_EQ(Read(id).FindStep("train")->attempts.size(), 3u);
  EXPECT_EQ(Read(id).error->at("class"), "signal");
  EXPECT_FALSE(Live());
}

TEST_F(OrchestratorTest, DoesNotRepeatAUsersError) {
  executor_.script["train"] = FakeExecutor::Play::kUserError;
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_EQ(Read(id).FindStep("train")->attempts.size(), 1u);
  EXPECT_EQ(Read(id).summary, "no");
}

TEST_F(OrchestratorTest, CancelKillsTheStepAndEndsTheRun) {
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks();
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::AskCancel(db, 5, "t", id); }));
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kCancelled);
  EXPECT_TRUE(executor_.killed.contains("1/train-1"));
}

TEST_F(OrchestratorTest, ACancelledRunNeverGoesLive) {
  serving_.state = {LoadState::Kind::kLoading, ""};
  std::int64_t id = Submit();
  Ticks();
  ASSERT_EQ(Read(id).FindStep("release")->state, StepState::kRunning);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::AskCancel(db, 5, "t", id); }));
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kCancelled);
  serving_.state = {LoadState::Kind::kReady, ""};
  Ticks();
  EXPECT_FALSE(Live());
}

TEST_F(OrchestratorTest, ACancellationThatComesTooLateLeavesTheRunPromoted) {
  serving_.confirmed = false;
  std::int64_t id = Submit();
  Ticks(8);
  ASSERT_EQ(Live(), 1);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::AskCancel(db, 5, "t", id); }));
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  EXPECT_EQ(Live(), 1);
}

TEST_F(OrchestratorTest, ADeadlineThatPassesOnceTheVersionIsLiveLeavesTheRunPromoted) {
  Apply(std::string(kSpec) + "run: {deadline: 60s}\n");
  serving_.confirmed = false;
  std::int64_t id = Submit();
  Ticks(8);
  ASSERT_EQ(Live(), 1);
  ASSERT_EQ(Read(id).state, RunState::kRunning);
  clock_.AdvanceUs(61'000'000);
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
  EXPECT_FALSE(Read(id).error);
}

TEST_F(OrchestratorTest, ARetriedRunWaitsForAYoungerOneOfItsPipeline) {
  executor_.script["train"] = FakeExecutor::Play::kUserError;
  std::int64_t first = Submit();
  Ticks();
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t second = Submit();
  Ticks();
  ASSERT_EQ(Read(second).state, RunState::kRunning);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::RetryRun(db, 5, "t", first); }));
  Ticks();
  EXPECT_EQ(Read(first).state, RunState::kQueued);
}

TEST_F(OrchestratorTest, ARejectedCandidateIsNotJudgedAgain) {
  executor_.candidate_score = 0.5;
  std::int64_t id = Submit();
  Ticks();
  ASSERT_EQ(Read(id).outcome, "rejected");
  auto again = store_->Write([&](Db& db) {
    return registry::RecordDecision(db, 9, "sorter", 1, {.report = Json::object(), .verdict = "better", .promotes = true});
  });
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

TEST_F(OrchestratorTest, StartsARetrainOnNewRows) {
  Submit();
  Ticks();
  ASSERT_EQ(Live(), 1);
  Push(99);
  Ticks();
  EXPECT_FALSE(store_->Read([](Db& db) { return registry::GetRun(db, 2); })) << "99 rows are not 100";
  Push(1);
  Ticks();
  EXPECT_EQ(Read(2).reason["kind"], "new_rows");
  EXPECT_EQ(Read(2).dataset_version, 3);
}

TEST_F(OrchestratorTest, KeepsTheLiveVersionWhenReplicasCannotLoadTheNewOne) {
  Submit();
  Ticks();
  serving_.state = {LoadState::Kind::kFailed, "bad file"};
  std::int64_t id = Submit();
  Ticks(20);
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_EQ(Live(), 1);
  EXPECT_NE(Read(id).summary.find("bad file"), std::string::npos) << Read(id).summary;
}

TEST_F(OrchestratorTest, TheVersionBeforeTakesOverFromOneInQuarantine) {
  Submit();
  Ticks();
  serving_.quarantined = {{.model = "sorter", .version = 1, .why = "signal 11"}, {.model = "unknown", .version = 1, .why = "signal 11"}};
  Ticks(3);
  EXPECT_EQ(Live(), 1);  // nothing is before it
  serving_.quarantined.clear();
  Submit();
  Ticks();
  ASSERT_EQ(Live(), 2);
  serving_.quarantined = {{.model = "sorter", .version = 2, .why = "signal 11"}};
  Ticks(3);
  EXPECT_EQ(Live(), 1);
  auto releases = store_->Read([](Db& db) -> Result<registry::Page<registry::Release>> { return registry::ListReleases(db, "sorter", 1, {}); });
  EXPECT_EQ(releases->items[0].actor, "system");
  EXPECT_NE(releases->items[0].reason.find("signal 11"), std::string::npos);
}

TEST_F(OrchestratorTest, GivesUpOnReplicasThatNeverLoad) {
  serving_.state = {LoadState::Kind::kLoading, ""};
  std::int64_t id = Submit();
  for (int i = 0; i < 6000 && !registry::IsEnd(Read(id).state); ++i) {
    orchestrator_->Tick();
    clock_.AdvanceUs(1'000'000);
  }
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_FALSE(Live());
}

TEST_F(OrchestratorTest, GivesUpOnReplicasThatNeverLoadThoughTheClockWentBack) {
  serving_.state = {LoadState::Kind::kLoading, ""};
  std::int64_t id = Submit();
  Ticks();
  ASSERT_EQ(Read(id).FindStep("release")->state, StepState::kRunning);
  clock_.AdvanceUs(-86'400'000'000);
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_FALSE(Live());
}

TEST_F(OrchestratorTest, TakesATestInWhoseStepFileThePowerTook) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks();
  executor_.Finish("1/test-1", folder_ + "/runs/1/test-1");
  std::ofstream(folder_ + "/runs/1/test-1/step.json", std::ios::trunc).close();
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted") << Read(id).summary;
}

TEST_F(OrchestratorTest, ARunEndsOnceTheReplicasConfirmButDoesNotWaitForEver) {
  serving_.confirmed = false;
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Live(), 1);
  EXPECT_EQ(Read(id).state, RunState::kRunning);
  clock_.AdvanceUs(11'000'000);
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
}

TEST_F(OrchestratorTest, ReleasesWithoutReplicasOnlyWhenTold) {
  serving_.state = {LoadState::Kind::kNoReplica, ""};
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kRunning) << "a replica is expected";
  orchestrator_ = std::make_unique<Orchestrator>(*store_, blobs_, files_, executor_, serving_, clock_,
                                                 OrchestratorOptions{.data_dir = folder_, .needs_replica = false});
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
}

TEST_F(OrchestratorTest, RunsOfOnePipelineWaitForEachOther) {
  executor_.script["train"] = FakeExecutor::Play::kHang;
  Submit();
  std::int64_t second = Submit();
  Ticks();
  EXPECT_EQ(Read(second).state, RunState::kQueued);
}

TEST_F(OrchestratorTest, WaitsForTheExecutor) {
  executor_.ready = false;
  std::int64_t id = Submit();
  Ticks(3);
  EXPECT_TRUE(executor_.started.empty());
  executor_.ready = true;
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
}

}  // namespace
}  // namespace ratchet::pipeline
