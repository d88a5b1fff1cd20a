#include "plugins/sdk/torch_bundle.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace ratchet::sdk {
namespace {

using lake::ColumnType;
using nlohmann::json;
using testing::HasSubstr;

// Two rows of every kind of column; the second has no values.
struct TwoRows {
  lake::Schema schema = {{{"count", ColumnType::kInteger, {}},
                          {"size", ColumnType::kReal, {}},
                          {"name", ColumnType::kText, {}},
                          {"image", ColumnType::kBlob, {1, 2, 2}}}};
  lake::Batch batch = {.rows = 2,
                       .columns = {{.missing = {0, 1}, .integers = {7, 0}},
                                   {.missing = {0, 1}, .reals = {0.25, 0}},
                                   {.missing = {0, 1}, .texts = {"box", ""}},
                                   {.missing = {0, 1}, .bytes = {1, 2, 3, 255, 0, 0, 0, 0}}}};
};

torch::jit::IValue Read(const json& input) {
  const TwoRows rows;
  return InputsFromBatch(json::array({input}), rows.schema, rows.batch).value().at(0);
}

std::string Refusal(const json& input) {
  const TwoRows rows;
  const auto values = InputsFromBatch(json::array({input}), rows.schema, rows.batch);
  if (values) return "no failure";
  EXPECT_EQ(values.error().code, ErrorCode::kInvalid);
  return values.error().Message();
}

TEST(InputsFromBatch, ReadsNumbersWithNanForMissing) {
  for (const auto& [column, value] : std::vector<std::pair<std::string, double>>{{"count", 7}, {"size", 0.25}}) {
    const torch::Tensor numbers = Read({{"name", column}, {"datatype", "FP64"}, {"shape", {-1}}}).toTensor();
    EXPECT_EQ(numbers.scalar_type(), torch::kFloat64);
    EXPECT_EQ(numbers[0].item<double>(), value);
    EXPECT_TRUE(std::isnan(numbers[1].item<double>()));
  }
  EXPECT_EQ(Read({{"name", "x"}, {"column", "size"}, {"datatype", "FP32"}, {"shape", {-1, 1}}}).toTensor().sizes(),
            (std::vector<std::int64_t>{2, 1}));
}

TEST(InputsFromBatch, ReadsTextsWithTheEmptyOneForMissing) {
  const auto texts = Read({{"name", "name"}, {"datatype", "BYTES"}, {"shape", {-1}}}).to<c10::List<std::string>>();
  EXPECT_EQ(texts.vec(), (std::vector<std::string>{"box", ""}));
  const auto numbers = Read({{"name", "count"}, {"datatype", "BYTES"}}).to<c10::List<std::string>>();
  EXPECT_EQ(numbers.vec(), (std::vector<std::string>{"7", ""}));
}

TEST(InputsFromBatch, ReadsImagesInTheirShape) {
  const torch::Tensor images = Read({{"name", "image"}, {"datatype", "UINT8"}, {"shape", {-1, 1, 2, 2}}}).toTensor();
  EXPECT_EQ(images.sizes(), (std::vector<std::int64_t>{2, 1, 2, 2}));
  EXPECT_EQ(images[0][0][1][1].item<int>(), 255);
  EXPECT_EQ(images[1].sum().item<int>(), 0);
  EXPECT_EQ(Read({{"name", "image"}, {"datatype", "FP32"}, {"shape", {-1, 4}}}).toTensor()[0][3].item<float>(), 255.f);
}

TEST(InputsFromBatch, RefusesWhatCanNotBeRead) {
  EXPECT_THAT(Refusal({{"name", "weight"}, {"datatype", "FP32"}}), HasSubstr("no column 'weight'"));
  EXPECT_THAT(Refusal({{"name", "name"}, {"datatype", "FP32"}}), HasSubstr("of type text"));
  EXPECT_THAT(Refusal({{"name", "count"}, {"datatype", "INT64"}}), HasSubstr("row 2 of the batch has no value"));
  EXPECT_THAT(Refusal({{"name", "image"}, {"datatype", "UINT8"}, {"shape", {-1, 3, 2, 2}}}),
              HasSubstr("another shape"));
  EXPECT_THAT(Refusal({{"name", "image"}, {"datatype", "COMPLEX"}}), HasSubstr("not known"));
  EXPECT_NE(Refusal({{"datatype", "FP32"}}), "no failure");
}

class ModelFile : public testing::Test {
 protected:
  ModelFile() {
    folder_ = (std::filesystem::temp_directory_path() / "ratchet-bundle-XXXXXX").string();
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    module_.register_attribute("training", c10::BoolType::get(), true);
    module_.register_parameter("weight", torch::tensor({2.0}), false);
    module_.define("def forward(self, x):\n    return x * self.weight * (3 if self.training else 1)\n");
  }
  ~ModelFile() override { std::filesystem::remove_all(folder_); }

  torch::jit::Module module_{"Doubler"};
  std::string folder_;
};

TEST_F(ModelFile, IsSavedInEvalModeAndLeavesTheModuleAsItWas) {
  const std::string path = folder_ + "/model.pt";
  ASSERT_TRUE(SaveModel(module_, path).has_value());
  torch::jit::Module loaded = LoadModel(path).value();
  EXPECT_EQ(FirstOutput(loaded, {torch::tensor({5.0})}).value().item<double>(), 10);
  EXPECT_TRUE(module_.is_training());
}

TEST_F(ModelFile, IsRefusedWhenItIsNoModule) {
  EXPECT_EQ(LoadModel(folder_ + "/nowhere.pt").error().code, ErrorCode::kNotFound);
  std::ofstream(folder_ + "/text.pt") << "not a model";
  EXPECT_EQ(LoadModel(folder_ + "/text.pt").error().code, ErrorCode::kInvalid);
}

TEST_F(ModelFile, GivesAnErrorWhenItsForwardFails) {
  const auto output = FirstOutput(module_, {torch::jit::IValue(std::string("text"))});
  ASSERT_FALSE(output.has_value());
  EXPECT_EQ(output.error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace ratchet::sdk
