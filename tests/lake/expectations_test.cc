#include "lake/expectations.h"

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Expectations : public LakeTest {
 protected:
  // Two packs, so that every check sees a border.
  std::vector<std::string> Packs() {
    const Schema schema{{{"id", ColumnType::kText}, {"label", ColumnType::kInteger}, {"price", ColumnType::kReal}}};
    auto text = [](const char* s) { return std::string(s); };
    return {WritePack("a", schema, {{text("p1"), std::int64_t{0}, 1.5}, {text("p2"), std::int64_t{3}, kMissing}}),
            WritePack("b", schema, {{text("p1"), std::int64_t{11}, -2.0}, {text("q"), kMissing, 9.0}})};
  }
  CheckResult Only(const std::string& json) {
    auto expectations = ExpectationsFromJson("[" + json + "]");
    EXPECT_TRUE(expectations.has_value()) << expectations.error().Message();
    auto results = Evaluate(*expectations, Packs());
    EXPECT_TRUE(results.has_value()) << results.error().Message();
    for (const char* name : {"a", "b"}) std::filesystem::remove(Path(name));
    return results->at(0);
  }
};

TEST_F(Expectations, HoldOrNameTheRowsAtFault) {
  const struct {
    const char* json;
    std::int64_t failing;
    std::vector<Value> examples;
  } cases[] = {
      {R"({"column":"label","in":[0,3,11]})", 0, {}},
      {R"({"column":"label","in":[0.0,3]})", 1, {std::int64_t{11}}},
      {R"({"column":"id","in":["p1","p2"]})", 1, {std::string("q")}},
      {R"({"column":"price","min":-2})", 0, {}},
      {R"({"column":"price","min":0})", 1, {-2.0}},
      {R"({"column":"price","min":0,"max":5})", 2, {-2.0, 9.0}},
      {R"({"column":"price","missing_at_most":0.25})", 0, {}},
      {R"({"column":"price","missing_at_most":0.2})", 1, {}},
      {R"({"column":"price","not_null":true})", 1, {kMissing}},
      {R"({"column":"price","unique":true})", 0, {}},
      {R"({"column":"id","unique":true})", 1, {std::string("p1")}},
      {R"({"column":"id","matches":"^p[0-9]$"})", 1, {std::string("q")}},
      {R"({"column":"id","matches":"^\\w+$","unique":true,"not_null":true})", 1, {std::string("p1")}},
  };
  for (const auto& c : cases) {
    const CheckResult result = Only(c.json);
    EXPECT_EQ(result.failing_rows, c.failing) << c.json;
    EXPECT_EQ(result.passed, c.failing == 0) << c.json;
    EXPECT_EQ(result.examples, c.examples) << c.json;
  }
}

TEST_F(Expectations, ShowAtMostFiveExamples) {
  std::vector<Row> rows(100, Row{std::int64_t{-1}});
  const std::string path = WritePack("p", {{{"n", ColumnType::kInteger}}}, rows);
  auto results = Evaluate({{.column = "n", .min = 0}}, {path});
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(results->at(0).failing_rows, 100);
  EXPECT_EQ(results->at(0).examples.size(), 5u);
}

TEST_F(Expectations, ThatDoNotSuitTheColumnAreRefused) {
  const Schema schema{{{"id"}, {"n", ColumnType::kInteger}, {"b", ColumnType::kBlob}}};
  for (const Expectation& bad :
       {Expectation{.column = "idd", .min = 0}, Expectation{.column = "id", .min = 0},
        Expectation{.column = "id", .max = 0}, Expectation{.column = "n", .matches = "x"},
        Expectation{.column = "n", .in = {std::string("1")}}, Expectation{.column = "id", .in = {std::int64_t{1}}},
        Expectation{.column = "b", .in = {std::string("x")}}, Expectation{.column = "id", .matches = "("}}) {
    auto checked = CheckExpectations({{.column = "n"}, bad}, schema);
    ASSERT_FALSE(checked.has_value());
    EXPECT_THAT(checked.error().field, HasSubstr("expect[1]."));
    EXPECT_FALSE(checked.error().hint.empty());
  }
}

TEST_F(Expectations, MatchAHostilePatternInTime) {
  // Backtracking would take 2^4000 steps, and recursion would overflow the stack.
  const std::string path =
      WritePack("p", {{{"t"}}}, {{std::string(4000, 'a')}, {std::string(kMaxMatchedBytes + 1, 'a')}});
  auto results = Evaluate({{.column = "t", .matches = "^(a+)+$"}}, {path});
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(results->at(0).failing_rows, 1);  // the text beyond the limit
}

TEST_F(Expectations, ReadFromJsonNameTheKeyAtFault) {
  const struct {
    const char* json;
    const char* field;
  } cases[] = {{"{}", "expect"},
               {"[1]", "expect[0]"},
               {"[{}]", "expect[0].column"},
               {R"([{"column":"a"},{"column":"a","mim":1}])", "expect[1].mim"},
               {R"([{"column":"a","min":"1"}])", "expect[0].min"},
               {R"([{"column":"a","min":2,"max":1}])", "expect[0].min"},
               {R"([{"column":"a","missing_at_most":2}])", "expect[0].missing_at_most"},
               {R"([{"column":"a","in":[]}])", "expect[0].in"},
               {R"([{"column":"a","in":[[1]]}])", "expect[0].in"},
               {R"([{"column":"a","unique":1}])", "expect[0].unique"},
               {R"([{"column":"a","matches":5}])", "expect[0].matches"}};
  for (const auto& c : cases) {
    auto read = ExpectationsFromJson(c.json);
    ASSERT_FALSE(read.has_value()) << c.json;
    EXPECT_EQ(read.error().field, c.field) << c.json;
  }
  EXPECT_THAT(ExpectationsFromJson(R"([{"column":"a","mim":1}])").error().hint, HasSubstr("min"));
}

TEST_F(Expectations, AreWrittenAsTheChecksOfAResult) {
  auto results = Evaluate(*ExpectationsFromJson(R"([{"column":"id","in":["p1","p2"],"unique":true}])"), Packs());
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(CheckResultsToJson(*results),
            R"([{"expect":{"column":"id","in":["p1","p2"],"unique":true},"passed":false,"failing_rows":2,)"
            R"("examples":["q","p1"]}])");
}

}  // namespace
}  // namespace ratchet::lake
