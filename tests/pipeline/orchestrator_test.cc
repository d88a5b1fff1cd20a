#include "pipeline/orchestrator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/digest.h"
#include "lake/pack.h"
#include "pipeline/graph.h"
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

  bool Ready(StepHost) const override { return ready; }
  Json Describe() const override { return Json(); }
  Status Start(const StepRef& ref) override {
    started.push_back(ref.id);
    Json step = Json::parse(std::ifstream(ref.folder + "/step.json"));
    steps[ref.id] = {.kind = StepStatus::Kind::kRunning, .pid = 1};
    const std::string name = step["step"];
    Play play = script.contains(name) ? script[name] : script.contains(step["kind"]) ? script[step["kind"]] : Play::kSucceed;
    if (play == Play::kHang) return {};
    steps[ref.id].kind = StepStatus::Kind::kExited;
    if (play == Play::kExitWithoutResult) steps[ref.id].exit.signal = 11;
    if (play == Play::kSucceed) Succeed(step, ref.folder);
    if (play == Play::kUserError)
      std::ofstream(ref.folder + "/result.json") << R"({"outcome":"failed","error":{"class":"user","message":"no","hint":"h"}})";
    return {};
  }
  void Kill(const StepRef& ref, const std::string& error_class, const std::string& message) override {
    killed.insert(ref.id);
    steps[ref.id] = {.kind = StepStatus::Kind::kExited, .exit = {.error_class = error_class, .message = message}};
  }
  StepStatus Poll(const StepRef& ref) override { return steps.contains(ref.id) ? steps[ref.id] : StepStatus{}; }
  void Forget(const std::string& id) override { steps.erase(id); }
  void LoseAll() { steps.clear(); }
  // Brings a step that hangs to its end.
  void Finish(const std::string& id, const std::string& folder) {
    Succeed(Json::parse(std::ifstream(folder + "/step.json")), folder);
    steps[id].kind = StepStatus::Kind::kExited;
  }

  bool ready = true;
  double candidate_score = 0.9;
  std::map<std::string, Play> script;
  std::vector<std::string> started;
  std::set<std::string> killed;
  std::map<std::string, StepStatus> steps;

 private:
  void Succeed(const Json& step, const std::string& folder) {
    Json result = {{"outcome", "succeeded"}};
    if (step["kind"] == "train") {
      WriteBundle(folder, step);
      result["training_metrics"] = {{"validation_accuracy", step["params"].value("quality", 0.5)}};
    }
    for (const Json& output : step.value("outputs", Json::array())) {
      const std::string name = output, text = "made by " + step["step"].get<std::string>();
      std::ofstream(folder + "/" + name) << text;
      result["outputs"][name] = {{"path", name}, {"sha256", Sha256Hex(text)}, {"bytes", text.size()}};
    }
    if (step["kind"] == "test") result = WriteScores(step, folder);
    std::ofstream(folder + "/result.json") << result.dump();
  }
  void WriteBundle(const std::string& folder, const Json& step) {
    std::filesystem::create_directories(folder + "/bundle");
    std::string model = "weights of " + step["params"].dump() + step["seed"].dump();
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
    Apply(kSpec);
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

  void Apply(const std::string& text) {
    auto spec = ParseSpec(text);
    ASSERT_TRUE(spec) << spec.error().Message() << (spec.error().details.empty() ? "" : spec.error().details[0].detail);
    ASSERT_TRUE(store_->Write([&](Db& db) {
      return registry::ApplyPipeline(db, clock_.WallUs(), "t", {.name = "sorter", .model = "sorter", .dataset = "parcels",
                                                  .spec_text = text, .spec = SpecToJson(*spec), .files = Json::object()});
    }));
  }
  // Each run trains anew, unless it may take from the cache.
  std::int64_t Submit(bool fresh = true, std::optional<std::int64_t> reproduces = {}) {
    auto run = store_->Write([&](Db& db) -> Result<registry::Run> {
      RATCHET_ASSIGN(registry::Pipeline pipeline, registry::GetPipeline(db, "sorter"));
      RATCHET_ASSIGN(Spec spec, SpecFromJson(pipeline.spec));
      return registry::CreateRun(db, clock_.WallUs(), {.pipeline = "sorter", .reason = {{"kind", "manual"}}, .overrides = Json::object(),
                                                       .spec = pipeline.spec, .steps = PlanSteps(spec, reproduces.has_value()),
                                                       .deadline_s = spec.run.deadline_s, .fresh = fresh, .reproduces = reproduces});
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

TEST_F(OrchestratorTest, FailsAStepWhoseResultIsNonsense) {
  for (const char* text : {R"({"outcome":"failed","error":"no"})", R"({"outcome":"succeeded","outputs":{"x":3}})", R"({"outcome":7})",
                           R"({"outcome":"succeeded","metric":1,"candidate":"good"})"}) {
    executor_.script["test"] = FakeExecutor::Play::kHang;
    std::int64_t id = Submit();
    Ticks();
    const std::string attempt = std::to_string(id) + "/test-1";
    executor_.Finish(attempt, folder_ + "/runs/" + attempt);
    std::ofstream(folder_ + "/runs/" + attempt + "/result.json", std::ios::trunc) << text;
    Ticks();
    EXPECT_EQ(Read(id).state, RunState::kFailed) << text;
    EXPECT_EQ(Read(id).error->value("class", ""), "internal") << text;
  }
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
