#include "serving/v2_protocol.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/serving/fixtures.h"

namespace ratchet::serving::v2 {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(V2Target, KnowsEveryPathOfTheProtocol) {
  EXPECT_EQ(ParseTarget("/v2")->question, Question::kServerMetadata);
  EXPECT_EQ(ParseTarget("/v2/")->question, Question::kServerMetadata);
  EXPECT_EQ(ParseTarget("/v2/health/live")->question, Question::kServerLive);
  EXPECT_EQ(ParseTarget("/v2/health/ready")->question, Question::kServerReady);
  EXPECT_EQ(ParseTarget("/v2/models/m")->question, Question::kModelMetadata);
  EXPECT_EQ(ParseTarget("/v2/models/m/ready")->question, Question::kModelReady);
  EXPECT_EQ(ParseTarget("/v2/models/m/infer")->question, Question::kInfer);
  EXPECT_EQ(ParseTarget("/v2/models/stats")->question, Question::kStatistics);
  EXPECT_EQ(ParseTarget("/v2/models/m/versions/3/stats")->version, 3);
  EXPECT_EQ(ParseTarget("/v2/repository/index")->question, Question::kRepositoryIndex);
  EXPECT_EQ(ParseTarget("/v1/models/m:predict")->model, "m");
  EXPECT_EQ(ParseTarget("/v1/models/m/versions/3:predict")->version, 3);
  EXPECT_EQ(ParseTarget("/v1/models/m:predict")->dialect, Dialect::kPredict);
  EXPECT_EQ(ParseTarget("/invocations")->dialect, Dialect::kInvocations);
  EXPECT_EQ(ParseTarget("/v2/models/m/versions/3/infer")->version, 3);
  EXPECT_EQ(ParseTarget("/v2/models/m/versions/3/ready")->model, "m");
  EXPECT_FALSE(ParseTarget("/v2/models/m/infer")->version);
}

TEST(V2Target, IsEmptyForAllElse) {
  for (const char* path : {"", "v2", "/", "/v1", "/v2/health", "/v2/health/x", "/v2/models", "/v2/models/m/versions",
                           "/v2/models/m/versions/x", "/v2/models/m/versions/0", "/v2/models/m/versions/-1/infer",
                           "/v2/models/m/versions/99999999999999999999", "/v2/models/m/infer/x", "/v2/models/m/x",
                           "/v1/models/m", "/v1/models/:predict", "/v1/models/m/x:predict", "/v1:predict", "/invocations/x"}) {
    EXPECT_FALSE(ParseTarget(path)) << path;
  }
}

// All datatypes at once, so that one table covers them.
Signature AllTypes() {
  Signature signature{.task = registry::Task::kRegression,
                      .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1}}}};
  for (const char* name : {"BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"}) {
    signature.inputs.push_back({.name = name, .datatype = *registry::ParseDatatype(name), .shape = {-1}});
  }
  return signature;
}

json AllTypesBody() {
  const std::map<std::string, json> data = {
      {"BOOL", {true, 0}},         {"UINT8", {0, 255}},          {"INT8", {-128, 127}},    {"INT16", {-32768, 32767}},
      {"INT32", {-5, 2147483647}}, {"INT64", {-5, INT64_MAX}},   {"FP16", {1.5, nullptr}}, {"FP32", {-0.25, 3}},
      {"FP64", {1e300, nullptr}},  {"BYTES", {"häß\n", nullptr}}};
  json body = {{"id", "a-7"}, {"inputs", json::array()}};
  for (const auto& [name, values] : data) {
    body["inputs"].push_back({{"name", name}, {"datatype", name}, {"shape", {2}}, {"data", values}});
  }
  return body;
}

