#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "base/digest.h"
#include "lake/pack.h"
#include "pipeline/graph.h"
#include "pipeline/orchestrator.h"
#include "registry/datasets.h"
#include "registry/pipelines.h"
#include "tests/pipeline/fake_bundle.h"

// A real registry and an orchestrator on it; the worker and the replicas are played.
namespace ratchet::pipeline {

using registry::Db;
using registry::Json;
using registry::RunState;
using registry::StepState;

inline constexpr char kSpec[] = R"(
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
    if (on_call) on_call();
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
  StepStatus Poll(const StepRef& ref) override {
    if (on_call) on_call();
    return steps.contains(ref.id) ? steps[ref.id] : StepStatus{};
  }
  void Forget(const std::string& id) override { steps.erase(id); }
  void LoseAll() { steps.clear(); }
  // Brings a step that hangs to its end.
  void Finish(const std::string& id, const std::string& folder) {
    Succeed(Json::parse(std::ifstream(folder + "/step.json")), folder);
    steps[id].kind = StepStatus::Kind::kExited;
  }

  bool ready = true;
  double candidate_score = 0.9;
  Json live_unscorable;            // {"reason","message"}: what a test says of a live version
  std::function<void()> on_call;   // in the middle of a tick
  std::map<std::string, Play> script;
  std::vector<std::string> started;
  std::set<std::string> killed;
  std::map<std::string, StepStatus> steps;

 private:
  void Succeed(const Json& step, const std::string& folder) {
    Json result = {{"outcome", "succeeded"}};
    if (step["kind"] == "train") {
      WriteFakeBundle(folder, "weights of " + step["params"].dump() + step["seed"].dump());
      result["training_metrics"] = {{"validation_accuracy", step["params"].value("quality", 0.5)}};
    }
    for (const Json& output : step.value("outputs", Json::array())) {
      const std::string name = output, text = "made by " + step["step"].get<std::string>();
      std::ofstream(folder + "/" + name) << text;
      result["outputs"][name] = {{"path", name}, {"sha256", Sha256Hex(text)}, {"bytes", text.size()}};
    }
    if (step["kind"] == "test") result = Test(step, folder);
    std::ofstream(folder + "/result.json") << result.dump();
  }
  Json Test(const Json& step, const std::string& folder) {
    const bool unscorable = live_unscorable.is_object() && !step["live"].is_null();
    if (unscorable && step["baseline"] != "reset")
      return {{"outcome", "succeeded"}, {"metric", "accuracy"}, {"opponent_kind", "live"}, {"live_unscorable", live_unscorable}};
    Json result = WriteScores(step, folder);
    if (!unscorable) return result;
    result["opponent_kind"] = "majority";
    result["live_unscorable"] = live_unscorable;
    return result;
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
  LoadState Loaded(const std::string&, std::int64_t) override {
    if (on_call) on_call();
    return state;
  }
  bool Confirmed(const std::string&, std::int64_t) override { return confirmed; }
  std::vector<QuarantinedVersion> Quarantined() override { return quarantined; }
  LoadState state{LoadState::Kind::kReady, ""};
  bool confirmed = true;
  std::vector<QuarantinedVersion> quarantined;
  std::function<void()> on_call;
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
    segments_.push_back({{"split", "holdout"}, {"sha256", Sha256Hex(std::to_string(segments_.size()))}, {"rows", rows}, {"bytes", 1},
                         {"push", segments_.size() + 1}});
    Json manifest = {{"schema", Json::array()}, {"split", {{"key", nullptr}}}, {"segments", segments_}};
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
      auto steps = PlanSteps(spec);
      if (reproduces) {
        RATCHET_ASSIGN(const registry::Run first, registry::GetRun(db, *reproduces));
        steps = PlanReproduction(spec, first);
      }
      return registry::CreateRun(db, clock_.WallUs(), {.pipeline = "sorter", .reason = {{"kind", "manual"}}, .overrides = Json::object(),
                                                       .spec = pipeline.spec, .steps = std::move(steps),
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

  Json segments_ = Json::array();  // of the newest version: sealed rows of every push
  ManualClock clock_;
  SystemFiles files_;
  std::string folder_;
  FakeExecutor executor_;
  FakeServing serving_;
  std::unique_ptr<registry::Store> store_;
  registry::BlobStore blobs_{files_, std::string(testing::TempDir()) + "ratchet-orchestrator-blobs-" + std::to_string(getpid())};
  std::unique_ptr<Orchestrator> orchestrator_;
};

}  // namespace ratchet::pipeline
