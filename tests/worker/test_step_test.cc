#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "lake/pack.h"
#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"

// The `test` step: candidate against live or baseline on the holdout, in real processes.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class TestStep : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.step["kind"] = "test";
    folder_.step["command"] = nullptr;
    folder_.step["metric"] = "accuracy";
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", ToySchema(), Skewed())};
    Holdout(ToyRows(20));
    folder_.step["candidate"] = Bundle("candidate", kRightAnswers, ToySignature(), "accuracy");
  }

  // Twelve rows of class 1 and eight of class 0: the majority is 1; the mean of `label` is 0.6.
  static std::vector<lake::Row> Skewed() {
    std::vector<lake::Row> rows;
    for (int i = 0; i < 20; ++i) rows.push_back({double(i), std::int64_t{i < 12}});
    return rows;
  }
  void Holdout(const std::vector<lake::Row>& rows, const lake::Schema& schema = ToySchema()) {
    folder_.step["inputs"]["holdout"] = {folder_.AddPack("holdout" + std::to_string(packs_++), schema, rows)};
  }
  json Bundle(const std::string& name, const std::string& body, const std::string& signature,
              const std::string& metric) {
    const auto model = folder_.data_dir() + "/blobs/" + name + ".pt";
    SaveToyModel(model, body);
    const auto manifest = folder_.AddFile("blobs/" + name + ".json", ToyManifest(signature, metric, model));
    for (const auto& path : {model, manifest}) folder_.step["sandbox"]["read"].push_back(path);
    return {{"manifest", manifest}, {"model", model}};
  }
  json Run() {
    (void)folder_.Run(worker_);
    return folder_.Result();
  }
  std::vector<lake::Row> Scores() const {
    std::vector<lake::Row> rows;
    const auto reader = lake::PackReader::Open({folder_.path() + "/scores.pack"});
    EXPECT_TRUE(reader.has_value());
    for (auto row = (*reader)->NextRow(); row && *row; row = (*reader)->NextRow()) rows.push_back(**row);
    return rows;
  }

  WorkerProcess worker_;
  StepFolder folder_;
  int packs_ = 0;
};

TEST_F(TestStep, ComparesTheFirstCandidateWithTheMajority) {
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 20);
  EXPECT_EQ(result["candidate"], 1.0);
  EXPECT_EQ(result["opponent"], 0.5);
  EXPECT_EQ(result["opponent_kind"], "majority");
  EXPECT_EQ(result["per_row"], "correct");
  EXPECT_EQ(result["higher_is_better"], true);
}

TEST_F(TestStep, ComparesWithTheLiveVersionOnTheSameRows) {
  folder_.step["live"] = Bundle("live", kWrongAnswers, ToySignature(), "accuracy");
  folder_.step["slices"] = {"label"};
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["opponent_kind"], "live");
  EXPECT_EQ(result["opponent"], 0.0);
  const auto scores = Scores();
  ASSERT_EQ(scores.size(), 20u);
  for (size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(scores[i], (lake::Row{1.0, 0.0, std::int64_t{i % 2 == 0}})) << i;
}

TEST_F(TestStep, SkipsRowsWithoutATargetAndCountsThem) {
  auto rows = ToyRows(20);
  rows[3][1] = std::monostate{};
  Holdout(rows);
  const auto result = Run();
  EXPECT_EQ(result["rows"], 19) << result;
  EXPECT_EQ(result["metrics"]["rows_without_target"], 1);
  EXPECT_EQ(Scores().size(), 19u);
}

TEST_F(TestStep, CountsAnswersThatAreNotFiniteAsWrong) {
  // The candidate answers NaN where x is 7 or more in size: rows 6 and 13 of twenty.
  folder_.step["candidate"] = Bundle(
      "nan", "return torch.stack([(x <= 0).float(), (x > 0).float()], 1) / (x.abs() < 7).float().unsqueeze(1) * 1.0",
      ToySignature(), "accuracy");
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["metrics"]["non_finite_rows"], 2);
  EXPECT_EQ(result["candidate"], 0.9);
}

TEST_F(TestStep, ScoresByLogLossAgainstTheClassShares) {
  folder_.step["metric"] = "log_loss";
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["per_row"], "log_loss");
  EXPECT_EQ(result["higher_is_better"], false);
  EXPECT_NEAR(result["candidate"], 0.0, 1e-9);
  EXPECT_NEAR(result["opponent"], -(std::log(0.6) + std::log(0.4)) / 2, 1e-9);
}

TEST_F(TestStep, ScoresARegressionAgainstTheMean) {
  folder_.step["candidate"] = Bundle("regression", "return (x > 0).float()", ToyRegressionSignature(), "rmse");
  for (const auto& [metric, opponent] : {std::pair{"mae", 0.5}, std::pair{"rmse", std::sqrt((0.16 + 0.36) / 2)}}) {
    std::filesystem::remove(folder_.path() + "/result.json");
    folder_.step["metric"] = metric;
    const auto result = Run();
    ASSERT_EQ(result["outcome"], "succeeded") << result;
    EXPECT_EQ(result["opponent_kind"], "mean");
    EXPECT_NEAR(result["candidate"], 0.0, 1e-9);
    EXPECT_NEAR(result["opponent"], opponent, 1e-9);
  }
}

TEST_F(TestStep, BlamesTheUserWhenTheLiveVersionNeedsColumnsThatAreGone) {
  const std::string signature =
      R"({"task":"classification","inputs":[{"name":"weight","datatype":"FP32","shape":[-1]}],
          "outputs":[{"name":"p","datatype":"FP32","shape":[-1,2]}],"classes":[0,1]})";
  folder_.step["live"] = Bundle("live", kRightAnswers, signature, "accuracy");
  const auto result = Run();
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("live version"));
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("weight"));
  EXPECT_THAT(result["error"]["hint"].get<std::string>(), HasSubstr("--force"));
}

TEST_F(TestStep, RefusesAMetricOfAnotherTask) {
  folder_.step["metric"] = "rmse";
  const auto result = Run();
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(result["error"]["hint"].get<std::string>(), HasSubstr("log_loss"));
}

TEST_F(TestStep, RefusesASliceThatIsNoColumn) {
  folder_.step["slices"] = {"colour"};
  EXPECT_THAT(Run()["error"]["message"].get<std::string>(), HasSubstr("colour"));
}

TEST_F(TestStep, FailsWhenNoRowHasATarget) {
  Holdout({{1.0, std::monostate{}}});
  EXPECT_EQ(Run()["error"]["class"], "user");
}

}  // namespace
}  // namespace ratchet::worker::testing
