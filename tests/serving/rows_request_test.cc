#include "serving/rows_request.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// A number and a text a row; the text goes by its dataset's column, too.
Signature Table() {
  return {.task = registry::Task::kRegression,
          .inputs = {{.name = "price", .datatype = Datatype::kFp32, .shape = {-1, 1}, .column = "price"},
                     {.name = "kind_in", .datatype = Datatype::kBytes, .shape = {-1}, .column = "kind"}},
          .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1, 1}}}};
}

class EveryForm : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryForm, GivesTheSameTensors) {
  const auto request = ParseRows(GetParam(), Table());
  ASSERT_TRUE(request) << request.error().Message();
  ASSERT_EQ(request->inputs.size(), 2u);
  EXPECT_EQ(request->inputs[0].shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(request->inputs[0].As<float>()[0], 1.5f);
  EXPECT_TRUE(std::isnan(request->inputs[0].As<float>()[1]));
  EXPECT_EQ(request->inputs[1].texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(request->is_v2_json);
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryForm,
    ::testing::Values(R"({"instances":[{"price":1.5,"kind":"a"},{"kind":"b","price":null,"id":[7]}]})",
                      R"({"instances":[[1.5,"a"],[[null],"b"]]})",
                      R"({"dataframe_records":[{"price":[1.5],"kind_in":"a"},{"kind":"b","price":null}]})",
                      R"({"dataframe_split":{"columns":["id","kind","price"],"index":[0,1],"data":[[7,"a",1.5],[8,"b",null]]}})",
                      R"({"dataframe_split":{"data":[[7,"a",1.5],[8,"b",null]],"columns":["id","kind","price"]}})",
                      R"({"dataframe_split":{"data":[[1.5,"a"],[null,"b"]]}})",
                      R"({"inputs":{"price":[1.5,null],"kind":["a","b"],"other":[{}]}})",
                      R"({"inputs":{"price":[[1.5],[null]],"kind_in":["a","b"]},"signature_name":"serving_default"})"));

struct BadRows {
  const char* body;
  const char* expected;
};
class BadRowsTest : public ::testing::TestWithParam<BadRows> {};

TEST_P(BadRowsTest, NamesRowInputAndWhatWasExpected) {
  const auto request = ParseRows(GetParam().body, Table());
  ASSERT_FALSE(request) << GetParam().body;
  EXPECT_EQ(request.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(request.error().Message(), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRowsTest,
    ::testing::Values(
        BadRows{R"({})", "needs one of \"instances\""}, BadRows{R"([])", "must be a JSON object"},
        BadRows{R"({"instances":[]})", "has no rows"}, BadRows{R"({"instances":{}})", "must be a list of rows"},
        BadRows{R"({"instances":[{"price":1,"kind":"a"}],"inputs":{}})", "just one of"},
        BadRows{R"({"instances":[{"price":1,"kind":"a"},{"price":2}]})", "instances[1]: input 'kind_in' is missing, expected texts"},
        BadRows{R"({"instances":[{"price":"x","kind":"a"}]})", "instances[0]: input 'price' has a value '\"x\"', expected numbers"},
        BadRows{R"({"instances":[{"price":[1,2],"kind":"a"}]})", "instances[0]: input 'price' has data that does not match"},
        BadRows{R"({"instances":[{"price":1,"kind":"a","kind_in":"b"}]})", "input 'kind_in' is given twice"},
        BadRows{R"({"instances":[[1]]})", "instances[0]: a row of 1 values, expected 2"},
        BadRows{R"({"instances":[[1,"a",3]]})", "a row of 3 values, expected 2"},
        BadRows{R"({"instances":[5]})", "must be an object or a list"},
        BadRows{R"({"dataframe_split":{"columns":["price"],"data":[[1]]}})", "input 'kind_in' is missing"},
        BadRows{R"({"dataframe_split":{"columns":[1],"data":[[1]]}})", "texts"},
        BadRows{R"({"dataframe_split":{"columns":["price"]}})", "needs \"data\""},
        BadRows{R"({"dataframe_split":[]})", "must be an object"},
        BadRows{R"({"inputs":{"price":[1]}})", "input 'kind_in' is missing"},
        BadRows{R"({"inputs":{"price":[1,2],"kind":["a"]}})", "input 'kind_in' has 1 rows, expected 2"},
        BadRows{R"({"inputs":{"price":1}})", "must be a list"}, BadRows{R"({"inputs":{}})", "none of the model's inputs"},
        BadRows{R"({"instances":[{"price":1,"kind":"a"}]} x)", "not valid JSON"},
        BadRows{R"({"instances":[{"price":1,"kind":"a"}})", "not valid JSON"}));

TEST(RowsRequest, TakesTheOnlyInputsValueAsARow) {
  for (const char* body : {R"({"instances":[[1,2,3],[4,5,6]]})", R"({"inputs":[[1,2,3],[4,5,6]]})",
                           R"({"instances":[{"x":[1,2,3]},{"x":[4,5,6]}]})"}) {
    const auto request = ParseRows(body, SmallSignature());
    ASSERT_TRUE(request) << request.error().Message();
    EXPECT_EQ(request->inputs[0].shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(request->inputs[0].As<float>()[5], 6.0f);
  }
}

TEST(RowsRequest, TakesIdAndKeyAsV2Does) {
  const auto request = ParseRows(R"({"id":"q","parameters":{"key":17},"instances":[[1,2,3]]})", SmallSignature());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->id, "q");
  EXPECT_EQ(request->key, "17");
}

TEST(RowsRequest, MakesNoLargeTensorsOfASmallBody) {
  Signature wide{.task = registry::Task::kRegression, .outputs = {}};
  for (int i = 0; i < 1000; ++i)
    wide.inputs.push_back({.name = "x" + std::to_string(i), .datatype = Datatype::kFp64, .shape = {-1, 1000}});
  std::string body = R"({"instances":[{})";
  for (int i = 0; i < 100'000; ++i) body += ",{}";
  const auto request = ParseRows(body + "]}", wide);
  ASSERT_FALSE(request);
  EXPECT_THAT(request.error().Message(), HasSubstr("fewer data"));
}

Tensor Floats(const std::string& name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor{.name = name, .datatype = Datatype::kFp32, .shape = std::move(shape)};
  tensor.data.resize(values.size() * sizeof(float));
  std::copy(values.begin(), values.end(), tensor.As<float>());
  return tensor;
}

TEST(RowsAnswer, TellsEveryOutputOfARowOrThePredictionAlone) {
  const std::vector<Tensor> outputs = {Floats("probabilities", {2, 2}, {0.25f, 0.75f, 1, 0}),
                                       {.name = "label", .datatype = Datatype::kBytes, .shape = {2}, .texts = {"dog", "cat"}}};
  const json all = json::parse(RowsJson("m", 7, "q", "p", outputs, RowAnswer::kOutputs));
  EXPECT_EQ(all["predictions"], json::parse(R"([{"probabilities":[0.25,0.75],"label":"dog"},{"probabilities":[1,0],"label":"cat"}])"));
  EXPECT_EQ(all["model_version"], "7");
  EXPECT_EQ(all["parameters"]["prediction_id"], "p");
  EXPECT_EQ(json::parse(RowsJson("m", 7, "q", "q", outputs, RowAnswer::kPrediction))["predictions"], json({"dog", "cat"}));
  const std::vector<Tensor> number = {Floats("y", {2, 1}, {1.5f, NAN})};
  EXPECT_EQ(json::parse(RowsJson("m", 7, "q", "q", number, RowAnswer::kPrediction))["predictions"], json({1.5, nullptr}));
  EXPECT_EQ(json::parse(RowsJson("m", 7, "q", "q", number, RowAnswer::kOutputs))["predictions"], json::parse("[[1.5],[null]]"));
  const std::vector<Tensor> cube = {Floats("y", {1, 2, 2}, {1, 2, 3, 4})};
  EXPECT_EQ(json::parse(RowsJson("m", 7, "q", "q", cube, RowAnswer::kOutputs))["predictions"], json::parse("[[[1,2],[3,4]]]"));
}

}  // namespace
}  // namespace ratchet::serving
