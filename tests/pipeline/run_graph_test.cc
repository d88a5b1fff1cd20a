#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

constexpr char kGraph[] = R"(
model: sorter
data: {dataset: parcels, target: label}
steps:
  join: {command: [join], outputs: [rows.csv]}
  left: {command: [left], inputs: [join.rows.csv], outputs: [l]}
  right: {command: [right], inputs: [join.rows.csv], outputs: [r]}
train: {command: [train], inputs: [left.l, right.r]}
)";

TEST_F(OrchestratorTest, RunsStepsAfterThoseTheyNeedAndSideBySide) {
  Apply(kGraph);
  executor_.script = {{"left", FakeExecutor::Play::kHang}, {"right", FakeExecutor::Play::kHang}};
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/validate-1", "1/join-1", "1/left-1", "1/right-1"}));
  executor_.Finish("1/right-1", folder_ + "/runs/1/right-1");
  Ticks();
  EXPECT_EQ(executor_.started.size(), 4u) << "training waits for both";
  executor_.Finish("1/left-1", folder_ + "/runs/1/left-1");
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted") << Read(id).summary;
  Json train = Json::parse(std::ifstream(folder_ + "/runs/1/train-1/step.json"));
  EXPECT_TRUE(train["inputs"]["files"].contains("left.l"));
}

TEST_F(OrchestratorTest, ARunOfOneProcessorRunsOneStepAtATime) {
  Apply(kGraph);
  orchestrator_ = std::make_unique<Orchestrator>(*store_, blobs_, files_, executor_, serving_, clock_,
                                                 OrchestratorOptions{.data_dir = folder_, .cpus = 1});
  executor_.script = {{"left", FakeExecutor::Play::kHang}, {"right", FakeExecutor::Play::kHang}};
  Submit();
  Ticks();
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/validate-1", "1/join-1", "1/left-1"}));
  executor_.Finish("1/left-1", folder_ + "/runs/1/left-1");
  orchestrator_->Tick();
  EXPECT_EQ(executor_.started.back(), "1/right-1") << "in the tick that saw the place get free";
}

TEST_F(OrchestratorTest, AStepsEndAndTheStartOfThoseItSetsFreeAreOneCommit) {
  Apply(kGraph);
  executor_.script = {{"join", FakeExecutor::Play::kHang}, {"left", FakeExecutor::Play::kHang}, {"right", FakeExecutor::Play::kHang}};
  const std::int64_t id = Submit();
  Ticks();
  const std::int64_t before = store_->stats().commits;
  executor_.Finish("1/join-1", folder_ + "/runs/1/join-1");
  orchestrator_->Tick();
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/validate-1", "1/join-1", "1/left-1", "1/right-1"}));
  EXPECT_EQ(store_->stats().commits, before + 1);
  EXPECT_EQ(Read(id).FindStep("right")->attempts.size(), 1u);
}

TEST_F(OrchestratorTest, AFailedStepStopsItsSiblingsAndTheRun) {
  Apply(kGraph);
  executor_.script = {{"left", FakeExecutor::Play::kHang}, {"right", FakeExecutor::Play::kUserError}};
  std::int64_t id = Submit();
  Ticks();
  registry::Run run = Read(id);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error->value("class", ""), "user");
  EXPECT_TRUE(executor_.killed.contains("1/left-1"));
  EXPECT_EQ(run.FindStep("left")->state, StepState::kCancelled);
  EXPECT_EQ(run.FindStep("train")->state, StepState::kSkipped);
}

TEST_F(OrchestratorTest, RetryGoesOnFromTheFirstStepThatDidNotSucceed) {
  Apply(kGraph);
  executor_.script = {{"right", FakeExecutor::Play::kUserError}};
  std::int64_t id = Submit();
  Ticks();
  ASSERT_EQ(Read(id).state, RunState::kFailed);
  executor_.script.clear();
  executor_.started.clear();
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::RetryRun(db, 5, "t", id); }));
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted") << Read(id).summary;
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/right-2", "1/train-1", "1/test-1"}));
}

TEST_F(OrchestratorTest, TakesEqualWorkFromTheCacheAndSaysWhoDidIt) {
  Submit();
  Ticks();
  executor_.started.clear();
  std::int64_t second = Submit(false);
  Ticks();
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"2/test-1"})) << "the sealed rows are looked at anew";
  EXPECT_EQ(Read(second).FindStep("train")->cached_from, 1);
  EXPECT_EQ(Read(second).candidate, 2);
}

TEST_F(OrchestratorTest, TheCacheKnowsOtherParametersAndSeeds) {
  Submit();
  Ticks();
  executor_.started.clear();
  Apply(std::string(kSpec) + "\n# same\n");
  Apply("model: sorter\ndata: {dataset: parcels, target: label}\ntrain: {recipe: vision.classifier, seed: 2}\n");
  Submit(false);
  Ticks();
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"2/train-1", "2/test-1"}));
}

