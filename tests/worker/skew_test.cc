#include "worker/skew.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "worker/serving_probe.h"

// What is compared when a candidate is served, and how rows are put into requests.
namespace ratchet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using nlohmann::json;
using registry::Datatype;
using registry::Signature;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Signature Classifier() {
  return {.task = registry::Task::kClassification,
          .inputs = {},
          .outputs = {{.name = "p", .datatype = Datatype::kFp32, .shape = {-1, 3}, .column = ""}},
          .classes = std::vector<std::string>{"a", "b", "c"}};
}

TEST(Apart, IsAShareOfLargeNumbersAndNothingBetweenTwoThatAreNone) {
  EXPECT_NEAR(Apart(0.5, 0.25), 0.25, 1e-15);
  EXPECT_NEAR(Apart(1000, 1001), 0.001, 1e-15);
  EXPECT_EQ(Apart(kNan, kInfinity), 0);
  EXPECT_EQ(Apart(kNan, 0), kInfinity);
  EXPECT_EQ(Apart(0, kInfinity), kInfinity);
}

TEST(ServedSkew, HoldsValuesToAMillionth) {
  double largest = 0;
  EXPECT_FALSE(ServedSkew(Classifier(), std::vector{0.5, 0.3, 0.2}, {{0.5000009, 0.3, 0.2}, "a"}, largest));
  EXPECT_NEAR(largest, 9e-7, 1e-12);
  const auto skew = ServedSkew(Classifier(), std::vector{0.5, 0.3, 0.2}, {{0.500002, 0.3, 0.2}, "a"}, largest);
  ASSERT_TRUE(skew);
  EXPECT_THAT(*skew, HasSubstr("the test scored [0.5, 0.3, 0.2], served it is [0.500002, 0.3, 0.2]"));
  EXPECT_TRUE(ServedSkew(Classifier(), std::vector{0.5, 0.3, 0.2}, {{0.5, 0.3}, "a"}, largest));
  EXPECT_TRUE(ServedSkew(Classifier(), std::vector{0.5, 0.3, 0.2}, {{kNan, 0.3, 0.2}, "a"}, largest));
}

TEST(ServedSkew, HoldsTheLabelExactlyButForATie) {
  double largest = 0;
  const std::vector<double> clear{0.4, 0.4 + 2e-6, 0.2}, tie{0.4, 0.4 + 5e-7, 0.2};
  EXPECT_FALSE(ServedSkew(Classifier(), clear, {clear, "b"}, largest));
  const auto skew = ServedSkew(Classifier(), clear, {clear, "a"}, largest);
  ASSERT_TRUE(skew);
  EXPECT_THAT(*skew, HasSubstr("the test scored class \"b\", served it is \"a\""));
  EXPECT_FALSE(ServedSkew(Classifier(), tie, {tie, "a"}, largest));
  EXPECT_TRUE(ServedSkew(Classifier(), tie, {tie, "c"}, largest));
  EXPECT_TRUE(ServedSkew(Classifier(), tie, {tie, "nobody"}, largest));
}

TEST(ClassSkew, ComparesWhatWasScoredWithTheRowAlone) {
  ClassList list;
  for (const char* name : {"a", "b", "c"}) list.Add(std::string(name));
  list.Close();
  const ClassMap map = MapClasses(ClassValues(Classifier().classes), list);
  const std::vector<std::int32_t> targets{2, 0};
  Answers scored;
  AddClassAnswers(std::vector{0.4, 0.35, 0.25, 0.1, 0.8, 0.1}, map, targets, scored);
  EXPECT_FALSE(ClassSkew(scored, 0, std::vector{0.4, 0.35, 0.25}, map, 2));
  EXPECT_FALSE(ClassSkew(scored, 1, std::vector{0.10001, 0.79999, 0.1}, map, 0)) << "rounding of another batch";
  EXPECT_TRUE(ClassSkew(scored, 1, std::vector{0.101, 0.799, 0.1}, map, 0));
  EXPECT_TRUE(ClassSkew(scored, 0, std::vector{0.35, 0.4, 0.25}, map, 2)) << "two classes changed places, the true one did not";
  EXPECT_TRUE(ClassSkew(scored, 0, std::vector{kNan, 0.4, 0.25}, map, 2));
}

TEST(NumberSkew, ComparesAnswersThatAreNotFiniteToo) {
  Answers scored;
  AddNumberAnswers(std::vector{5.0, kInfinity}, std::vector{1.0, 2.0}, scored);
  EXPECT_FALSE(NumberSkew(scored, 0, std::vector{5.0001}));
  EXPECT_TRUE(NumberSkew(scored, 0, std::vector{5.001}));
  EXPECT_TRUE(NumberSkew(scored, 0, std::vector{kNan}));
  EXPECT_FALSE(NumberSkew(scored, 1, std::vector{kNan}));
  EXPECT_TRUE(NumberSkew(scored, 1, std::vector{0.0}));
}

