#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "lake/pack.h"
#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"

// The `test` step: candidate against live or baseline on the holdout, in real processes.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// No C++ exception guards a division of integers by zero in a TorchScript module.
constexpr char kCrashes[] = "return torch.stack([(x <= 0).float(), (x > 0).float()], 1) + x.size(0) % (x.dim() - 1)";
constexpr char kHangs[] = "while x.dim() == 1:\n    x = x + 0.0\n  return torch.stack([(x <= 0).float(), (x > 0).float()], 1)";

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
  std::vector<lake::Row> Scores(const std::vector<std::string>& columns = {}) const {
    std::vector<lake::Row> rows;
    const auto reader = lake::PackReader::Open({folder_.path() + "/scores.pack"}, columns);
    EXPECT_TRUE(reader.has_value());
    for (auto row = (*reader)->NextRow(); row && *row; row = (*reader)->NextRow()) rows.push_back(**row);
    return rows;
  }

  // One column of reals, or of integers as such.
  std::vector<double> Column(const std::string& name) const {
    std::vector<double> values;
    for (const auto& row : Scores({name})) {
      const auto* integer = std::get_if<std::int64_t>(&row.at(0));
      values.push_back(integer != nullptr ? static_cast<double>(*integer) : std::get<double>(row.at(0)));
    }
    return values;
  }
  // The share of rows whose answer is right.
  double Right(const std::string& side) const {
    const auto target = Column("test:target"), predicted = Column(side + ":predicted");
    double right = 0;
    for (size_t i = 0; i < target.size(); ++i) right += target[i] == predicted[i] ? 1 : 0;
    return right / static_cast<double>(target.size());
  }

  WorkerProcess worker_;
  StepFolder folder_;
  int packs_ = 0;
};

TEST_F(TestStep, ComparesTheFirstCandidateWithTheMajority) {
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["rows"], 20);
  EXPECT_EQ(result["metric"], "accuracy");
  EXPECT_EQ(result["evidence"], "classes");
  EXPECT_EQ(result["classes"], 2);
  EXPECT_EQ(result["class_names"], (json{"0", "1"}));
  EXPECT_EQ(result["opponent_kind"], "majority");
  EXPECT_EQ(Right("candidate"), 1.0);
  EXPECT_EQ(Right("opponent"), 0.5);
  EXPECT_THAT(Column("opponent:p_positive"), ::testing::Each(::testing::DoubleNear(0.6, 1e-12)));
  EXPECT_THAT(Column("opponent:p_predicted"), ::testing::Each(::testing::DoubleNear(0.6, 1e-12)));
  EXPECT_THAT(Column("opponent:square_sum"), ::testing::Each(::testing::DoubleNear(0.52, 1e-12)));
}

TEST_F(TestStep, ComparesWithTheLiveVersionOnTheSameRows) {
  folder_.step["live"] = Bundle("live", kWrongAnswers, ToySignature(), "accuracy");
  folder_.step["slices"] = {"label"};
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["opponent_kind"], "live");
  const auto scores = Scores({"test:target", "candidate:predicted", "opponent:predicted", "label"});
  ASSERT_EQ(scores.size(), 20u);
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::int64_t label = i % 2 == 0 ? 1 : 0;
    EXPECT_EQ(scores[i], (lake::Row{label, label, 1 - label, label})) << i;
  }
}

// The live version knows 1 and 2, the candidate 0 and 1; the holdout asks for 0, 1 and 7.
TEST_F(TestStep, MapsBothSidesToOneListOfClasses) {
  const std::string signature =
      R"({"task":"classification","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],
          "outputs":[{"name":"p","datatype":"FP32","shape":[-1,2]}],"classes":[2,1]})";
  folder_.step["live"] = Bundle("live", "return torch.stack([0 * x + 0.25, 0 * x + 0.75], 1)", signature, "accuracy");
  Holdout({{1.0, std::int64_t{1}}, {-1.0, std::int64_t{0}}, {2.0, std::int64_t{7}}});
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["class_names"], (json{"0", "1", "2", "7"}));
  EXPECT_THAT(Column("test:target"), ElementsAre(1, 0, 3));
  EXPECT_THAT(Column("candidate:predicted"), ElementsAre(1, 0, 1));
  EXPECT_THAT(Column("candidate:p_target"), ElementsAre(1, 1, 0));
  EXPECT_THAT(Column("opponent:predicted"), ElementsAre(1, 1, 1));
  EXPECT_THAT(Column("opponent:p_target"), ElementsAre(0.75, 0, 0));
  EXPECT_THAT(Column("opponent:p_predicted"), ElementsAre(0.75, 0.75, 0.75));
  EXPECT_THAT(Column("opponent:square_sum"), ElementsAre(0.625, 0.625, 0.625));
  EXPECT_FALSE(lake::PackReader::Open({folder_.path() + "/scores.pack"}, {"candidate:p_positive"}));
}