TEST(V2Infer, ReadsEveryDatatypeInTheSignaturesOrder) {
  const auto request = ParseInfer(AllTypesBody().dump(), AllTypes());
  ASSERT_TRUE(request) << request.error().Message();
  EXPECT_EQ(request->id, "a-7");
  const std::vector<Tensor>& inputs = request->inputs;
  ASSERT_EQ(inputs.size(), 10u);
  EXPECT_TRUE(inputs[0].As<bool>()[0] && !inputs[0].As<bool>()[1]);
  EXPECT_EQ(inputs[1].As<std::uint8_t>()[1], 255);
  EXPECT_EQ(inputs[2].As<std::int8_t>()[0], -128);
  EXPECT_EQ(inputs[3].As<std::int16_t>()[0], -32768);
  EXPECT_EQ(inputs[4].As<std::int32_t>()[1], 2147483647);
  EXPECT_EQ(inputs[5].As<std::int64_t>()[1], INT64_MAX);
  EXPECT_TRUE(inputs[6].As<float>()[0] == 1.5f && std::isnan(inputs[6].As<float>()[1]));
  EXPECT_EQ(inputs[7].As<float>()[1], 3.0f);
  EXPECT_TRUE(inputs[8].As<double>()[0] == 1e300 && std::isnan(inputs[8].As<double>()[1]));
  EXPECT_EQ(inputs[9].texts, (std::vector<std::string>{"häß\n", ""}));
}

struct BadValue {
  const char* datatype;
  const char* data;
  const char* expected;  // part of the message
};
class V2BadValue : public ::testing::TestWithParam<BadValue> {};

