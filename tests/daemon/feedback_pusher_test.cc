#include "daemon/feedback_pusher.h"

#include <gmock/gmock.h>

#include "daemon/feedback_push.h"
#include "lake/manifest.h"
#include "lake/pack.h"
#include "lake/split.h"
#include "registry/datasets.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kLines[] = "application/x-ndjson";

// A key is the row's id, an integer; size is the model's one input.
class FeedbackPusherTest : public ApiFixture {
 protected:
  void SetUp() override {
    Apply("feedback: {dataset: same, every: 3}\n");
    PushToys();
    MakePassedVersion("one");
  }
  void Apply(const std::string& section) { Ok("PUT", "/api/v1/pipelines/toys", "application/yaml", kToysSpec + section); }

  // An answered request with its outcomes, one a row.
  void Joined(const std::string& key, const std::vector<double>& sizes, int label = 1, const Json& tensor = Json::object()) {
    const std::string id = "p" + std::to_string(++sequence_);
    Json input = {{"name", "size"}, {"datatype", "FP64"}, {"shape", {sizes.size()}}, {"data", sizes}};
    input.update(tensor);
    Json line = {{"sequence", sequence_}, {"id", id}, {"model", "toys"}, {"version", 1}, {"role", "live"}, {"share", 1},
                 {"rows", sizes.size()}, {"at", clock_.WallUs()}, {"latency_us", 80}, {"inputs", {input}}, {"outputs", Json::array()}};
    if (tensor.contains("redacted")) line["inputs"][0].erase("data");
    if (!key.empty()) line["key"] = key;
    Ok("POST", "/api/v1/replicas/local/predictions?spool=s1&started=5&dropped=0", kLines, line.dump() + "\n");
    for (size_t row = 0; row < sizes.size(); ++row)
      Ok("POST", "/api/v1/models/toys/feedback", kLines, Json{{"prediction", id}, {"row", row}, {"outcome", label}}.dump() + "\n");
  }
  Json Rows() { return Ok("GET", "/api/v1/models/toys/live-metric")["rows"]; }
  std::int64_t Latest(const std::string& dataset = "toys") { return *LatestVersionOf(*api_, dataset); }
  lake::Manifest ManifestOf(const std::string& dataset, std::int64_t number) {
    const auto version = store_->Read([&](Db& db) { return registry::GetDatasetVersion(db, dataset, number); });
    return *lake::ManifestFromJson(*blobs_->Read(version->manifest));
  }
  // The rows that this version's own push brought, of all splits, as texts "id,size,label".
  std::vector<std::string> Pushed(const std::string& dataset, std::int64_t number) {
    std::vector<std::string> rows;
    for (const lake::Segment& segment : ManifestOf(dataset, number).segments) {
      if (segment.push != number) continue;
      const auto reader = lake::PackReader::Open({blobs_->PathOf(segment.sha256)});
      while (const auto row = (*reader)->NextRow().value()) rows.push_back(Text(*row));
    }
    std::ranges::sort(rows);
    return rows;
  }
  static std::string Text(const lake::Row& row) {
    std::string text;
    for (const lake::Value& value : row) {
      if (!text.empty()) text += ",";
      if (const auto* whole = std::get_if<std::int64_t>(&value)) text += std::to_string(*whole);
      if (const auto* real = std::get_if<double>(&value)) text += Json(*real).dump();
      if (const auto* words = std::get_if<std::string>(&value)) text += *words;
    }
    return text;
  }
  // One of the 100 rows' ids that lies in this split.
  std::int64_t IdIn(lake::Split split, std::int64_t from = 0) {
    const lake::Schema schema{.columns = {{.name = "id", .type = lake::ColumnType::kInteger}}};
    lake::Splitter splitter({.key = "id"}, schema);
    for (std::int64_t id = from;; ++id)
      if (splitter.Of(std::vector<lake::Cell>{id}) == split) return id;
  }

  std::int64_t sequence_ = 0;
};

TEST_F(FeedbackPusherTest, MakesAVersionOfJoinedRowsOnceThereAreEnough) {
  FeedbackPusher pusher(*api_);
  Joined("1000", {0.5});
  Joined("1001", {1.5}, 0);
  pusher.Look();
  EXPECT_EQ(Latest(), 1);
  EXPECT_EQ(Rows()["waiting"], 2);
  Joined("1002", {2.5});
  pusher.Look();
  ASSERT_EQ(Latest(), 2);
  EXPECT_THAT(Pushed("toys", 2), ElementsAre("1000,0.5,1", "1001,1.5,0", "1002,2.5,1"));
  EXPECT_EQ(ManifestOf("toys", 2).feedback, (lake::FeedbackPush{.model = "toys", .batch = 1}));
  const Json rows = Rows();
  EXPECT_EQ(rows["pushed"], 3);
  EXPECT_EQ(rows["waiting"], 0);
  EXPECT_EQ(rows["version"], 2);
  pusher.Look();
  EXPECT_EQ(Latest(), 2);
}

TEST_F(FeedbackPusherTest, DoesNotRepeatABatchWhoseProcessDiedAfterThePush) {
  for (int i = 0; i < 3; ++i) Joined(std::to_string(1000 + i), {1.0 * i});
  const auto plan = store_->Read([](Db& db) -> Result<registry::FeedbackPlan> { return registry::FeedbackPlans(db).at(0); });
  const auto batch = events_->Write([&](Db& db) -> Result<std::optional<registry::FeedbackBatch>> {
    return registry::BeginBatch(db, 1, "toys", "toys", 1, 100);
  });
  ASSERT_TRUE(PushBatch(*api_, *plan, **batch, {}));
  Ok("POST", "/api/v1/datasets/toys/versions", "text/csv", "id,size,label\n5000,1,1\n");  // others push meanwhile
  ASSERT_EQ(Latest(), 3);

  FeedbackPusher(*api_).Look();
  EXPECT_EQ(Latest(), 3);
  EXPECT_EQ(Rows()["version"], 2);
  EXPECT_EQ(Rows()["pushed"], 3);
}

