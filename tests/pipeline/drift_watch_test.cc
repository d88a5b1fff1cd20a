#include "pipeline/drift_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "lake/manifest.h"
#include "lake/pack.h"
#include "registry/datasets.h"
#include "registry/models.h"
#include "registry/runs.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using testing::ElementsAre;

constexpr std::chrono::seconds kDeadline{60};

const lake::Schema kSchema{{{"id", lake::ColumnType::kInteger, {}},
                            {"price", lake::ColumnType::kReal, {}},
                            {"weight", lake::ColumnType::kReal, {}},
                            {"unread", lake::ColumnType::kReal, {}},
                            {"label", lake::ColumnType::kText, {}}}};

// What one push is like: how far each column lies from where it lay at first.
struct PushLike {
  int rows = 1000;
  double price_off = 0, weight_off = 0, unread_off = 0;
  std::string label = "a";  // every second row's; the others' is b
};

class DriftWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = registry::Store::Open(folder_ + "/registry.db", clock_);
    ASSERT_TRUE(store) << store.error().Message();
    store_ = std::move(*store);
    store_->OnCommit([this] {
      std::lock_guard lock(mutex_);
      ++commits_;
      committed_.notify_all();
      if (watch_) watch_->Wake();
    });
    watch_.emplace(*store_, blobs_, files_, clock_, folder_ + "/summaries");
  }
  void TearDown() override {
    watch_->Stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Apply(const std::string& pipeline = "sorter", Json retrain = {{"drift", 0.2}}) {
    auto applied = store_->Write([&](Db& db) {
      return registry::ApplyPipeline(db, 1, "t",
                                     {.name = pipeline,
                                      .model = pipeline,
                                      .dataset = "parcels",
                                      .spec_text = retrain.dump(),
                                      .spec = {{"retrain", retrain}},
                                      .files = Json::object()});
    });
    ASSERT_TRUE(applied) << applied.error().Message();
  }

  // A dataset version more, of one training pack and, so that it would show, a validation pack that is far off.
  void Push(const PushLike& like) {
    lake::Manifest next = manifest_;
    next.dataset = "parcels";
    next.schema = kSchema;
    next.split.key = "id";
    next.version = manifest_.version + 1;
    AddSegment(next, lake::Split::kTrain, like);
    AddSegment(next, lake::Split::kValidation, {.rows = 300, .price_off = 1e6, .weight_off = 1e6, .label = "far"});
    auto sha256 = blobs_.Put(lake::ManifestToJson(next));
    ASSERT_TRUE(sha256) << sha256.error().Message();
    manifest_ = next;
    const lake::SplitRows rows = lake::RowsOf(next);
    auto pushed = store_->Write([&](Db& db) -> Status {
      RATCHET_TRY(registry::EnsureDataset(db, 1, "parcels", Json{{"key", "id"}}));
      RATCHET_TRY(registry::AddDatasetVersion(db,
                                              {.dataset = "parcels",
                                               .version = next.version,
                                               .manifest = *sha256,
                                               .rows = {rows.train, rows.validation, 0},
                                               .added = {like.rows, 300, 0}},
                                              Json::array()));
      return {};
    });
    ASSERT_TRUE(pushed) << pushed.error().Message();
  }

  // A model trained on the dataset's latest version serves.
  void GoLive(const std::string& model = "sorter", std::vector<std::string> inputs = {"price", "weight"}) {
    Json bundle = {{"target", "label"}, {"signature", {{"inputs", Json::array()}}}};
    for (const std::string& input : inputs)
      bundle["signature"]["inputs"].push_back({{"name", input}, {"column", input}});
    auto live = store_->Write([&](Db& db) -> Status {
      RATCHET_ASSIGN(
          auto run,
          registry::CreateRun(
              db, 3,
              {.pipeline = model, .reason = Json::object(), .overrides = Json::object(), .spec = Json::object()}));
      RATCHET_ASSIGN(auto version, registry::CreateVersion(db, 4,
                                                           {.model = model,
                                                            .metric = "accuracy",
                                                            .run = run.id,
                                                            .bundle = std::string(64, 'b'),
                                                            .bundle_bytes = 1,
                                                            .manifest = bundle,
                                                            .recipe = "a.b",
                                                            .dataset = "parcels",
                                                            .dataset_version = manifest_.version}));
      RATCHET_ASSIGN(auto release, registry::BeginRelease(db, 5,
                                                          {.model = model,
                                                           .to = version.version,
                                                           .kind = registry::ReleaseKind::kForce,
                                                           .actor = "t",
                                                           .reason = "r"}));
      RATCHET_TRY(registry::CommitRelease(db, 6, release.id));
      return {};
    });
    ASSERT_TRUE(live) << live.error().Message();
  }

  std::optional<registry::DriftReport> Found(const std::string& pipeline = "sorter") {
    auto found = store_->Read(
        [&](Db& db) -> Result<std::optional<registry::DriftReport>> { return registry::FindDrift(db, pipeline); });
    EXPECT_TRUE(found) << found.error().Message();
    return found.value_or(std::nullopt);
  }
  // The report on this dataset version, written by the thread; nothing after the deadline.
  std::optional<registry::DriftReport> Await(std::int64_t dataset_version) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    for (;;) {
      std::unique_lock lock(mutex_);
      const std::int64_t seen = commits_;
      lock.unlock();
      if (auto found = Found(); found && found->dataset_version == dataset_version) return found;
      lock.lock();
      if (!committed_.wait_until(lock, end, [&] { return commits_ > seen; })) return std::nullopt;
    }
  }
  static std::vector<std::string> Columns(const registry::DriftReport& report) {
    std::vector<std::string> names;
    for (const Json& column : report.report.at("columns")) names.push_back(column.at("column"));
    std::ranges::sort(names);
    return names;
  }
  std::string PackOf(std::int64_t push) const {
    for (const lake::Segment& segment : manifest_.segments)
      if (segment.push == push && segment.split == lake::Split::kTrain) return blobs_.PathOf(segment.sha256);
    return "";
  }

  SystemClock clock_;
  SystemFiles files_;
  const std::string folder_ = MakeFolder();
  registry::BlobStore blobs_{files_, folder_ + "/blobs"};
  std::unique_ptr<registry::Store> store_;
  std::optional<DriftWatch> watch_;
  lake::Manifest manifest_;

  std::mutex mutex_;
  std::condition_variable committed_;
  std::int64_t commits_ = 0;

 private:
  static std::string MakeFolder() {
    std::string name = std::string(testing::TempDir()) + "ratchet-drift-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    return name;
  }
  void AddSegment(lake::Manifest& next, lake::Split split, const PushLike& like) {
    const std::string path = folder_ + "/new.pack";
    auto pack = lake::PackWriter::Create(path, kSchema);
    ASSERT_TRUE(pack) << pack.error().Message();
    for (int i = 0; i < like.rows; ++i) {
      const double spread = (i * 37 % 1000) / 10.0;  // the same spread, whatever the number of rows is
      ASSERT_TRUE((*pack)->Add({next_id_++, spread + like.price_off, spread * 2 + like.weight_off,
                                spread + like.unread_off, i % 2 == 0 ? like.label : std::string("b")}));
    }
    ASSERT_TRUE((*pack)->Finish());
    auto sha256 = blobs_.Adopt(path);
    ASSERT_TRUE(sha256) << sha256.error().Message();
    next.segments.push_back({.split = split, .sha256 = *sha256, .rows = like.rows, .bytes = 1, .push = next.version});
  }
  std::int64_t next_id_ = 1;
};