TEST_P(V2BadValue, NamesTheInputAndWhatWasExpected) {
  json body = AllTypesBody();
  for (json& input : body["inputs"]) {
    if (input["name"] == GetParam().datatype) input["data"] = json::parse(GetParam().data);
  }
  const auto request = ParseInfer(body.dump(), AllTypes());
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(request.error().Message(), HasSubstr(std::string("input '") + GetParam().datatype + "'"));
  EXPECT_THAT(request.error().Message(), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    All, V2BadValue,
    ::testing::Values(BadValue{"BOOL", "[true,2]", "true or false"}, BadValue{"UINT8", "[0,256]", "from 0 to 255"},
                      BadValue{"UINT8", "[0,-1]", "from 0 to 255"}, BadValue{"UINT8", "[0,1.5]", "from 0 to 255"},
                      BadValue{"INT8", "[0,128]", "-128 to 127"}, BadValue{"INT16", "[0,null]", "-32768"},
                      BadValue{"INT32", "[0,2147483648]", "32-bit"}, BadValue{"INT64", "[0,\"1\"]", "64-bit"},
                      BadValue{"FP16", "[0,70000]", "range of FP16"}, BadValue{"FP32", "[0,1e39]", "range of FP32"},
                      BadValue{"FP64", "[0,\"x\"]", "FP64"}, BadValue{"BYTES", "[\"a\",1]", "texts"},
                      BadValue{"FP32", "[1]", "expected a list of 2, got 1"},
                      BadValue{"FP32", "[1,2,3]", "expected a list of 2, got more"},
                      BadValue{"FP32", "[[1],[2]]", "nested otherwise"}, BadValue{"FP32", "[]", "got 0"},
                      BadValue{"FP32", "5", "needs \"data\""}, BadValue{"BYTES", "[]", "got 0"}));

std::string Body(const std::string& shape, const std::string& data, const std::string& rest = "") {
  return R"({"inputs":[{"name":"x","datatype":"FP32","shape":)" + shape + R"(,"data":)" + data + "}]" + rest + "}";
}

TEST(V2Infer, TakesNestedFlatAndHalfFlatDataAlike) {
  Signature signature = SmallSignature();
  signature.inputs[0].shape = {-1, 2, 3};
  for (const char* data : {"[1,2,3,4,5,6]", "[[1,2,3,4,5,6]]", "[[[1,2,3],[4,5,6]]]"}) {
    auto request = ParseInfer(Body("[1,2,3]", data), signature);
    ASSERT_TRUE(request) << data << request.error().Message();
    for (int i = 0; i < 6; ++i) EXPECT_EQ(request->inputs[0].As<float>()[i], static_cast<float>(i + 1));
  }
  for (const char* data :
       {"[[[1,2,3],[4,5]]]", "[[[1,2,3]]]", "[[1,2,3],[4,5,6]]", "[[[1,2,3],4]]", "[1,[2],3,4,5,6]"}) {
    EXPECT_FALSE(ParseInfer(Body("[1,2,3]", data), signature)) << data;
  }
}

struct BadBody {
  std::string body;
  const char* expected;
};
class V2BadBody : public ::testing::TestWithParam<BadBody> {};

TEST_P(V2BadBody, IsRefusedWithASentence) {
  const auto request = ParseInfer(GetParam().body, SmallSignature());
  ASSERT_FALSE(request) << GetParam().body;
  EXPECT_EQ(request.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(request.error().Message(), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    All, V2BadBody,
    ::testing::Values(
        BadBody{"", "not valid JSON"}, BadBody{"{", "not valid JSON"}, BadBody{"\xff\xfe", "not valid JSON"},
        BadBody{"[]", "must be a JSON object"}, BadBody{"{}", "needs \"inputs\""},
        BadBody{R"({"inputs":[]})", "input 'x' is missing, expected FP32 [-1,3]"},
        BadBody{R"({"inputs":[3]})", "must be an object"},
        BadBody{R"({"inputs":[{"name":"z"}]})", "input 'z' is unknown, expected x"},
        BadBody{R"({"inputs":[{"name":"x"}]})", "needs a \"datatype\", expected FP32"},
        BadBody{R"({"inputs":[{"name":"x","datatype":"INT64"}]})", "datatype 'INT64', expected FP32"},
        BadBody{R"({"inputs":[{"name":"x","datatype":"FP32"}]})", "needs a \"shape\""},
        BadBody{Body("[3]", "[1,2,3]"), "shape [3], expected [-1,3]"},
        BadBody{Body("[0,3]", "[]"), "shape [0,3], expected [-1,3]"},
        BadBody{Body("[-1,3]", "[1,2,3]"), "expected [-1,3]"},
        BadBody{Body("[1,4]", "[1,2,3,4]"), "shape [1,4], expected [-1,3]"},
        BadBody{Body("[4611686018427387904,3]", "[1]"), "expected [-1,3]"},
        BadBody{Body("[100000000,3]", "[1,2,3]"), "fewer data"}, BadBody{Body("[1.5,3]", "[1]"), "expected [-1,3]"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"id":5)"), "\"id\" must be a text"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"outputs":[{"name":"nope"}])"),
                "output 'nope' is unknown, expected probabilities, label"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"outputs":[{"name":"label"},{"name":"label"}])"), "twice"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"outputs":7)"), "must be a list"},
        BadBody{R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}]})",
                "0 bytes follow"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"parameters":{"binary_data_output":1})"), "true or false"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"parameters":{"timeout":-1})"), "microseconds"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"inputs":[])"), "given twice"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"other":{"a":[1,tru]})"), "not valid JSON"},
        BadBody{Body("[1,3]", "[1,2,3]", R"(,"other":)" + std::string(50, '[') + std::string(50, ']')), "too deeply"},
        BadBody{Body("[1,3]", "[1,2,3]") + " {}", "something follows"}, BadBody{Body("[1,3]", "[1,2,3") , "not valid JSON"},
        BadBody{std::string(100000, '['), "must be a JSON object"}));

TEST(V2Infer, ReadsMembersInAnyOrderAlike) {
  const char* const orders[] = {R"({"inputs":[{"data":[[1,2,3]],"shape":[1,3],"datatype":"FP32","name":"x"}],"id":"q"})",
                                R"({"id":"q","inputs":[{"name":"x","data":[1,2,3],"shape":[1,3],"more":{"a":[]},"datatype":"FP32"}]})"};
  for (const char* body : orders) {
    const auto request = ParseInfer(body, SmallSignature());
    ASSERT_TRUE(request) << request.error().Message();
    EXPECT_EQ(request->id, "q");
    EXPECT_EQ(request->inputs[0].As<float>()[2], 3.0f);
  }
}