TEST_F(FeedbackPusherTest, PushesABatchWhoseProcessDiedBeforeThePush) {
  for (int i = 0; i < 3; ++i) Joined(std::to_string(1000 + i), {1.0 * i});
  ASSERT_TRUE(events_->Write([&](Db& db) -> Result<std::optional<registry::FeedbackBatch>> {
    return registry::BeginBatch(db, 1, "toys", "toys", 1, 100);
  }));
  Joined("1003", {9});
  FeedbackPusher(*api_).Look();
  EXPECT_EQ(Pushed("toys", 2).size(), 3u);
  EXPECT_EQ(Rows()["waiting"], 1);
}

TEST_F(FeedbackPusherTest, LeavesOutWhatIsSealedUnfitOrKnown) {
  const std::int64_t sealed = IdIn(lake::Split::kHoldout), trained = IdIn(lake::Split::kTrain);
  const std::int64_t fresh = IdIn(lake::Split::kHoldout, 1000);
  ASSERT_LT(sealed, 100);
  Joined(std::to_string(sealed), {1});
  Joined(std::to_string(trained), {2});
  Joined(std::to_string(fresh), {3});
  Joined("no number", {4});
  Joined(std::to_string(fresh), {5});
  FeedbackPusher pusher(*api_);
  pusher.Look();
  EXPECT_EQ(Pushed("toys", 2).size(), 2u);
  Json rows = Rows();
  EXPECT_EQ(rows["in_holdout"], 1);
  EXPECT_EQ(rows["unfit"], 1);
  EXPECT_EQ(rows["known"], 1);
  EXPECT_THAT(rows["why_unfit"].get<std::string>(), HasSubstr("of integers"));
  for (int i = 0; i < 3; ++i) Joined(std::to_string(fresh), {6});
  pusher.Look();
  EXPECT_EQ(Latest(), 2) << "a case is one row, whenever it is asked for";
  EXPECT_EQ(Rows()["known"], 4);
}

TEST_F(FeedbackPusherTest, KeepsWhatWasLeftOutOfTheLogOut) {
  Joined("1000", {0.5}, 1, {{"redacted", true}});
  Joined("1001", {1.5});
  Joined("1002", {2.5});
  FeedbackPusher(*api_).Look();
  EXPECT_THAT(Pushed("toys", 2), ElementsAre("1000,,1", "1001,1.5,1", "1002,2.5,1"));
}

TEST_F(FeedbackPusherTest, PushesToADatasetOfItsOwnWithTheSameColumnsAndSplit) {
  Apply("feedback: {dataset: answers, every: 2}\n");
  Joined("1000", {0.5});
  Joined("1001", {1.5});
  FeedbackPusher(*api_).Look();
  EXPECT_EQ(Latest(), 1);
  EXPECT_EQ(Pushed("answers", 1).size(), 2u);
  EXPECT_EQ(ManifestOf("answers", 1).split, ManifestOf("toys", 1).split);
}

TEST_F(FeedbackPusherTest, StartsByItselfWhenRowsAreJoined) {
  FeedbackPusher pusher(*api_);
  feedback_->OnJoined([&] { pusher.Wake(); });
  pusher.Start();
  for (int i = 0; i < 3; ++i) Joined(std::to_string(1000 + i), {1.0 * i});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Latest() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  pusher.Stop();
  feedback_->OnJoined([] {});
  EXPECT_EQ(Latest(), 2);
}

TEST_F(FeedbackPusherTest, TellsTheLiveMetricByTheValuesOfAColumn) {
  const auto scored = [&](double size, const std::string& said) {
    const std::string id = "s" + std::to_string(++sequence_);
    const Json line = {{"sequence", sequence_}, {"id", id}, {"model", "toys"}, {"version", 1}, {"role", "live"}, {"share", 1},
                       {"rows", 1}, {"at", clock_.WallUs()}, {"latency_us", 80},
                       {"inputs", {{{"name", "size"}, {"data", {size}}}}}, {"outputs", {{{"name", "label"}, {"data", {said}}}}}};
    Ok("POST", "/api/v1/replicas/local/predictions?spool=s1&started=5&dropped=0", kLines, line.dump() + "\n");
    Ok("POST", "/api/v1/models/toys/feedback", kLines, Json{{"prediction", id}, {"outcome", "1"}}.dump() + "\n");
  };
  for (const char* said : {"1", "0", "1", "1"}) scored(2.5, said);
  scored(4, "0");
  const Json live = Ok("GET", "/api/v1/models/toys/live-metric?slice=size&span=86400");
  EXPECT_EQ(live["slice"], "size");
  const Json slices = live["versions"].at(0)["slices"];
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0]["group"], "2.5");
  EXPECT_EQ(slices[0]["rows"], 4);
  EXPECT_EQ(slices[0]["value"], 0.75);
  EXPECT_EQ(slices[0]["series"].at(0)["rows"], 4);
  EXPECT_EQ(slices[1]["value"], 0);
}

}  // namespace
}  // namespace ratchet::daemon
