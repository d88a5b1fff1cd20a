#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "tests/plugins/training.h"

namespace ratchet::sdk {
namespace {

using lake::ColumnType;
using testing::HasSubstr;

// A customer: whether the parcel is late depends on the town and the weight, its price on the weight.
lake::Schema ParcelSchema(ColumnType label) {
  return {{{"id", ColumnType::kText, {}},
           {"weight", ColumnType::kReal, {}},
           {"town", ColumnType::kText, {}},
           {"floors", ColumnType::kInteger, {}},
           {"scan", ColumnType::kBlob, {}},
           {"label", label, {}}}};
}

const char* const kTowns[] = {"Aachen", "Bonn", "Celle"};

class Tabular : public Training {
 protected:
  std::string Parcels(const std::string& name, int rows, unsigned seed, ColumnType label) {
    std::mt19937 random(seed);
    std::vector<lake::Row> all;
    for (int i = 0; i < rows; ++i) {
      const double weight = random() % 1000 / 100.0;
      const auto town = random() % 3;
      const bool late = (town == 1) != (weight > 6);
      lake::Row row = {"p" + std::to_string(random()),          weight,           std::string(kTowns[town]),
                       static_cast<std::int64_t>(random() % 4), std::string("x"), {}};
      if (label == ColumnType::kText)
        row[5] = std::string(late ? "late" : "in time");
      else
        row[5] = 1000 + 50 * weight + (town == 2 ? 300 : 0);
      if (random() % 10 == 0) row[3] = std::monostate();
      if (random() % 50 == 0) row[2] = std::monostate(), row[5] = std::monostate();
      all.push_back(row);
    }
    return WritePack(name, ParcelSchema(label), all);
  }

  TrainInput ParcelInput(const std::string& recipe, const std::string& attempt, nlohmann::json params = {}) {
    params.update({{"hidden", 32}, {"batch_size", 32}});
    const ColumnType label = recipe == "tabular.classifier" ? ColumnType::kText : ColumnType::kReal;
    TrainInput input = Input(recipe, attempt, ParcelSchema(label), params);
    input.key = "id";
    const std::string prefix = std::string(lake::ColumnTypeName(label));
    if (!std::filesystem::exists(folder_ + "/" + prefix + "-train.pack")) {
      Parcels(prefix + "-train", 600, 1, label);
      Parcels(prefix + "-validation", 120, 2, label);
    }
    input.train_packs = {folder_ + "/" + prefix + "-train.pack"};
    input.validation_packs = {folder_ + "/" + prefix + "-validation.pack"};
    return input;
  }

  static Result<TrainOutput> Train(const std::string& recipe, const TrainInput& input) {
    return Find(recipe).Train(input);
  }

