#include "pipeline/orchestrator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/digest.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"
#include "registry/datasets.h"
#include "registry/pipelines.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::RunState;
using registry::StepState;

constexpr char kSpec[] = R"(
model: sorter
data: {dataset: parcels, target: label}
train: {recipe: vision.classifier}
retrain: {new_rows: 100}
)";

// Plays the worker: each started step does what `script` says at once, or hangs until the executor is "killed".
class FakeExecutor final : public Executor {
 public:
  enum class Play { kSucceed, kHang, kExitWithoutResult, kUserError };

  bool Ready() const override { return ready; }
  Json Describe() const override { return Json(); }
  Status Start(const std::string& id, const std::string& folder) override {
    started.push_back(id);
    Json step = Json::parse(std::ifstream(folder + "/step.json"));
    steps[id] = {.kind = StepStatus::Kind::kRunning, .pid = 1};
    Play play = script.contains(step["kind"]) ? script[step["kind"]] : Play::kSucceed;
    if (play == Play::kHang) return {};
    steps[id].kind = StepStatus::Kind::kExited;
    if (play == Play::kExitWithoutResult) steps[id].exit.signal = 11;
    if (play == Play::kSucceed) Succeed(step, folder);
    if (play == Play::kUserError)
      std::ofstream(folder + "/result.json") << R"({"outcome":"failed","error":{"class":"user","message":"no","hint":"h"}})";
    return {};
  }
  void Kill(const std::string& id, const std::string&, const std::string&) override { killed.insert(id); }
  StepStatus Poll(const std::string& id) override { return steps.contains(id) ? steps[id] : StepStatus{}; }
  void Forget(const std::string& id) override { steps.erase(id); }
  void LoseAll() { steps.clear(); }

  bool ready = true;
  double candidate_score = 0.9;
  std::map<std::string, Play> script;
  std::vector<std::string> started;
  std::set<std::string> killed;
  std::map<std::string, StepStatus> steps;

 private:
  void Succeed(const Json& step, const std::string& folder) {
    Json result = {{"outcome", "succeeded"}};
    if (step["kind"] == "train") WriteBundle(folder);
    if (step["kind"] == "test") result = WriteScores(step, folder);
    std::ofstream(folder + "/result.json") << result.dump();
  }
  void WriteBundle(const std::string& folder) {
    std::filesystem::create_directories(folder + "/bundle");
    std::string model = "weights of " + folder;
    std::ofstream(folder + "/bundle/model.pt") << model;
    registry::BundleManifest manifest;
    manifest.signature.inputs = {{.name = "x", .datatype = registry::Datatype::kFp32, .shape = {-1}, .column = "x"}};
    manifest.signature.outputs = {{.name = "p", .datatype = registry::Datatype::kFp32, .shape = {-1, 2}}};
    manifest.signature.classes = std::vector<std::int64_t>{0, 1};
    manifest.target = "label";
    manifest.metric = "accuracy";
    manifest.files["model.pt"] = {.sha256 = Sha256Hex(model), .bytes = model.size()};
    std::ofstream(folder + "/bundle/manifest.json") << registry::SerialiseManifest(manifest);
  }
  Json WriteScores(const Json& step, const std::string& folder) {
    constexpr int kRows = 1000;
    lake::Schema schema{{{"candidate", lake::ColumnType::kReal, {}}, {"opponent", lake::ColumnType::kReal, {}}}};
    auto pack = lake::PackWriter::Create(folder + "/scores.pack", schema);
    EXPECT_TRUE(pack);
    for (int i = 0; i < kRows; ++i)
      EXPECT_TRUE((*pack)->Add({i < candidate_score * kRows ? 1.0 : 0.0, i < kRows / 2 ? 1.0 : 0.0}));
    EXPECT_TRUE((*pack)->Finish());
    return {{"outcome", "succeeded"}, {"metric", "accuracy"}, {"higher_is_better", true}, {"rows", kRows},
            {"candidate", candidate_score}, {"opponent", 0.5}, {"per_row", "correct"},
            {"opponent_kind", step["live"].is_null() ? "majority" : "live"}};
  }
};

struct FakeServing final : ServingView {
  LoadState Loaded(const std::string&, std::int64_t) override { return state; }
  bool Confirmed(const std::string&, std::int64_t) override { return confirmed; }
  LoadState state{LoadState::Kind::kReady, ""};
  bool confirmed = true;
};

class OrchestratorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::string(testing::TempDir()) + "ratchet-orchestrator-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    Restart();
    auto spec = ParseSpec(kSpec);
    ASSERT_TRUE(spec) << spec.error().Message();
    ASSERT_TRUE(store_->Write([&](Db& db) {
      return registry::ApplyPipeline(db, 1, "t", {.name = "sorter", .model = "sorter", .dataset = "parcels",
                                                  .spec_text = kSpec, .spec = SpecToJson(*spec), .files = Json::object()});
    }));
    Push(50);
  }
  void TearDown() override {
    orchestrator_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  // A daemon that died and came back: only the files remain.
  void Restart() {
    orchestrator_.reset();
    store_.reset();
    executor_.LoseAll();
    auto store = registry::Store::Open(folder_ + "/registry.db", clock_);
    ASSERT_TRUE(store) << store.error().Message();
    store_ = std::move(*store);
    orchestrator_ = std::make_unique<Orchestrator>(*store_, blobs_, files_, executor_, serving_, clock_,
                                                   OrchestratorOptions{.data_dir = folder_});
  }
  void Push(std::int64_t rows) {
    Json manifest = {{"schema", Json::array()}, {"split", {{"key", nullptr}}}, {"segments", Json::array()}};
    auto sha256 = blobs_.Put(manifest.dump());
    ASSERT_TRUE(store_->Write([&](Db& db) -> Status {
      Json split = {{"holdout", 0.2}};
      RATCHET_ASSIGN(registry::Dataset dataset, registry::EnsureDataset(db, 1, "parcels", split));
      registry::DatasetVersion version{.dataset = "parcels", .version = dataset.latest_version + 1, .manifest = *sha256,
                                       .rows = dataset.rows, .added = {rows, 0, 0}};
      version.rows.train += rows;
      RATCHET_TRY(registry::AddDatasetVersion(db, version, Json::array()));
      return {};
    }));
  }

  std::int64_t Submit() {
    auto run = store_->Write([&](Db& db) -> Result<registry::Run> {
      RATCHET_ASSIGN(registry::Pipeline pipeline, registry::GetPipeline(db, "sorter"));
      return registry::CreateRun(db, 2, {.pipeline = "sorter", .reason = {{"kind", "manual"}}, .overrides = Json::object(),
                                         .spec = pipeline.spec});
    });
    EXPECT_TRUE(run) << run.error().Message();
    return run ? run->id : 0;
  }
  void Ticks(int count = 12) {
    for (int i = 0; i < count; ++i) {
      std::int64_t wake_us = orchestrator_->Tick();
      if (wake_us > clock_.WallUs()) clock_.AdvanceUs(wake_us - clock_.WallUs());
    }
  }
  registry::Run Read(std::int64_t id) {
    auto run = store_->Read([&](Db& db) { return registry::GetRun(db, id); });
    EXPECT_TRUE(run) << run.error().Message();
    return run.value_or(registry::Run{});
  }
  std::optional<std::int64_t> Live() {
    auto model = store_->Read([&](Db& db) { return registry::GetModel(db, "sorter"); });
    return model ? model->live : std::nullopt;
  }

  ManualClock clock_;
  SystemFiles files_;
  std::string folder_;
  FakeExecutor executor_;
  FakeServing serving_;
  std::unique_ptr<registry::Store> store_;
  registry::BlobStore blobs_{files_, std::string(testing::TempDir()) + "ratchet-orchestrator-blobs-" + std::to_string(getpid())};
  std::unique_ptr<Orchestrator> orchestrator_;
};

TEST_F(OrchestratorTest, TakesARunFromTheQueueToALiveVersion) {
  std::int64_t id = Submit();
  Ticks();
  registry::Run run = Read(id);
  EXPECT_EQ(run.state, RunState::kSucceeded) << run.summary;
  EXPECT_EQ(run.outcome, "promoted");
  EXPECT_EQ(Live(), 1);
  EXPECT_EQ(executor_.started, (std::vector<std::string>{"1/validate-1", "1/train-1", "1/test-1"}));
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
    return registry::RecordDecision(db, 9, "sorter", 1, {.report = Json::object(), .verdict = "better"});
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
