#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake/pack.h"
#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"

// A test step whose holdout has rows of training, in real processes.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const lake::Schema kKeyed{{{"id", lake::ColumnType::kText, {}}, {"x", lake::ColumnType::kReal, {}}, {"label", lake::ColumnType::kInteger, {}}}};

class LeakStep : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto model = folder_.data_dir() + "/blobs/candidate.pt";
    SaveToyModel(model, kRightAnswers);
    const auto manifest = folder_.AddFile("blobs/candidate.json", ToyManifest(ToySignature(), "accuracy", model));
    for (const auto& path : {model, manifest}) folder_.step["sandbox"]["read"].push_back(path);
    folder_.step["kind"] = "test";
    folder_.step["command"] = nullptr;
    folder_.step["metric"] = "accuracy";
    folder_.step["data"]["key"] = "id";
    folder_.step["candidate"] = {{"manifest", manifest}, {"model", model}};
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", kKeyed, Rows("t", 0, 100))};
    folder_.step["inputs"]["validation"] = {folder_.AddPack("validation", kKeyed, Rows("v", 500, 10))};
  }
  // Rows with inputs of their own, from `first` on.
  static std::vector<lake::Row> Rows(const std::string& key, int first, int count) {
    std::vector<lake::Row> rows;
    for (int i = first; i < first + count; ++i) rows.push_back({key + std::to_string(i), (i % 2 == 0 ? 1.0 : -1.0) * (1 + i), std::int64_t{i % 2 == 0}});
    return rows;
  }
  json Run(std::vector<lake::Row> holdout, const json& leakage) {
    folder_.step["inputs"]["holdout"] = {folder_.AddPack("holdout", kKeyed, holdout)};
    if (!leakage.is_null()) folder_.step["leakage"] = leakage;
    (void)folder_.Run(worker_);
    return folder_.Result();
  }
  static std::vector<lake::Row> With(std::vector<lake::Row> rows, const std::vector<lake::Row>& more) {
    rows.insert(rows.end(), more.begin(), more.end());
    return rows;
  }
  std::int64_t ScoredRows() const {
    const auto reader = lake::PackReader::Open({folder_.path() + "/scores.pack"});
    return reader ? (*reader)->rows() : -1;
  }

  WorkerProcess worker_;
  StepFolder folder_;
};

TEST_F(LeakStep, JudgesWithoutTheFewRowsThatTrainingHas) {
  const json result = Run(With(Rows("h", 1'000, 98), With(Rows("copy", 7, 1), Rows("copy", 502, 1))), {{"equal", "auto"}, {"near", "warn"}});
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 98);
  EXPECT_EQ(ScoredRows(), 98);
  const json& leakage = result["leakage"];
  EXPECT_EQ(leakage["rows"], 100);
  EXPECT_EQ(leakage["training_rows"], 110);
  EXPECT_EQ(leakage["dropped"], 2);
  EXPECT_EQ(leakage["columns"], json{"x"});
  EXPECT_EQ(leakage["equal"]["action"], "dropped");
  EXPECT_EQ(leakage["equal"]["rows"], 2);
  EXPECT_EQ(leakage["equal"]["examples"][0], (json{{"holdout", "copy7"}, {"training", "t7"}}));
  EXPECT_EQ(leakage["equal"]["examples"][1], (json{{"holdout", "copy502"}, {"training", "v502"}})) << "rows of the validation count";
  EXPECT_FALSE(leakage.contains("near")) << "there is nothing to tell near rows by";
}

TEST_F(LeakStep, LeavesATableAloneWhoseRowsAreEqualByNature) {
  const json result = Run(With(Rows("h", 1'000, 50), Rows("copy", 0, 50)), {{"equal", "auto"}, {"near", "warn"}});
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 100);
  EXPECT_EQ(result["leakage"]["equal"]["action"], "told");
  EXPECT_EQ(result["leakage"]["equal"]["share"], 0.5);
}

TEST_F(LeakStep, RefusesWhereTooManyAreFoundAndSaysTheWayOut) {
  const json result = Run(With(Rows("h", 1'000, 60), Rows("copy", 0, 40)), {{"equal", "drop"}, {"near", "off"}});
  EXPECT_EQ(result["outcome"], "failed");
  EXPECT_EQ(result["error"]["class"], "user");
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("40 of 100 sealed rows (40.0 %)"));
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("copy0 of the holdout is t0 of training"));
  EXPECT_THAT(result["error"]["hint"].get<std::string>(), HasSubstr("--set data.leakage.at_most=1"));
  EXPECT_EQ(result["leakage"]["equal"]["action"], "refused");
  EXPECT_FALSE(folder_.Has("scores.pack"));
}

TEST_F(LeakStep, TakesTheWayOutThatItNames) {
  const json result = Run(With(Rows("h", 1'000, 60), Rows("copy", 0, 40)), {{"equal", "drop"}, {"near", "off"}, {"at_most", 1}});
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 60);
}

TEST_F(LeakStep, RefusesAHoldoutThatIsAllOfTraining) {
  const json result = Run(Rows("copy", 0, 40), {{"equal", "drop"}, {"near", "off"}, {"at_most", 1}});
  EXPECT_EQ(result["outcome"], "failed");
  EXPECT_EQ(result["error"]["class"], "user");
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("40 of 40 sealed rows"));
}

// What training has does not depend on which side stands in for the live version.
TEST_F(LeakStep, LeavesTheSameRowsOutWhereTheBaselineStandsInForALiveVersionThatFails) {
  const auto model = folder_.data_dir() + "/blobs/live.pt";
  SaveToyModel(model, "return torch.stack([x, x], 1)[:, 5]");
  const auto manifest = folder_.AddFile("blobs/live.json", ToyManifest(ToySignature(), "accuracy", model));
  for (const auto& path : {model, manifest}) folder_.step["sandbox"]["read"].push_back(path);
  folder_.step["live"] = {{"manifest", manifest}, {"model", model}};
  folder_.step["baseline"] = "reset";
  const json result = Run(With(Rows("h", 1'000, 98), Rows("copy", 7, 2)), {{"equal", "auto"}, {"near", "warn"}});
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["live_unscorable"]["reason"], "answers");
  EXPECT_EQ(result["opponent_kind"], "majority");
  EXPECT_EQ(result["rows"], 98);
  EXPECT_EQ(ScoredRows(), 98);
  EXPECT_EQ(result["leakage"]["dropped"], 2);
}

TEST_F(LeakStep, LooksForNoneWhereNobodyAsks) {
  const json result = Run(Rows("copy", 0, 40), nullptr);
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 40);
  EXPECT_FALSE(result.contains("leakage"));
}

}  // namespace
}  // namespace ratchet::worker::testing