  // The answer for one row that is asked directly.
  static torch::Tensor Ask(const TrainInput& input, double weight, double floors, const std::string& town) {
    torch::jit::Module model = LoadModel(input.model_path).value();
    const auto number = [](double value) { return torch::tensor({value}, torch::kFloat64); };
    return FirstOutput(model, {number(weight), number(floors), c10::List<std::string>({town})}).value()[0];
  }
};

TEST_F(Tabular, ClassifierLearnsFromNumbersAndCategories) {
  const TrainInput input = ParcelInput("tabular.classifier", "a", {{"epochs", 30}});
  const TrainOutput output = Train("tabular.classifier", input).value();
  EXPECT_EQ(output.classes, nlohmann::json({"in time", "late"}));
  EXPECT_EQ(output.signature.at("inputs"), nlohmann::json::parse(R"([
      {"name":"weight","datatype":"FP64","shape":[-1],"column":"weight"},
      {"name":"floors","datatype":"FP64","shape":[-1],"column":"floors"},
      {"name":"town","datatype":"BYTES","shape":[-1],"column":"town"}])"));
  EXPECT_GE(output.metrics.at("validation_accuracy").get<double>(), 0.93);
  EXPECT_GT(output.metrics.at("rows_without_target").get<int>(), 0);
  EXPECT_EQ(output.rows + output.metrics.at("rows_without_target").get<int>(), 600);
  EXPECT_GT(Ask(input, 2, 1, "Bonn")[1].item<double>(), 0.8);
  EXPECT_GT(Ask(input, 9, 1, "Bonn")[0].item<double>(), 0.8);
}

TEST_F(Tabular, AnswersForMissingAndUnknownValues) {
  const TrainInput input = ParcelInput("tabular.classifier", "a", {{"epochs", 5}});
  ASSERT_TRUE(Train("tabular.classifier", input).has_value());
  const torch::Tensor unknown = Ask(input, 2, 1, "Atlantis"), other = Ask(input, 2, 1, "Never seen either");
  EXPECT_TRUE(torch::equal(unknown, other));
  EXPECT_FALSE(torch::equal(unknown, Ask(input, 2, 1, "")));
  for (const double odd : std::vector<double>{std::nan(""), INFINITY, -INFINITY, 1e308})
    EXPECT_TRUE(torch::isfinite(Ask(input, odd, odd, "")).all().item<bool>()) << odd;
}

TEST_F(Tabular, RegressorAnswersInTheTargetsUnit) {
  const TrainInput input = ParcelInput("tabular.regressor", "a", {{"epochs", 60}});
  const TrainOutput output = Train("tabular.regressor", input).value();
  EXPECT_TRUE(output.classes.is_null());
  EXPECT_EQ(output.signature.at("outputs"),
            nlohmann::json::parse(R"([{"name":"prediction","datatype":"FP32","shape":[-1]}])"));
  EXPECT_LT(output.metrics.at("validation_mae").get<double>(), 30);
  EXPECT_NEAR(Ask(input, 5, 1, "Celle").item<double>(), 1550, 60);
  EXPECT_NEAR(Ask(input, 5, 1, "Bonn").item<double>(), 1250, 60);
}

TEST_F(Tabular, AnswersAlikeInPython) {
  for (const std::string recipe : {"tabular.classifier", "tabular.regressor"}) {
    const TrainInput input = ParcelInput(recipe, recipe, {{"epochs", 1}});
    const TrainOutput output = Train(recipe, input).value();
    const std::string& pack = input.validation_packs[0];
    const torch::Tensor here = Answers(input.model_path, output.signature, pack).to(torch::kFloat64);
    const torch::Tensor there = PythonAnswers(input.model_path, output.signature, pack);
    ASSERT_EQ(here.sizes(), there.sizes());
    EXPECT_TRUE(torch::allclose(here, there, 1e-6, 1e-6)) << recipe;
  }
}

TEST_F(Tabular, EndsWithTheSameWeightsWhenResumed) {
  const std::string recipe = "tabular.classifier";
  const TrainInput whole = ParcelInput(recipe, "whole", {{"epochs", 4}}),
                   again = ParcelInput(recipe, "again", {{"epochs", 4}});
  ASSERT_TRUE(Train(recipe, whole).has_value());
  ASSERT_TRUE(Train(recipe, again).has_value());
  EXPECT_TRUE(SameWeights(whole.model_path, again.model_path));
  TrainInput killed = ParcelInput(recipe, "killed", {{"epochs", 4}});
  BreakIn(3, killed);
  ASSERT_FALSE(Train(recipe, killed).has_value());
  TrainInput resumed = ParcelInput(recipe, "resumed", {{"epochs", 4}});
  resumed.resume = killed.checkpoint_folder;
  std::int64_t first_epoch = 0;
  resumed.report = [&](const Progress& progress) {
    if (progress.phase == "train" && first_epoch == 0) first_epoch = progress.epoch;
  };
  ASSERT_TRUE(Train(recipe, resumed).has_value());
  EXPECT_EQ(first_epoch, 3);
  EXPECT_TRUE(SameWeights(whole.model_path, resumed.model_path));
}

TEST_F(Tabular, EndsEarlyWithTheBestWeightsWhenValidationGetsNoBetter) {
  const TrainInput input =
      ParcelInput("tabular.classifier", "a", {{"epochs", 200}, {"patience", 3}, {"learning_rate", 0.02}});
  const TrainOutput output = Train("tabular.classifier", input).value();
  EXPECT_LT(output.epochs, 200);
  EXPECT_EQ(output.epochs, output.metrics.at("best_epoch").get<std::int64_t>() + 4);
}

TEST_F(Tabular, EndsWithAFiniteModelWhenTheLearningRateIsRuinous) {
  const TrainInput input = ParcelInput("tabular.regressor", "a", {{"epochs", 5}, {"learning_rate", 1000}});
  const TrainOutput output = Train("tabular.regressor", input).value();
  EXPECT_TRUE(
      torch::isfinite(Answers(input.model_path, output.signature, input.validation_packs[0])).all().item<bool>());
}

TEST_F(Tabular, TrainsWithEachParameterAtItsLeastValue) {
  for (const std::string recipe : {"tabular.classifier", "tabular.regressor"})
    TrainAtEachLeastValue(recipe, [&](const std::string& name) { return ParcelInput(recipe, recipe + name, {{"epochs", 2}}); });
}

TEST_F(Tabular, RefusesDataThatDoesNotSuit) {
  TrainInput input = ParcelInput("tabular.classifier", "a");
  const auto wrong_kind = Train("tabular.regressor", input);
  ASSERT_FALSE(wrong_kind.has_value());
  EXPECT_THAT(wrong_kind.error().Message(), HasSubstr("type is text"));
  input.target = "postcode";
  EXPECT_THAT(Train("tabular.classifier", input).error().Message(), HasSubstr("no such column"));
  const lake::Schema bare = {{{"id", ColumnType::kInteger, {}}, {"label", ColumnType::kInteger, {}}}};
  TrainInput none = Input("tabular.classifier", "none", bare, {});
  none.key = "id";
  none.train_packs = {WritePack("none", bare, {{std::int64_t{1}, std::int64_t{1}}})};
  const auto no_features = Train("tabular.classifier", none);
  ASSERT_FALSE(no_features.has_value());
  EXPECT_EQ(no_features.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(no_features.error().Message(), HasSubstr("no other number or text column"));
}

TEST_F(Tabular, LearnsFromTextsAloneAndFromNumbersAlone) {
  const lake::Schema schema = {
      {{"word", ColumnType::kText, {}}, {"size", ColumnType::kReal, {}}, {"label", ColumnType::kInteger, {}}}};
  std::vector<lake::Row> rows;
  for (std::int64_t i = 0; i < 40; ++i)
    rows.push_back({std::string(i % 2 ? "big" : "small"), static_cast<double>(i % 2), i % 2});
  const std::string pack = WritePack("both", schema, rows);
  for (const std::string key : {"word", "size"}) {
    TrainInput input = Input("tabular.classifier", key, schema, {{"epochs", 2}});
    input.key = key;  // left out
    input.train_packs = {pack};
    const auto output = Train("tabular.classifier", input);
    ASSERT_TRUE(output.has_value()) << output.error().Message();
    EXPECT_EQ(output->signature.at("inputs").size(), 1u);
    EXPECT_EQ(Answers(input.model_path, output->signature, pack).sizes(), (std::vector<std::int64_t>{40, 2}));
  }
}

}  // namespace
}  // namespace ratchet::sdk