TEST_F(TestStep, RefusesAnAreaUnderACurveOfThreeClasses) {
  folder_.step["metric"] = "roc_auc";
  EXPECT_EQ(Run()["outcome"], "succeeded");
  std::filesystem::remove(folder_.path() + "/result.json");
  Holdout({{1.0, std::int64_t{1}}, {-1.0, std::int64_t{0}}, {2.0, std::int64_t{7}}});
  const auto result = Run();
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("for two classes, and the models and the holdout have 3: 0, 1, 7"));
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
  EXPECT_EQ(Right("candidate"), 0.9);
  const auto target = Column("test:target"), positive = Column("candidate:p_positive");
  for (const size_t row : {6u, 13u}) {
    EXPECT_EQ(Column("candidate:p_target")[row], 0);
    EXPECT_EQ(Column("candidate:p_predicted")[row], 1);
    EXPECT_EQ(Column("candidate:square_sum")[row], 1);
    EXPECT_EQ(positive[row], 1 - target[row]);
  }
}

TEST_F(TestStep, KeepsNumbersOfARegressionAndOfTheMean) {
  folder_.step["candidate"] = Bundle("regression", "return (x > 0).float()", ToyRegressionSignature(), "rmse");
  folder_.step["metric"] = "wape";
  folder_.step["baseline"] = "mean";
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["opponent_kind"], "mean");
  EXPECT_EQ(result["evidence"], "numbers");
  EXPECT_EQ(Column("candidate:prediction"), Column("test:target"));
  EXPECT_THAT(Column("opponent:prediction"), ::testing::Each(::testing::DoubleNear(0.6, 1e-12)));
}

TEST_F(TestStep, GivesAnAnswerThatIsNoNumberTheLargestError) {
  folder_.step["candidate"] = Bundle("infinite", "return (x > 0).float() / (x.abs() < 7).float()", ToyRegressionSignature(), "mae");
  folder_.step["live"] = Bundle("far", "return 0 * x + 5", ToyRegressionSignature(), "mae");
  folder_.step["metric"] = "mae";
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["metrics"]["non_finite_rows"], 2);
  const auto target = Column("test:target"), prediction = Column("candidate:prediction");
  for (const size_t row : {6u, 13u}) EXPECT_EQ(prediction[row], target[row] - 5) << row;
  EXPECT_EQ(prediction[0], target[0]);
}

// A live version that cannot be scored is told of; nothing is scored then, unless the baseline may stand in for it.
class LiveThatDoesNotDo : public TestStep {
 protected:
  void LiveNeedsWeight() { Live("weight", kRightAnswers); }
  void Live(const std::string& input, const std::string& body, const std::string& classes = "[0,1]") {
    const std::string signature = R"({"task":"classification","inputs":[{"name":")" + input +
        R"(","datatype":"FP32","shape":[-1]}],"outputs":[{"name":"p","datatype":"FP32","shape":[-1,2]}],"classes":)" + classes + "}";
    folder_.step["live"] = Bundle("live", body, signature, "accuracy");
  }
  void ExpectUnscorable(const std::string& reason, const std::string& message) {
    const auto result = Run();
    ASSERT_EQ(result["outcome"], "succeeded") << result;
    EXPECT_EQ(result["live_unscorable"]["reason"], reason) << result;
    EXPECT_THAT(result["live_unscorable"]["message"].get<std::string>(), HasSubstr(message));
    EXPECT_EQ(result["opponent_kind"], "live");
    EXPECT_EQ(result["metric"], "accuracy");
    EXPECT_FALSE(result.contains("evidence"));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/scores.pack"));
  }
};

TEST_F(LiveThatDoesNotDo, ForItNeedsAColumnThatIsGone) {
  LiveNeedsWeight();
  ExpectUnscorable("columns", "weight");
}