TEST(V2Infer, RefusesInputsOfDifferentRows) {
  Signature signature = SmallSignature();
  signature.inputs.push_back({.name = "t", .datatype = Datatype::kBytes, .shape = {-1}});
  const auto request = ParseInfer(
      R"({"inputs":[{"name":"t","datatype":"BYTES","shape":[2],"data":["a","b"]},
                    {"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})",
      signature);
  ASSERT_FALSE(request);
  EXPECT_THAT(request.error().Message(), HasSubstr("input 't' has 2 rows, expected 1"));
}

Tensor Floats(const std::string& name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor{.name = name, .datatype = Datatype::kFp32, .shape = std::move(shape)};
  tensor.data.resize(values.size() * sizeof(float));
  std::copy(values.begin(), values.end(), tensor.As<float>());
  return tensor;
}

TEST(V2Answer, AddsTheLabelOfTheLargestProbability) {
  const std::vector<Tensor> outputs = {Floats("probabilities", {2, 2}, {0.75f, 0.25f, 0.125f, 0.875f})};
  EXPECT_EQ(DeriveLabel(SmallSignature(), outputs)->texts, (std::vector<std::string>{"cat", "dog"}));
  Signature integers = SmallSignature();
  integers.classes = std::vector<std::int64_t>{-4, 9};
  const auto label = DeriveLabel(integers, outputs);
  EXPECT_EQ(label->datatype, Datatype::kInt64);
  EXPECT_EQ(label->As<std::int64_t>()[0], -4);
  EXPECT_EQ(label->As<std::int64_t>()[1], 9);
}

TEST(V2Answer, WritesFloatsThatReadBackEqualAndNullForWhatJsonHasNoWordFor) {
  const json answer = json::parse(InferJson(
      "m", 7, "id\"1", "id\"1", {Floats("y", {4}, {0.1f, 1e-30f, std::nanf(""), std::numeric_limits<float>::infinity()})}));
  EXPECT_EQ(answer["model_version"], "7");
  EXPECT_EQ(answer["id"], "id\"1");
  EXPECT_EQ(answer["outputs"][0]["data"][0].get<float>(), 0.1f);
  EXPECT_EQ(answer["outputs"][0]["data"][1].get<float>(), 1e-30f);
  EXPECT_TRUE(answer["outputs"][0]["data"][2].is_null());
  EXPECT_TRUE(answer["outputs"][0]["data"][3].is_null());
}

TEST(V2Answer, NamesThePredictionWhereItsIdIsTheClients) {
  const json echoed = json::parse(InferJson("m", 7, "mine", "0123", {}));
  EXPECT_EQ(echoed["id"], "mine");
  EXPECT_EQ(echoed["parameters"]["prediction_id"], "0123");
  EXPECT_FALSE(json::parse(InferJson("m", 7, "0123", "0123", {})).contains("parameters"));
}

TEST(V2Request, TakesAKeyThatIsATextOrAWholeNumber) {
  const auto with = [](const std::string& key) {
    return ParseInfer(R"({"parameters":{"key":)" + key + R"(},"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})",
                      SmallSignature());
  };
  EXPECT_EQ(with("\"order-1\"")->key, "order-1");
  EXPECT_EQ(with("17")->key, "17");
  EXPECT_EQ(with("null")->key, "");
  for (const char* bad : {"\"\"", "1.5", "[]", "true"}) EXPECT_FALSE(with(bad)) << bad;
}

TEST(V2Answer, KeepsTheOutputsAskedForInTheirOrder) {
  const auto selected =
      SelectOutputs({Floats("a", {1}, {1}), Floats("b", {1}, {2}), Floats("c", {1}, {3})}, {"c", "a"});
  ASSERT_EQ(selected.size(), 2u);
  EXPECT_EQ(selected[0].name, "c");
  EXPECT_EQ(selected[1].name, "a");
}

TEST(V2Answer, DescribesAModelWithItsDerivedOutput) {
  const json metadata = json::parse(ModelMetadataJson("m", {1, 2}, SmallSignature()));
  EXPECT_EQ(metadata["versions"], json({"1", "2"}));
  EXPECT_EQ(metadata["inputs"][0], json({{"name", "x"}, {"datatype", "FP32"}, {"shape", {-1, 3}}}));
  EXPECT_EQ(metadata["outputs"][1], json({{"name", "label"}, {"datatype", "BYTES"}, {"shape", {-1}}}));
}

}  // namespace
}  // namespace ratchet::serving::v2
