#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include <array>
#include <random>

#include "tests/plugins/training.h"

namespace ratchet::sdk {
namespace {

using testing::HasSubstr;

constexpr char kRecipe[] = "vision.classifier";
const char* const kQuadrants[] = {"top-left", "top-right", "bottom-left", "bottom-right"};

lake::Schema PhotoSchema(lake::ColumnType label = lake::ColumnType::kText,
                         std::vector<std::int64_t> shape = {1, 12, 12}) {
  return {{{"id", lake::ColumnType::kInteger, {}},
           {"photo", lake::ColumnType::kBlob, std::move(shape)},
           {"label", label, {}}}};
}

// A noisy grey image with one bright quadrant; no mirroring then, which would change the class.
std::string Photo(int quadrant, std::mt19937& random, int channels = 1, int height = 12, int width = 12) {
  std::string bytes;
  for (int c = 0; c < channels; ++c)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const bool bright = (y >= height / 2) * 2 + (x >= width / 2) == quadrant;
        bytes.push_back(static_cast<char>(random() % 100 + (bright ? 120 : 20)));
      }
  return bytes;
}

class VisionClassifier : public Training {
 protected:
  std::string Photos(const std::string& name, int rows, unsigned seed,
                     lake::ColumnType label = lake::ColumnType::kText) {
    std::mt19937 random(seed);
    std::vector<lake::Row> all;
    for (std::int64_t i = 0; i < rows; ++i) {
      const int quadrant = static_cast<int>(random() % 4);
      lake::Value value = std::string(kQuadrants[quadrant]);
      if (label == lake::ColumnType::kInteger) value = std::int64_t{quadrant * 10};
      all.push_back({i, Photo(quadrant, random), value});
    }
    return WritePack(name, PhotoSchema(label), all);
  }

  TrainInput PhotoInput(const std::string& attempt, nlohmann::json params = {}) {
    params.update({{"flip", false}, {"shift", 1}, {"width", 8}, {"batch_size", 32}});
    if (!params.contains("epochs")) params["epochs"] = 4;
    TrainInput input = Input(kRecipe, attempt, PhotoSchema(), params);
    input.train_packs = {train_};
    input.validation_packs = {validation_};
    return input;
  }

  Result<TrainOutput> Train(const TrainInput& input) { return Find(kRecipe).Train(input); }

  std::string FailureWith(const lake::Schema& schema, const std::vector<lake::Row>& rows,
                          nlohmann::json params = {{"epochs", 1}}) {
    TrainInput input = Input(kRecipe, "bad", schema, params);
    input.train_packs = {WritePack("bad" + std::to_string(packs_++), schema, rows)};
    const auto output = Train(input);
    if (output) return "no failure";
    EXPECT_EQ(output.error().code, ErrorCode::kInvalid);
    return output.error().Message();
  }