TEST(SpreadPlaces, AreEvenAndAscendingAndBeginAtTheFirst) {
  EXPECT_THAT(SpreadPlaces(10, 5), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(SpreadPlaces(3, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(SpreadPlaces(1, 1), ElementsAre(0));
}

TEST(ProbedRowCount, GoesByHowLongARowTakes) {
  EXPECT_EQ(ProbedRowCount(50'000, 0), 2000);
  EXPECT_EQ(ProbedRowCount(50'000, 10'000), 100);
  EXPECT_EQ(ProbedRowCount(50'000, 10'000'000), 20);
  EXPECT_EQ(ProbedRowCount(7, 10'000'000), 7);
}

// Two rows of every kind of column; in the second all is missing.
struct Rows {
  lake::Schema schema{{{"whole", lake::ColumnType::kInteger, {}}, {"real", lake::ColumnType::kReal, {}},
                       {"text", lake::ColumnType::kText, {}}, {"image", lake::ColumnType::kBlob, {1, 2}}}};
  lake::Batch batch{.rows = 2,
                    .columns = {{.missing = {0, 1}, .integers = {3, 0}, .reals = {}, .texts = {}, .bytes = {}},
                                {.missing = {0, 1}, .integers = {}, .reals = {0.1, 0}, .texts = {}, .bytes = {}},
                                {.missing = {0, 1}, .integers = {}, .reals = {}, .texts = {"é", ""}, .bytes = {}},
                                {.missing = {0, 1}, .integers = {}, .reals = {}, .texts = {}, .bytes = {7, 255, 0, 0}}}};
};

Signature Reading(std::vector<registry::TensorSpec> inputs) {
  return {.task = registry::Task::kRegression, .inputs = std::move(inputs),
          .outputs = {{.name = "y", .datatype = Datatype::kFp32, .shape = {-1}, .column = ""}}, .classes = {}};
}

TEST(InferBody, IsWhatAClientSends) {
  const Rows rows;
  const Signature signature = Reading({{"a", Datatype::kFp64, {-1}, "whole"}, {"real", Datatype::kFp32, {-1, 1}, ""},
                                       {"flag", Datatype::kBool, {-1}, "whole"}, {"t", Datatype::kBytes, {-1}, "text"},
                                       {"i", Datatype::kUint8, {-1, -1, 2}, "image"}});
  const auto inputs = json::parse(InferBody(signature, rows.schema, rows.batch, 0).value()).at("inputs");
  EXPECT_EQ(inputs[0], (json{{"name", "a"}, {"datatype", "FP64"}, {"shape", {1}}, {"data", {3}}}));
  EXPECT_EQ(inputs[1], (json{{"name", "real"}, {"datatype", "FP32"}, {"shape", {1, 1}}, {"data", {0.1}}}));
  EXPECT_EQ(inputs[2]["data"], json::array({true}));
  EXPECT_EQ(inputs[3]["data"], json::array({"é"}));
  EXPECT_EQ(inputs[4], (json{{"name", "i"}, {"datatype", "UINT8"}, {"shape", {1, 1, 2}}, {"data", {7, 255}}}));
  const auto missing = json::parse(InferBody(signature, rows.schema, rows.batch, 1).value()).at("inputs");
  EXPECT_EQ(missing[0]["data"], json::array({nullptr}));
  EXPECT_EQ(missing[3]["data"], json::array({""}));
  EXPECT_EQ(missing[4]["data"], json::array({0, 0}));
}

TEST(InferBody, LeavesOutWhatJsonCannotCarry) {
  Rows rows;
  rows.batch.columns[1].reals[0] = kInfinity;
  rows.batch.columns[2].texts[0] = "\xff";
  EXPECT_FALSE(InferBody(Reading({{"real", Datatype::kFp32, {-1}, "real"}}), rows.schema, rows.batch, 0));
  EXPECT_FALSE(InferBody(Reading({{"text", Datatype::kBytes, {-1}, "text"}}), rows.schema, rows.batch, 0));
}

TEST(ReadInferAnswer, TakesTheFirstOutputAndTheLabel) {
  const auto served = ReadInferAnswer(Classifier(), R"({"outputs":[{"name":"p","data":[0.5,null,0.25]},{"name":"label","data":["a"]}]})");
  ASSERT_TRUE(served);
  EXPECT_EQ(served->values[0], 0.5);
  EXPECT_TRUE(std::isnan(served->values[1]));
  EXPECT_EQ(served->label, lake::Value("a"));
  for (const char* other : {"", "[]", "{}", R"({"outputs":[{"name":"q","data":[1]}]})", R"({"outputs":[{"name":"p","data":1}]})", R"({"outputs":7})"})
    EXPECT_FALSE(ReadInferAnswer(Classifier(), other)) << other;
}

TEST(OneRow, CutsEveryKindOfColumn) {
  const Rows rows;
  const auto one = OneRow(rows.batch, 0);
  EXPECT_EQ(one.rows, 1);
  EXPECT_THAT(one.columns[0].integers, ElementsAre(3));
  EXPECT_THAT(one.columns[1].reals, ElementsAre(0.1));
  EXPECT_THAT(one.columns[2].texts, ElementsAre("é"));
  EXPECT_THAT(one.columns[3].bytes, ElementsAre(7, 255));
  EXPECT_THAT(OneRow(rows.batch, 1).columns[3].missing, ElementsAre(1));
}

}  // namespace
}  // namespace ratchet::worker