TEST_F(LiveThatDoesNotDo, ForItIsOfAnotherTask) {
  folder_.step["live"] = Bundle("live", "return x", ToyRegressionSignature(), "mae");
  ExpectUnscorable("task", "it is for regression, and the candidate is for classification");
}

TEST_F(LiveThatDoesNotDo, ForItsClassesAreTextsWhereTheTargetHoldsNumbers) {
  Live("x", kRightAnswers, R"(["no","yes"])");
  ExpectUnscorable("target", "");
}

TEST_F(LiveThatDoesNotDo, ForItsModuleDoesNotLoad) {
  Live("x", kRightAnswers);
  std::filesystem::permissions(folder_.step["live"]["model"].get<std::string>(), std::filesystem::perms::owner_all);
  std::ofstream(folder_.step["live"]["model"].get<std::string>(), std::ios::trunc) << "not TorchScript";
  ExpectUnscorable("module", "load model");
}

TEST_F(LiveThatDoesNotDo, ForItFailsOnTheseRows) {
  Live("x", "return torch.stack([x, x], 1)[:, 5]");
  ExpectUnscorable("answers", "");
}

TEST_F(LiveThatDoesNotDo, ForItCrashes) {
  Live("x", kCrashes);
  ExpectUnscorable("crash", "it crashed while it was scored: the process that ran the model was ended by signal 8");
  EXPECT_EQ(folder_.Exit()["exit_code"], 0) << "the step itself lives on";
}

TEST_F(LiveThatDoesNotDo, ForItCrashesInTheMiddleOfTheRows) {
  // Over x = 300, which is in the second batch of 256.
  Live("x", "return torch.stack([(x <= 0).float(), (x > 0).float()], 1) + x.size(0) % (1 - int((x > 299).any()))");
  auto rows = ToyRows(299);
  rows.push_back({300.0, std::int64_t{1}});
  Holdout(rows);
  ExpectUnscorable("crash", "signal 8");
}

TEST_F(LiveThatDoesNotDo, ForItHangs) {
  Live("x", kHangs);
  folder_.step["limits"]["time_s"] = 4;
  ExpectUnscorable("time", "it has not answered the 20 rows within half of limits.time, which is 4 s");
}

TEST_F(LiveThatDoesNotDo, ForItHangsOrCrashesAndTheBaselineStandsInForItByReset) {
  for (const auto& [body, reason] : {std::pair{kCrashes, "crash"}, std::pair{kHangs, "time"}}) {
    SCOPED_TRACE(reason);
    Live("x", body);
    folder_.step["limits"]["time_s"] = 10;
    folder_.step["baseline"] = "reset";
    const auto result = Run();
    ASSERT_EQ(result["outcome"], "succeeded") << result;
    EXPECT_EQ(result["opponent_kind"], "majority");
    EXPECT_EQ(result["live_unscorable"]["reason"], reason);
    EXPECT_EQ(Right("candidate"), 1.0);
    std::filesystem::remove(folder_.path() + "/result.json");
    std::filesystem::remove(folder_.step["live"]["model"].get<std::string>());
  }
}

TEST_F(LiveThatDoesNotDo, ForItsManifestIsOfAFormNoLongerKnown) {
  Live("x", kRightAnswers);
  std::ofstream(folder_.step["live"]["manifest"].get<std::string>(), std::ios::trunc) << R"({"format":99})";
  ExpectUnscorable("manifest", "");
}

TEST_F(LiveThatDoesNotDo, AndTheBaselineStandsInForItByReset) {
  LiveNeedsWeight();
  folder_.step["baseline"] = "reset";
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["opponent_kind"], "majority");
  EXPECT_EQ(result["live_unscorable"]["reason"], "columns");
  EXPECT_EQ(Right("candidate"), 1.0);
  EXPECT_EQ(Right("opponent"), 0.5);
}