TEST_F(DriftWatchTest, NamesTheColumnThatMovedWhenRowsArrive) {
  Push({});
  Apply();
  GoLive();
  watch_->Start();
  Push({.price_off = 40, .weight_off = 3});
  const auto report = Await(2);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->live, 1);
  EXPECT_GT(report->worst, 0.2);
  EXPECT_EQ(report->report["worst_column"], "price");
  EXPECT_EQ(report->report["rows_before"], 1000);
  EXPECT_EQ(report->report["rows_now"], 1000);
  EXPECT_THAT(Columns(*report), ElementsAre("label", "price", "weight"));
  const Json& first = report->report["columns"][0];
  EXPECT_EQ(first["column"], "price");
  EXPECT_EQ(first["psi"], report->worst);
  EXPECT_GT(first["ks"], 0.3);
  EXPECT_LT(first["ks_p"], 0.001);
}

TEST_F(DriftWatchTest, ComparesOnlyWhatCameAfterTheLiveVersionsTraining) {
  Push({});
  Push({.price_off = 40});
  Apply();
  GoLive();
  watch_->Start();
  Push({.rows = 1000});
  Push({.rows = 1000, .price_off = 40});
  const auto report = Await(4);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->worst, 0);  // one half at each place, before as now
  EXPECT_FALSE(report->report.contains("worst_column"));
  EXPECT_EQ(report->report["rows_before"], 2000);
  EXPECT_EQ(report->report["rows_now"], 2000);
}

TEST_F(DriftWatchTest, SeesTheTargetMove) {
  Push({});
  Apply();
  GoLive();
  Push({.label = "c"});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->report["worst_column"], "label");
  EXPECT_THAT(Found()->report["columns"][0]["new_categories"], ElementsAre("c"));
}

TEST_F(DriftWatchTest, LeavesOutColumnsThatTheModelDoesNotRead) {
  Push({});
  Apply();
  GoLive();
  Push({.unread_off = 500});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->worst, 0);
}

// The key counts up for ever, which says nothing.
TEST_F(DriftWatchTest, ComparesAllButTheKeyWhenTheModelReadsWhatStepsMade) {
  Push({});
  Apply();
  GoLive("sorter", {"feature_1"});
  Push({.unread_off = 500});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->report["worst_column"], "unread");
  EXPECT_THAT(Columns(*Found()), ElementsAre("label", "price", "unread", "weight"));
}