  int packs_ = 0;
  const std::string train_ = Photos("train", 300, 1), validation_ = Photos("validation", 60, 2);
};

TEST_F(VisionClassifier, LearnsWhichQuadrantIsBright) {
  const TrainInput input = PhotoInput("a", {{"epochs", 6}});
  const TrainOutput output = Train(input).value();
  EXPECT_EQ(output.classes, nlohmann::json({"bottom-left", "bottom-right", "top-left", "top-right"}));
  EXPECT_EQ(output.signature.at("inputs"),
            nlohmann::json::parse(R"([{"name":"photo","datatype":"UINT8","shape":[-1,1,12,12],"column":"photo"}])"));
  EXPECT_EQ(output.signature.at("outputs"),
            nlohmann::json::parse(R"([{"name":"probabilities","datatype":"FP32","shape":[-1,4]}])"));
  EXPECT_EQ(output.rows, 300);
  EXPECT_EQ(output.epochs, 6);
  EXPECT_GE(output.metrics.at("validation_accuracy").get<double>(), 0.95);

  const std::string fresh = Photos("fresh", 100, 3);
  const torch::Tensor answers = Answers(input.model_path, output.signature, fresh);
  EXPECT_TRUE(torch::allclose(answers.sum(1), torch::ones({100})));
  auto reader = lake::PackReader::Open({fresh}, {"label"}).value();
  const lake::Batch truth = reader->Next(100).value();
  int correct = 0;
  for (int i = 0; i < 100; ++i)
    correct +=
        output.classes.at(answers[i].argmax().item<std::int64_t>()).get<std::string>() == truth.columns[0].texts[i];
  EXPECT_GE(correct, 95);
}

TEST_F(VisionClassifier, AnswersAlikeInPython) {
  const TrainInput input = PhotoInput("a", {{"epochs", 1}});
  const TrainOutput output = Train(input).value();
  const torch::Tensor here = Answers(input.model_path, output.signature, validation_).to(torch::kFloat64);
  EXPECT_TRUE(torch::allclose(here, PythonAnswers(input.model_path, output.signature, validation_), 0, 1e-6));
}

TEST_F(VisionClassifier, AnswersASingleImageAsOneOfMany) {
  const TrainInput input = PhotoInput("a", {{"epochs", 1}});
  const TrainOutput output = Train(input).value();
  torch::jit::Module model = LoadModel(input.model_path).value();
  const torch::Tensor images = torch::randint(0, 256, {3, 1, 12, 12}, torch::kUInt8);
  const torch::Tensor many = FirstOutput(model, {images}).value(),
                      single = FirstOutput(model, {images.narrow(0, 1, 1)}).value();
  ASSERT_EQ(single.sizes(), (std::vector<std::int64_t>{1, 4}));
  EXPECT_TRUE(torch::allclose(single[0], many[1], 0, 1e-6));
}

TEST_F(VisionClassifier, GivesEqualWeightsForEqualSeeds) {
  TrainInput a = PhotoInput("a", {{"epochs", 2}}), b = PhotoInput("b", {{"epochs", 2}}),
             c = PhotoInput("c", {{"epochs", 2}});
  c.seed = 8;
  for (const TrainInput* input : {&a, &b, &c}) ASSERT_TRUE(Train(*input).has_value());
  EXPECT_TRUE(SameWeights(a.model_path, b.model_path));
  EXPECT_FALSE(SameWeights(a.model_path, c.model_path));
}

TEST_F(VisionClassifier, EndsWithTheSameWeightsWhenResumed) {
  const TrainInput whole = PhotoInput("whole");
  const TrainOutput expected = Train(whole).value();
  TrainInput killed = PhotoInput("killed");
  BreakIn(3, killed);
  ASSERT_FALSE(Train(killed).has_value());
  TrainInput resumed = PhotoInput("resumed");
  resumed.resume = killed.checkpoint_folder;
  std::int64_t first_epoch = 0;
  resumed.report = [&](const Progress& progress) {
    if (progress.phase == "train" && first_epoch == 0) first_epoch = progress.epoch;
  };
  const TrainOutput output = Train(resumed).value();
  EXPECT_EQ(first_epoch, 3);
  EXPECT_EQ(output.epochs, 4);
  EXPECT_EQ(output.metrics, expected.metrics);
  EXPECT_TRUE(SameWeights(whole.model_path, resumed.model_path));
}

TEST_F(VisionClassifier, StartsAnewFromABrokenOrForeignCheckpoint) {
  const TrainInput whole = PhotoInput("whole", {{"epochs", 2}});
  ASSERT_TRUE(Train(whole).has_value());
  TrainInput other = PhotoInput("other", {{"epochs", 3}});
  ASSERT_TRUE(Train(other).has_value());
  std::filesystem::create_directories(folder_ + "/broken");
  std::ofstream(folder_ + "/broken/checkpoint.pt") << "no checkpoint";
  for (const std::string& checkpoint : {other.checkpoint_folder, folder_ + "/broken", folder_ + "/nowhere"}) {
    TrainInput input = PhotoInput("again", {{"epochs", 2}});
    input.resume = checkpoint;
    ASSERT_TRUE(Train(input).has_value()) << checkpoint;
    EXPECT_TRUE(SameWeights(whole.model_path, input.model_path)) << checkpoint;
  }
}

TEST_F(VisionClassifier, EndsWithAPoorButFiniteModelWhenTheLearningRateIsRuinous) {
  for (const double rate : {10.0, 1000.0}) {
    const TrainInput input = PhotoInput("ruin" + std::to_string(rate), {{"learning_rate", rate}});
    const TrainOutput output = Train(input).value();
    EXPECT_TRUE(output.metrics.at("diverged").is_boolean());
    EXPECT_TRUE(torch::isfinite(Answers(input.model_path, output.signature, validation_)).all().item<bool>());
  }
}

TEST_F(VisionClassifier, TrainsWithEachParameterAtItsLeastValue) {
  TrainAtEachLeastValue(kRecipe, [&](const std::string& name) { return PhotoInput(name, {{"epochs", 1}}); });
}

TEST_F(VisionClassifier, LearnsFromIntegerLabelsWithoutValidationRows) {
  TrainInput input = PhotoInput("a", {{"epochs", 1}});
  input.schema = PhotoSchema(lake::ColumnType::kInteger);
  input.train_packs = {Photos("integers", 100, 4, lake::ColumnType::kInteger)};
  input.validation_packs = {};
  EXPECT_EQ(Train(input).value().classes, nlohmann::json({0, 10, 20, 30}));
}

TEST_F(VisionClassifier, TakesImagesOfAnyShapeFromEightPixels) {
  for (const auto& [channels, height, width] : std::vector<std::array<int, 3>>{{3, 8, 8}, {1, 8, 50}, {3, 33, 17}}) {
    std::mt19937 random(5);
    const lake::Schema schema = PhotoSchema(lake::ColumnType::kInteger, {channels, height, width});
    std::vector<lake::Row> rows;
    for (std::int64_t i = 0; i < 20; ++i)
      rows.push_back({i, Photo(i % 4, random, channels, height, width), std::int64_t{i % 4}});
    TrainInput input = Input(kRecipe, fmt::format("{}x{}", height, width), schema, {{"epochs", 1}});
    input.train_packs = {WritePack(fmt::format("{}x{}", height, width), schema, rows)};
    const auto output = Train(input);
    ASSERT_TRUE(output.has_value()) << output.error().Message();
    EXPECT_EQ(Answers(input.model_path, output->signature, input.train_packs[0]).sizes(),
              (std::vector<std::int64_t>{20, 4}));
  }
}

TEST_F(VisionClassifier, NamesTheRowWithoutALabelOrAnImage) {
  std::mt19937 random(6);
  const std::string photo = Photo(0, random);
  const std::int64_t id = 1;
  EXPECT_THAT(FailureWith(PhotoSchema(), {{id, photo, "a"}, {id, photo, "b"}, {id, photo, std::monostate()}}),
              HasSubstr("row 3 has no label"));
  EXPECT_THAT(FailureWith(PhotoSchema(), {{id, photo, "a"}, {id, photo, ""}, {id, photo, "b"}}),
              HasSubstr("row 2 has no label"));
  EXPECT_THAT(FailureWith(PhotoSchema(), {{id, photo, "a"}, {id, std::monostate(), "b"}}),
              HasSubstr("row 2 has no image"));
}

TEST_F(VisionClassifier, RefusesDataThatDoesNotSuit) {
  std::mt19937 random(6);
  const std::string photo = Photo(0, random);
  const std::int64_t id = 1;
  EXPECT_THAT(FailureWith(PhotoSchema(), {{id, photo, "a"}, {id, photo, "a"}}), HasSubstr("hold 1 class"));
  EXPECT_THAT(FailureWith(PhotoSchema(lake::ColumnType::kReal), {{id, photo, 0.5}}), HasSubstr("type is real"));
  EXPECT_THAT(FailureWith(PhotoSchema(lake::ColumnType::kText, {1, 7, 9}), {{id, std::string(63, 'x'), "a"}}),
              HasSubstr("7 x 9 pixels"));
  EXPECT_THAT(FailureWith(PhotoSchema(lake::ColumnType::kText, {144}), {{id, photo, "a"}}),
              HasSubstr("no image column"));
  lake::Schema two = PhotoSchema();
  two.columns.push_back({"back", lake::ColumnType::kBlob, {1, 12, 12}});
  const std::vector<lake::Row> rows = {{id, photo, "a", photo}, {id, photo, "b", photo}};
  EXPECT_THAT(FailureWith(two, rows), HasSubstr("2 image columns"));
  EXPECT_THAT(FailureWith(two, rows, {{"image", "side"}}), HasSubstr("no image column 'side'"));
  EXPECT_EQ(FailureWith(two, rows, {{"image", "back"}, {"epochs", 1}}), "no failure");
}

// As the worker does it: a child forked from a process that has LibTorch and the plugin loaded.
TEST_F(VisionClassifier, TrainsInAForkedChild) {
  const TrainInput input = PhotoInput("forked", {{"epochs", 1}});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(Train(input).has_value() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(LoadModel(input.model_path).has_value());
}

}  // namespace
}  // namespace ratchet::sdk