TEST_F(LiveThatDoesNotDo, AlsoWhereThatShowsInTheMiddleOfTheRows) {
  // Fails where a batch has a row of x = 300, which is in the second batch of 256.
  Live("x", "return torch.stack([(x <= 0).float(), (x > 0).float()], 1)[:, :2 - int((x > 299).any())]");
  folder_.step["baseline"] = "reset";
  auto rows = ToyRows(299);
  rows.push_back({300.0, std::int64_t{1}});
  Holdout(rows);
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_EQ(result["live_unscorable"]["reason"], "answers") << result;
  EXPECT_EQ(result["rows"], 300);
  EXPECT_EQ(Scores().size(), 300u) << "each row once";
  EXPECT_THAT(Column("opponent:p_positive"), ::testing::Each(::testing::DoubleNear(0.6, 1e-12)));
}

TEST_F(LiveThatDoesNotDo, ResetChangesNothingWhereItDoes) {
  folder_.step["live"] = Bundle("live", kWrongAnswers, ToySignature(), "accuracy");
  folder_.step["baseline"] = "reset";
  const auto result = Run();
  EXPECT_EQ(result["opponent_kind"], "live") << result;
  EXPECT_FALSE(result.contains("live_unscorable"));
  EXPECT_EQ(Right("opponent"), 0);
}

TEST_F(TestStep, ACandidateThatDoesNotDoIsTheUsersFaultWhateverTheLiveVersionIs) {
  folder_.step["candidate"] = Bundle("broken", "return torch.stack([x, x], 1)[:, 5]", ToySignature(), "accuracy");
  folder_.step["live"] = Bundle("live", kRightAnswers, ToySignature(), "accuracy");
  EXPECT_EQ(Run()["error"]["class"], "user");
}

// No retry would make another of it, so it is no `signal`.
TEST_F(TestStep, ACandidateThatCrashesIsTheUsersFaultWhateverTheLiveVersionIs) {
  folder_.step["candidate"] = Bundle("crashing", kCrashes, ToySignature(), "accuracy");
  for (const bool live : {false, true}) {
    if (live) folder_.step["live"] = Bundle("live", kRightAnswers, ToySignature(), "accuracy");
    const auto result = Run();
    EXPECT_EQ(result["error"]["class"], "user") << result;
    EXPECT_THAT(result["error"]["message"].get<std::string>(),
                HasSubstr("the candidate crashed while it was scored: the process that ran the model was ended by signal 8"));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/scores.pack"));
    std::filesystem::remove(folder_.path() + "/result.json");
  }
}

TEST_F(TestStep, ACandidateThatHangsIsEndedAtTheStepsLimit) {
  folder_.step["candidate"] = Bundle("hanging", kHangs, ToySignature(), "accuracy");
  folder_.step["live"] = Bundle("live", kRightAnswers, ToySignature(), "accuracy");
  folder_.step["limits"]["time_s"] = 3;
  EXPECT_TRUE(Run().is_null()) << "no word of its own";
  EXPECT_EQ(folder_.Exit()["class"], "timeout");
}

// Nineteen rows of 0 to 18 and one of 1,000: the middle is 9.5, the mean 58.55.
TEST_F(TestStep, ANumbersBaselineIsTheMedianUnlessTheErrorIsSquared) {
  std::vector<lake::Row> rows;
  for (int i = 0; i < 20; ++i) rows.push_back({double(i), std::int64_t{i < 19 ? i : 1000}});
  folder_.step["inputs"]["train"] = {folder_.AddPack("numbers", ToySchema(), rows)};
  folder_.step["candidate"] = Bundle("regression", "return (x > 0).float()", ToyRegressionSignature(), "mae");
  const std::vector<std::tuple<std::string, std::string, std::string, double>> cases{
      {"mae", "auto", "median", 9.5}, {"rmse", "auto", "mean", 58.55}, {"mae", "mean", "mean", 58.55}, {"rmse", "median", "median", 9.5}};
  for (const auto& [metric, baseline, kind, answer] : cases) {
    SCOPED_TRACE(metric + " " + baseline);
    folder_.step["metric"] = metric;
    folder_.step["baseline"] = baseline;
    const auto result = Run();
    EXPECT_EQ(result["opponent_kind"], kind) << result;
    EXPECT_THAT(Column("opponent:prediction"), ::testing::Each(::testing::DoubleNear(answer, 1e-9)));
    std::filesystem::remove(folder_.path() + "/result.json");
  }
}

TEST_F(TestStep, RefusesABaselineOfAnotherTask) {
  folder_.step["baseline"] = "median";
  const auto result = Run();
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(result["error"]["hint"].get<std::string>(), HasSubstr("majority"));
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