TEST_F(DriftWatchTest, WaitsForEnoughNewRows) {
  Push({});
  Apply();
  GoLive();
  Push({.rows = kLeastNewRows - 1, .price_off = 40});
  watch_->Look();
  EXPECT_FALSE(Found());
  Push({.rows = 1, .price_off = 40});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->dataset_version, 3);
  EXPECT_EQ(Found()->report["rows_now"], kLeastNewRows);
}

TEST_F(DriftWatchTest, LeavesPipelinesAloneThatDoNotAskOrHaveNothingLive) {
  Push({});
  Apply("silent", Json::object());
  Apply("new");
  GoLive("silent");
  Push({.price_off = 40});
  watch_->Look();
  EXPECT_FALSE(Found("silent"));
  EXPECT_FALSE(Found("new"));
}

TEST_F(DriftWatchTest, LooksAnewWhenAnotherVersionServes) {
  Push({});
  Apply();
  GoLive();
  Push({.price_off = 40});
  watch_->Look();
  GoLive();
  Push({.price_off = 40});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->live, 2);
  EXPECT_EQ(Found()->dataset_version, 3);
  EXPECT_EQ(Found()->report["rows_before"], 2000);
  EXPECT_EQ(Found()->report["rows_now"], 1000);
}

TEST_F(DriftWatchTest, ReadsAPackOnceOnly) {
  Push({});
  Apply();
  GoLive();
  Push({.price_off = 40});
  watch_->Look();
  const auto first = Found();
  ASSERT_TRUE(first);
  for (int push : {1, 2}) std::filesystem::remove(PackOf(push));  // what is known of them is enough
  Push({.price_off = 40});
  watch_->Look();
  ASSERT_TRUE(Found());
  EXPECT_EQ(Found()->dataset_version, 3);
  EXPECT_EQ(Found()->report["rows_now"], 2000);
  EXPECT_EQ(Found()->report["worst_column"], "price");
}

TEST_F(DriftWatchTest, MakesADamagedSummaryAgain) {
  Push({});
  Apply();
  GoLive();
  Push({.price_off = 40});
  watch_->Look();
  const auto first = Found();
  ASSERT_TRUE(first);
  for (const auto& file : std::filesystem::directory_iterator(folder_ + "/summaries"))
    std::ofstream(file.path()) << "{";
  GoLive();  // its rows begin with those whose summary is damaged
  Push({.price_off = 40});
  watch_->Look();
  EXPECT_EQ(Found()->dataset_version, 3);
  EXPECT_EQ(Found()->report["rows_before"], 2000);
}

TEST_F(DriftWatchTest, KeepsABoundedNumberOfSummaries) {
  Push({});
  Apply();
  GoLive();
  Push({.rows = kLeastNewRows});
  for (size_t i = 0; i < kSummariesKept + 5; ++i) {
    Push({.rows = 1});
    watch_->Look();
  }
  size_t kept = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_ + "/summaries")) kept += file.is_regular_file();
  EXPECT_EQ(kept, kSummariesKept);
  EXPECT_EQ(Found()->dataset_version, manifest_.version);
}

TEST_F(DriftWatchTest, TriesAgainAfterAWhileWhenAPackCannotBeRead) {
  ManualClock clock;
  DriftWatch watch(*store_, blobs_, files_, clock, folder_ + "/summaries");
  Push({});
  Apply();
  GoLive();
  Push({.price_off = 40});
  std::filesystem::rename(PackOf(2), folder_ + "/elsewhere");
  watch.Look();
  EXPECT_FALSE(Found());
  std::filesystem::rename(folder_ + "/elsewhere", PackOf(2));
  clock.AdvanceUs(59'000'000);
  watch.Look();
  EXPECT_FALSE(Found());
  clock.AdvanceUs(1'000'000);
  watch.Look();
  EXPECT_TRUE(Found());
}

TEST_F(DriftWatchTest, GivesUpAPackWhenItIsToStop) {
  Push({});
  SummaryCache summaries(files_, blobs_, folder_ + "/summaries");
  std::stop_source stop;
  stop.request_stop();
  const auto summary = summaries.Of(lake::SegmentDigests(manifest_, lake::Split::kTrain), stop.get_token());
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().code, ErrorCode::kUnavailable);
}

TEST_F(DriftWatchTest, LooksAtOnceWhenItStartsAndEndsWhenTold) {
  Push({});
  Apply();
  GoLive();
  Push({.price_off = 40});
  watch_->Start();
  EXPECT_TRUE(Await(2));
  watch_->Stop();
  Push({.price_off = 40});
  EXPECT_EQ(Found()->dataset_version, 2);
}

}  // namespace
}  // namespace ratchet::pipeline
