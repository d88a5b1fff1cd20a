#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "registry/datasets.h"
#include "registry/events.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/runs.h"
#include "registry/store.h"

namespace ratchet::registry {

// The plain chain.
inline constexpr const char* kChain[] = {"validate", "train", "test", "gate", "release"};
inline std::vector<StepInput> ChainSteps() {
  std::vector<StepInput> steps;
  for (const char* name : kChain) {
    StepInput step{.name = name, .kind = name, .needs = {}, .params = {}};
    if (!steps.empty()) step.needs.push_back(steps.back().name);
    steps.push_back(std::move(step));
  }
  return steps;
}

// A real registry in a folder of its own, with the shortest way to the rows that tests start from.
class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::string(testing::TempDir()) + "ratchet-registry-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open(folder_ + "/registry.db", clock_);
    ASSERT_TRUE(store) << store.error().Message();
    store_ = std::move(*store);
  }

  void MakePipeline(const std::string& name = "sorter") {
    auto applied = store_->Write([&](Db& db) {
      return ApplyPipeline(db, 1, "tester", {.name = name, .model = name, .dataset = "parcels", .spec_text = "model: x",
                                             .spec = Json::object(), .files = Json::object()});
    });
    ASSERT_TRUE(applied) << applied.error().Message();
  }
  void PushRows(std::int64_t rows) {
    auto pushed = store_->Write([&](Db& db) -> Result<DatasetVersion> {
      Json split = {{"validation", 0.1}, {"holdout", 0.2}, {"key", nullptr}};
      auto dataset = EnsureDataset(db, 1, "parcels", split);
      if (!dataset) return std::unexpected(dataset.error());
      DatasetVersion version{.dataset = "parcels", .version = dataset->latest_version + 1, .manifest = std::string(64, 'a'),
                             .rows = dataset->rows, .added = {rows, 0, 0}, .bytes_added = 1, .created_at = 2};
      version.rows.train += rows;
      return AddDatasetVersion(db, version, Json::array());
    });
    ASSERT_TRUE(pushed) << pushed.error().Message();
  }
  registry::Run StartRunNow(const std::string& pipeline = "sorter") {
    auto run = store_->Write([&](Db& db) {
      return CreateRun(db, 3, {.pipeline = pipeline, .reason = {{"kind", "manual"}, {"detail", ""}},
                               .overrides = Json::object(), .spec = Json::object(), .steps = ChainSteps()});
    });
    EXPECT_TRUE(run) << run.error().Message();
    return run.value_or(registry::Run{});
  }
  // A version of "sorter" with this verdict, from a run of its own.
  Version MakeVersion(const std::string& verdict) {
    registry::Run run = StartRunNow();
    auto version = store_->Write([&](Db& db) -> Result<Version> {
      auto made = CreateVersion(db, 4, {.model = "sorter", .metric = "accuracy", .run = run.id,
                                        .bundle = std::string(64, 'b'), .bundle_bytes = 10, .manifest = Json::object(),
                                        .recipe = "vision.classifier", .dataset = "parcels", .dataset_version = 1});
      if (!made || verdict.empty()) return made;
      RATCHET_TRY(RecordDecision(db, 5, "sorter", made->version,
                                 {.report = {{"reason", "because"}}, .verdict = verdict, .score = 0.9, .opponent = 0.8,
                                  .p_value = 0.01, .opponent_kind = "majority", .rows = 100, .promotes = verdict == "better"}));
      return GetVersion(db, "sorter", made->version);
    });
    EXPECT_TRUE(version) << version.error().Message();
    return version.value_or(Version{});
  }
  // As though the gate had judged it against the version that is live now.
  void JudgedNow(std::int64_t version) {
    ASSERT_TRUE(store_->Write([&](Db& db) -> Status {
      db.Exec("UPDATE versions SET opponent_version = (SELECT live FROM models WHERE name = 'sorter') WHERE version = ?", version);
      return {};
    }));
  }
  Result<Release> Promote(std::int64_t version, ReleaseKind kind = ReleaseKind::kPromote) {
    if (kind == ReleaseKind::kPromote) JudgedNow(version);
    return store_->Write([&](Db& db) -> Result<Release> {
      auto release = BeginRelease(db, 6, {.model = "sorter", .to = version, .kind = kind, .actor = "tester", .reason = "r"});
      if (!release) return release;
      return CommitRelease(db, 7, release->id);
    });
  }
  Model ReadModel() {
    auto model = store_->Read([](Db& db) { return GetModel(db, "sorter"); });
    EXPECT_TRUE(model) << model.error().Message();
    return model.value_or(Model{});
  }

  ManualClock clock_;
  std::string folder_;
  std::unique_ptr<Store> store_;
};

}  // namespace ratchet::registry
