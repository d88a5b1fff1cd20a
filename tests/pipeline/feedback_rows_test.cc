#include "pipeline/feedback_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/live_slices.h"

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using lake::ColumnType;

const lake::Schema kSchema{.columns = {{.name = "id", .type = ColumnType::kText},
                                       {.name = "age", .type = ColumnType::kInteger},
                                       {.name = "pay", .type = ColumnType::kReal},
                                       {.name = "plan", .type = ColumnType::kText},
                                       {.name = "photo", .type = ColumnType::kBlob, .shape = {1, 2, 2}},
                                       {.name = "note", .type = ColumnType::kText},
                                       {.name = "left", .type = ColumnType::kText}}};

json Tensor(const std::string& name, const json& data) { return {{"name", name}, {"data", data}}; }

// A list also of one: braces alone would copy it.
json Inputs(std::initializer_list<json> tensors) { return json::array_t(tensors); }

registry::LabelledRow Labelled(const json& inputs, std::int64_t rows = 1, std::int64_t row = 0) {
  registry::LabelledRow labelled{.prediction = {.id = "p1", .model = "m", .version = 1, .key = {}, .rows = rows, .inputs = {}, .outputs = {}},
                                 .row = row, .outcome = "yes"};
  if (!inputs.is_null()) labelled.prediction.inputs = inputs.dump();
  return labelled;
}

std::string Text(const lake::Row& row) {
  std::string text;
  for (const lake::Value& value : row) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) text += std::to_string(*whole);
    if (const auto* real = std::get_if<double>(&value)) text += json(*real).dump();
    if (const auto* words = std::get_if<std::string>(&value)) text += *words;
    text += "|";
  }
  return text;
}

FeedbackRows Maker(std::optional<std::string> key = "id") {
  return *FeedbackRows::Of({.schema = kSchema, .target = "left", .key = std::move(key)});
}

TEST(FeedbackRows, PutsEachInputIntoTheColumnItWasReadFrom) {
  const json manifest = {{"signature", {{"inputs", {{{"name", "x_age"}, {"column", "age"}}, {{"name", "photo"}}}}}}};
  const json inputs = Inputs({Tensor("x_age", {31.0}), Tensor("pay", {2}), Tensor("plan", {"a"}), Tensor("photo", {{{{65, 66}, {67, 68}}}})});
  EXPECT_EQ(Text(*Maker().Make(Labelled(inputs), manifest)), "p1|31|2.0|a|ABCD||yes|");
}

TEST(FeedbackRows, TakesEachRowOfARequestAndTellsTheirKeysApart) {
  const json inputs = Inputs({Tensor("age", {1, 2, 3}), Tensor("photo", {1, 1, 1, 1, 66, 66, 66, 66, 1, 1, 1, 1})});
  auto labelled = Labelled(inputs, 3, 1);
  labelled.prediction.key = "order-7";
  EXPECT_EQ(Text(*Maker().Make(labelled, {})), "order-7/1|2|||BBBB||yes|");
  labelled.prediction.rows = 1;
  labelled.row = 0;
  labelled.prediction.id = "p2";
  labelled.prediction.inputs = json::array({Tensor("age", {5})}).dump();
  EXPECT_EQ(Text(*Maker().Make(labelled, {})), "order-7|5|||||yes|");
}

TEST(FeedbackRows, PrefersTheKeyThatWasAnInputAndHasNoneWithoutAKeyColumn) {
  EXPECT_EQ(Text(*Maker().Make(Labelled(Inputs({Tensor("id", {"c17"})})), {})), "c17||||||yes|");
  EXPECT_EQ(Text(*Maker(std::nullopt).Make(Labelled(Inputs({Tensor("age", {1})})), {})), "|1|||||yes|");
}

TEST(FeedbackRows, LeavesMissingWhatIsRedactedOrNull) {
  const json inputs = Inputs({{{"name", "age"}, {"redacted", true}}, Tensor("pay", nullptr), Tensor("plan", {""})});
  EXPECT_EQ(Text(*Maker().Make(Labelled(inputs), {})), "p1||||||yes|");
}