TEST_F(OrchestratorTest, ASweepMakesItsBestTrialTheCandidate) {
  Apply("model: sorter\ndata: {dataset: parcels, target: label}\n"
        "train: {recipe: vision.classifier, sweep: {quality: [0.2, 0.9, 0.4], parallel: 2}}\n");
  std::int64_t id = Submit();
  Ticks(30);
  registry::Run run = Read(id);
  ASSERT_EQ(run.outcome, "promoted") << run.summary;
  EXPECT_EQ(run.FindStep("train")->outputs->value("trial", ""), "trial-2");
  EXPECT_EQ(run.FindStep("trial-3")->state, StepState::kSucceeded);
}

TEST_F(OrchestratorTest, ASweepGoesOnWithoutItsFailedTrials) {
  Apply("model: sorter\ndata: {dataset: parcels, target: label}\n"
        "train: {recipe: vision.classifier, sweep: {quality: [0.2, 0.9], parallel: 1}}\n");
  executor_.script = {{"trial-2", FakeExecutor::Play::kUserError}};
  std::int64_t id = Submit();
  Ticks(30);
  EXPECT_EQ(Read(id).outcome, "promoted") << Read(id).summary;
  EXPECT_EQ(Read(id).FindStep("train")->outputs->value("trial", ""), "trial-1");
  executor_.script["trial-1"] = FakeExecutor::Play::kUserError;
  std::int64_t none = Submit();
  Ticks(30);
  EXPECT_EQ(Read(none).state, RunState::kFailed);
  EXPECT_NE(Read(none).summary.find("no trial made a model"), std::string::npos) << Read(none).summary;
}

TEST_F(OrchestratorTest, AReproductionComparesTheWeightsAndReleasesNothing) {
  Submit();
  Ticks();
  ASSERT_EQ(Live(), 1);
  std::int64_t again = Submit(true, 1);
  Ticks();
  EXPECT_EQ(Read(again).outcome, "reproduced") << Read(again).summary;
  EXPECT_FALSE(Read(again).candidate);
  EXPECT_EQ(Live(), 1);
}

TEST_F(OrchestratorTest, AReproductionOfASweepTrainsItsWinnerAlone) {
  Apply("model: sorter\ndata: {dataset: parcels, target: label}\n"
        "train: {recipe: vision.classifier, sweep: {quality: [0.2, 0.9, 0.4], parallel: 2}}\n");
  Submit();
  Ticks(30);
  const std::int64_t again = Submit(true, 1);
  Ticks(30);
  EXPECT_EQ(Read(again).outcome, "reproduced") << Read(again).summary;
  EXPECT_EQ(Read(again).FindStep("train")->outputs->value("trial", ""), "trial-2");
  EXPECT_EQ(Read(again).FindStep("trial-1"), nullptr);
}

TEST_F(OrchestratorTest, ARunPastItsDeadlineIsStopped) {
  Apply(std::string(kSpec) + "run: {deadline: 60s}\n");
  executor_.script["train"] = FakeExecutor::Play::kHang;
  std::int64_t id = Submit();
  Ticks(3);
  ASSERT_EQ(Read(id).state, RunState::kRunning);
  clock_.AdvanceUs(61'000'000);
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kFailed);
  EXPECT_EQ(Read(id).error->value("class", ""), "timeout");
  EXPECT_TRUE(executor_.killed.contains("1/train-1"));
}

TEST_F(OrchestratorTest, APausedPipelineBeginsNothing) {
  ASSERT_TRUE(store_->Write([](Db& db) { return registry::SetPaused(db, 1, "t", "sorter", true); }));
  std::int64_t id = Submit();
  Ticks();
  EXPECT_EQ(Read(id).state, RunState::kQueued);
  ASSERT_TRUE(store_->Write([](Db& db) { return registry::SetPaused(db, 1, "t", "sorter", false); }));
  Ticks();
  EXPECT_EQ(Read(id).outcome, "promoted");
}

TEST_F(OrchestratorTest, AScheduleStartsOneRunForAllTheTimesItMissed) {
  Apply("model: sorter\ndata: {dataset: parcels, target: label}\ntrain: {recipe: vision.classifier}\n"
        "retrain: {schedule: '0 3 * * *'}\n");
  Ticks(2);
  EXPECT_FALSE(store_->Read([](Db& db) { return registry::GetRun(db, 1); }));
  clock_.AdvanceUs(3 * 86'400'000'000);
  Ticks();
  EXPECT_EQ(Read(1).reason["kind"], "schedule");
  EXPECT_EQ(Read(1).outcome, "promoted");
  EXPECT_FALSE(store_->Read([](Db& db) { return registry::GetRun(db, 2); })) << "one catch-up run, not three";
  clock_.AdvanceUs(86'400'000'000);
  Ticks();
  EXPECT_EQ(Read(2).reason["kind"], "schedule");
}

}  // namespace
}  // namespace ratchet::pipeline