TEST(FeedbackRows, SaysWhatDoesNotFit) {
  const struct {
    json inputs;
    const char* says;
  } cases[] = {
      {nullptr, "too large"},
      {Inputs({Tensor("age", {1.5})}), "'age': it is of integers, and 1.5 is none"},
      {Inputs({Tensor("age", {"old"})}), "of integers"},
      {Inputs({Tensor("pay", {"much"})}), "of numbers"},
      {Inputs({Tensor("photo", {1, 2, 3})}), "takes 4 bytes, not 3"},
      {Inputs({Tensor("photo", {1, 2, 3, 256})}), "no byte"},
      {Inputs({Tensor("age", json::array())}), "not as many values as rows"},
      {Inputs({Tensor("age", {1, 2})}), "2 values"},
  };
  for (const auto& [inputs, says] : cases) {
    const auto row = Maker().Make(Labelled(inputs), {});
    ASSERT_FALSE(row) << inputs;
    EXPECT_THAT(row.error().Message(), HasSubstr(says));
  }
  EXPECT_THAT(FeedbackRows::Of({.schema = kSchema, .target = "gone", .key = {}}).error().Message(), HasSubstr("no column"));
}

TEST(FeedbackRows, TakesNumbersAsTheColumnHasThem) {
  const lake::Column whole{.name = "n", .type = ColumnType::kInteger}, real{.name = "r", .type = ColumnType::kReal};
  EXPECT_EQ(CellFrom(3.0, whole), lake::Value(std::int64_t{3}));
  EXPECT_EQ(CellFrom("-9223372036854775808", whole), lake::Value(INT64_MIN));
  EXPECT_EQ(CellFrom(true, whole), lake::Value(std::int64_t{1}));
  EXPECT_EQ(CellFrom("2.5", real), lake::Value(2.5));
  EXPECT_FALSE(CellFrom(json(UINT64_MAX), whole));
  EXPECT_FALSE(CellFrom("nan", real));
}

TEST(FeedbackRows, ABatchIsDueByNumberOrByAge) {
  EXPECT_FALSE(IsBatchDue({}, 1, 0, 100));
  EXPECT_TRUE(IsBatchDue({.rows = 3, .oldest_at = 100}, 3, 50, 100));
  EXPECT_FALSE(IsBatchDue({.rows = 2, .oldest_at = 100}, 3, 50, 149));
  EXPECT_TRUE(IsBatchDue({.rows = 2, .oldest_at = 100}, 3, 50, 150));
}

TEST(LiveSlices, TellsTheLargestGroupsAndTheOthersTogether) {
  LiveSlices slices("plan", {}, *gate::FindLiveMetric("accuracy"), 1000);
  for (int i = 0; i < 70; ++i) {
    const json inputs = Inputs({Tensor("plan", {"p" + std::to_string(i), "q"})});
    const registry::ScoredRow row{.prediction = i + 1, .row = 0, .rows = 2, .at = i * 100, .score = 1, .outcome = "x", .inputs = inputs.dump()};
    slices.Add(row);
    auto second = row;
    second.row = 1;
    second.score = i % 2;
    slices.Add(second);
  }
  const auto told = slices.Told();
  ASSERT_EQ(told.size(), kMostSlicesTold + 1);
  EXPECT_EQ(told[0].group, "q");
  EXPECT_EQ(told[0].rows, 70);
  EXPECT_EQ(told[0].value, 0.5);
  EXPECT_EQ(told[0].series.size(), 7u);
  EXPECT_EQ(told.back().group, "(others)");
  EXPECT_EQ(told.back().rows, 21);
}

TEST(LiveSlices, GroupsByTheTargetAndSaysWhatHasNoValue) {
  const json manifest = {{"target", "left"}};
  LiveSlices by_target("left", manifest, *gate::FindLiveMetric("accuracy"), 1000);
  by_target.Add({.prediction = 1, .row = 0, .rows = 1, .at = 0, .score = 1, .outcome = "yes", .inputs = ""});
  EXPECT_EQ(by_target.Told().at(0).group, "yes");
  const std::pair<json, const char*> cases[] = {{Inputs({{{"name", "plan"}, {"redacted", true}}}), "(redacted)"},
                                                {Inputs({Tensor("plan", nullptr)}), "(missing)"},
                                                {Inputs({Tensor("other", {1})}), "(missing)"}};
  for (const auto& [inputs, group] : cases) {
    LiveSlices slices("plan", manifest, *gate::FindLiveMetric("accuracy"), 1000);
    slices.Add({.prediction = 1, .row = 0, .rows = 1, .at = 0, .score = 1, .outcome = "yes", .inputs = inputs.dump()});
    EXPECT_EQ(slices.Told().at(0).group, group);
  }
}

}  // namespace
}  // namespace ratchet::pipeline
