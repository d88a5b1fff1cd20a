#include "lake/expectations.h"

#include "lake/time_text.h"
#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

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
    std::vector<RowExample> faults;  // all of them
  } cases[] = {
      {R"({"column":"label","in":[0,3,11]})", {}},
      {R"({"column":"label","in":[0.0,3]})", {{3, {{"label", std::int64_t{11}}}}}},
      {R"({"column":"id","in":["p1","p2"]})", {{4, {{"id", std::string("q")}}}}},
      {R"({"column":"price","min":-2})", {}},
      {R"({"column":"price","min":0})", {{3, {{"price", -2.0}}}}},
      {R"({"column":"price","min":0,"max":5})", {{3, {{"price", -2.0}}}, {4, {{"price", 9.0}}}}},
      {R"({"column":"price","missing_at_most":0.25})", {}},
      {R"({"column":"price","missing_at_most":0.2})", {{2, {{"price", kMissing}}}}},
      {R"({"column":"price","missing_at_most":0,"min":0})", {{2, {{"price", kMissing}}}, {3, {{"price", -2.0}}}}},
      {R"({"column":"price","missing_at_most":0,"not_null":true})", {{2, {{"price", kMissing}}}}},
      {R"({"column":"price","not_null":true})", {{2, {{"price", kMissing}}}}},
      {R"({"column":"price","unique":true})", {}},
      {R"({"column":"id","unique":true})", {{3, {{"id", std::string("p1")}}}}},
      {R"({"column":"id","matches":"^p[0-9]$"})", {{4, {{"id", std::string("q")}}}}},
      {R"({"column":"id","matches":"^\\w+$","unique":true,"not_null":true})", {{3, {{"id", std::string("p1")}}}}},
      {R"({"column":"price","type":"real","min":-2})", {}},
  };
  for (const auto& c : cases) {
    const CheckResult result = Only(c.json);
    EXPECT_EQ(result.failing_rows, static_cast<std::int64_t>(c.faults.size())) << c.json;
    EXPECT_EQ(result.passed, c.faults.empty()) << c.json;
    EXPECT_TRUE(result.examples == c.faults) << c.json << " " << CheckResultsToJson({result});
    EXPECT_EQ(result.message.empty(), result.passed) << c.json;
  }
}

TEST_F(Expectations, SayHowManyRowsHaveWhichFlaw) {
  EXPECT_EQ(Only(R"({"column":"price","min":0,"max":5,"not_null":true})").message,
            "3 of 4 rows at fault in column 'price': 1 without a value, 1 below 0, 1 above 5");
  EXPECT_EQ(Only(R"({"column":"price","missing_at_most":0.1})").message,
            "1 of 4 rows at fault in column 'price': a share of 0.25 is missing, 0.1 at most may be");
}

TEST_F(Expectations, OfAnotherTypeFailWithoutARowAtFault) {
  // `min` does not suit a text, but the type has said it all.
  const CheckResult result = Only(R"({"column":"id","type":"integer","min":0})");
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.failing_rows, 0);
  EXPECT_EQ(result.message, "column 'id' holds text values, not integer");
}

TEST_F(Expectations, CountRowsOfAllPacks) {
  EXPECT_TRUE(Only(R"({"rows":{"min":4,"max":4}})").passed);
  EXPECT_EQ(Only(R"({"rows":{"min":5}})").message, "there are 4 rows, 5 are needed at least");
  EXPECT_EQ(Only(R"({"rows":{"max":3}})").message, "there are 4 rows, 3 are allowed at most");
}

TEST_F(Expectations, FindRowsThatAreNotUniqueTogether) {
  auto text = [](const char* s) { return std::string(s); };
  const std::string path = WritePack("t", {{{"a"}, {"b"}, {"n", ColumnType::kInteger}}},
                                     {{text("a"), text("bc"), std::int64_t{1}},
                                      {text("ab"), text("c"), std::int64_t{1}},
                                      {text("a"), kMissing, std::int64_t{1}},
                                      {text("a"), kMissing, std::int64_t{1}},
                                      {text("a"), text("bc"), std::int64_t{2}}});
  auto results = Evaluate(*ExpectationsFromJson(R"([{"unique":["a","b"]},{"unique":["n","b","a"]}])"), {path});
  ASSERT_TRUE(results.has_value()) << results.error().Message();
  const std::vector<RowExample> repeated = {{5, {{"a", text("a")}, {"b", text("bc")}}}};
  EXPECT_TRUE(results->at(0).examples == repeated) << CheckResultsToJson(*results);
  EXPECT_EQ(results->at(0).failing_rows, 1);
  EXPECT_EQ(results->at(0).message, "1 of 5 rows with values that came before: unique [a, b]");
  EXPECT_TRUE(results->at(1).passed);
}

TEST_F(Expectations, ReadColumnsWithoutRowsAndOnlyMissingValues) {
  const Schema schema{{{"n", ColumnType::kInteger}, {"t"}}};
  const std::string empty = WritePack("e", schema, {}), missing = WritePack("m", schema, {{kMissing, kMissing}});
  auto expectations = ExpectationsFromJson(
      R"([{"column":"n","min":0,"unique":true,"missing_at_most":0},{"unique":["n","t"]},{"rows":{"min":1}},)"
      R"({"fresh":{"column":"t","within":"1d"}},{"column":"t","in":["a"],"matches":"a"}])");
  ASSERT_TRUE(expectations.has_value()) << expectations.error().Message();
  auto of_empty = Evaluate(*expectations, {empty}), of_missing = Evaluate(*expectations, {missing});
  ASSERT_TRUE(of_empty.has_value() && of_missing.has_value());
  const bool passes_empty[] = {true, true, false, false, true}, passes_missing[] = {false, true, true, false, true};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(of_empty->at(i).passed, passes_empty[i]) << i;
    EXPECT_EQ(of_missing->at(i).passed, passes_missing[i]) << i;
  }
  EXPECT_EQ(of_missing->at(3).message, "no row has a time in column 't'");
}

TEST_F(Expectations, ShowAtMostFiveExamples) {
  std::vector<Row> rows(100, Row{std::int64_t{-1}});
  const std::string path = WritePack("p", {{{"n", ColumnType::kInteger}}}, rows);
  auto results = Evaluate({{.column = "n", .min = 0}}, {path});
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(results->at(0).failing_rows, 100);
  EXPECT_EQ(results->at(0).examples.size(), 5u);
}

TEST_F(Expectations, CutWhatTheyShow) {
  const Schema schema{{{"t"}, {"b", ColumnType::kBlob}}};
  const std::string path = WritePack(
      "p", schema,
      {{std::string(5000, 'x'), std::string(7000, '\xff')}, {std::string(5000, 'x'), std::string(7000, '\xff')}});
  auto results = Evaluate({{.column = "t", .matches = "x"}, {.column = "b", .unique = true}}, {path});
  ASSERT_TRUE(results.has_value());
  EXPECT_LT(std::get<std::string>(results->at(0).examples.at(0).values.at(0).second).size(), 100u);
  EXPECT_EQ(results->at(1).examples.at(0).values.at(0).second, Value(std::string("7000 bytes")));
}

TEST_F(Expectations, ThatDoNotSuitTheColumnAreRefused) {
  const Schema schema{{{"id"}, {"n", ColumnType::kInteger}, {"b", ColumnType::kBlob}}};
  const struct {
    const char* json;
    const char* field;
  } cases[] = {{R"({"column":"idd","min":0})", "expect[1].column"},
               {R"({"column":"id","min":0})", "expect[1].min"},
               {R"({"column":"id","max":0})", "expect[1].max"},
               {R"({"column":"n","matches":"x"})", "expect[1].matches"},
               {R"({"column":"n","in":["1"]})", "expect[1].in"},
               {R"({"column":"id","in":[1]})", "expect[1].in"},
               {R"({"column":"b","in":["x"]})", "expect[1].in"},
               {R"({"column":"idd","type":"text"})", "expect[1].column"},
               {R"({"unique":["id","nn"]})", "expect[1].unique"},
               {R"({"fresh":{"column":"x","within":"1d"}})", "expect[1].fresh.column"},
               {R"({"fresh":{"column":"b","within":"1d"}})", "expect[1].fresh.column"},
               {R"({"like":"live","columns":["idd"]})", "expect[1].columns"}};
  for (const auto& c : cases) {
    auto bad = ExpectationFromJson(c.json, "e");
    ASSERT_TRUE(bad.has_value()) << c.json << bad.error().Message();
    auto checked = CheckExpectations({{.column = "n", .not_null = true}, *bad}, schema);
    ASSERT_FALSE(checked.has_value()) << c.json;
    EXPECT_EQ(checked.error().field, c.field) << c.json;
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

TEST_F(Expectations, FindWhetherTheNewestRowIsFresh) {
  const std::int64_t now = *TimeOfText("2026-03-10T00:00:00Z");
  const Schema schema{{{"s", ColumnType::kInteger}, {"t"}}};
  const std::int64_t newest_s = *TimeOfText("2026-03-08T06:00:00Z") / 1'000'000;
  const std::string path = WritePack("p", schema,
                                     {{newest_s - 999'999, std::string("2026-03-07")},
                                      {newest_s, std::string("2026-03-08T08:00+02:00")},
                                      {newest_s - 1, kMissing}});
  for (const char* column : {"s", "t"}) {
    auto of = [&](const char* within, std::int64_t at) {
      auto expectation = ExpectationFromJson(
          std::string(R"({"fresh":{"column":")") + column + R"(","within":")" + within + "\"}}", "e");
      return Evaluate({*expectation}, {path}, {.now_us = at})->at(0);
    };
    EXPECT_TRUE(of("42h", now).passed) << column;
    const CheckResult stale = of("41h", now);
    EXPECT_FALSE(stale.passed);
    EXPECT_EQ(stale.failing_rows, 0);
    ASSERT_EQ(stale.examples.size(), 1u);
    EXPECT_EQ(stale.examples[0].row, 2);
    EXPECT_THAT(stale.message, HasSubstr("is 2026-03-08T06:00:00Z, 42h ago; 41h is allowed"));
    // From two days before, the newest row lies in the future by more than a clock can be wrong.
    const CheckResult ahead = of("2d", now - 3 * kFutureLeewayUs);
    EXPECT_EQ(ahead.failing_rows, column[0] == 's' ? 2 : 1) << CheckResultsToJson({ahead});
    EXPECT_FALSE(ahead.passed);
  }
}

TEST_F(Expectations, TellRowsWithoutAReadableTime) {
  const std::string path = WritePack("p", {{{"t"}}}, {{std::string("2026-03-08")}, {std::string("yesterday")}});
  auto results = Evaluate(*ExpectationsFromJson(R"([{"fresh":{"column":"t","within":"100d"}}])"), {path},
                          {.now_us = *TimeOfText("2026-03-09")});
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(results->at(0).failing_rows, 1);
  EXPECT_EQ(results->at(0).examples.at(0).row, 2);
}

// Rows with a number around `centre`, a color and an identifier of their own.
std::vector<Row> Shop(int rows, double centre, const char* color) {
  std::vector<Row> made;
  for (int i = 0; i < rows; ++i) {
    made.push_back(
        {centre + i % 100, std::string(i % 2 == 0 ? "red" : color), "id-" + std::to_string(centre * 1e6 + i)});
  }
  return made;
}

class LikeLiveTest : public LakeTest {
 protected:
  static Schema ShopSchema() { return {{{"price", ColumnType::kReal}, {"color"}, {"id"}}}; }
  void SetUp() override { live_ = *Summarise(WritePack("live", ShopSchema(), Shop(1000, 10, "blue"))); }
  CheckResult Compare(const std::string& json, const Schema& schema, const std::vector<Row>& rows,
                      bool with_live = true) {
    auto expectation = ExpectationFromJson(json, "e");
    EXPECT_TRUE(expectation.has_value()) << expectation.error().Message();
    auto results = Evaluate({*expectation}, {WritePack("now", schema, rows)}, {.live = with_live ? &live_ : nullptr});
    EXPECT_TRUE(results.has_value()) << results.error().Message();
    std::filesystem::remove(Path("now"));
    return results->at(0);
  }
  Summary live_;
};

TEST_F(LikeLiveTest, PassesWhereThereIsNoLiveVersionAndSaysSo) {
  const CheckResult result = Compare(R"({"like":"live"})", ShopSchema(), Shop(10, 99, "green"), false);
  EXPECT_TRUE(result.passed);
  EXPECT_EQ(result.message, "there is no live version to compare with");
}

TEST_F(LikeLiveTest, PassesAlikeRowsWhateverTheirIdentifiers) {
  auto rows = Shop(600, 10, "blue");
  for (Row& row : rows) row[2] = "new-" + std::get<std::string>(row[2]);
  const CheckResult result = Compare(R"({"like":"live"})", ShopSchema(), rows);
  EXPECT_TRUE(result.passed) << result.message;
  EXPECT_TRUE(result.message.empty());
}

TEST_F(LikeLiveTest, NamesTheColumnsThatMovedWorstFirst) {
  const CheckResult result = Compare(R"({"like":"live"})", ShopSchema(), Shop(600, 40, "green"));
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.failing_rows, 0);
  ASSERT_EQ(result.drift.size(), 2u) << result.message;
  EXPECT_EQ(result.drift[0].column, "color");
  EXPECT_EQ(result.drift[1].column, "price");
  EXPECT_THAT(result.message, HasSubstr("new: 'green'"));
  const std::string json = CheckResultsToJson({result});
  EXPECT_THAT(json, HasSubstr(R"("expect":{"like":"live","psi_at_most":0.2})"));
  EXPECT_THAT(json, HasSubstr(R"("drift":[{"column":"color","kind":"categorical")"));
}

TEST_F(LikeLiveTest, LooksAtTheNamedColumnsAndThresholdsOnly) {
  const auto moved = Shop(600, 40, "blue");
  EXPECT_TRUE(Compare(R"({"like":"live","columns":["color"]})", ShopSchema(), moved).passed);
  EXPECT_FALSE(Compare(R"({"like":"live","columns":["price"]})", ShopSchema(), moved).passed);
  EXPECT_TRUE(Compare(R"({"like":"live","columns":["price"],"psi_at_most":100})", ShopSchema(), moved).passed);
  // The uniform numbers moved by 30 of 100: KS is 0.3.
  const char* ks = R"({"like":"live","columns":["price"],"psi_at_most":100,"ks_at_most":0.29})";
  EXPECT_THAT(Compare(ks, ShopSchema(), moved).message, HasSubstr("KS 0.3, 0.29 at most"));
}

TEST_F(LikeLiveTest, DoesNotTakeChanceForDriftInAFewRows) {
  // Five rows fill five deciles at most: the index is far over 0.2 for that alone.
  std::vector<Row> rows;
  for (int i = 0; i < 5; ++i) rows.push_back({10.0 + 20 * i, std::string("red"), std::string("x")});
  const CheckResult result = Compare(R"({"like":"live","columns":["price"]})", ShopSchema(), rows);
  EXPECT_TRUE(result.passed) << result.message;
}

TEST_F(LikeLiveTest, NamesDifferencesOfTheSchema) {
  const Schema other{{{"price", ColumnType::kInteger}, {"color"}, {"size"}}};
  const CheckResult result =
      Compare(R"({"like":"live"})", other, {{std::int64_t{10}, std::string("red"), std::string("s")}});
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.message, HasSubstr("column 'price' holds integer instead of real"));
  EXPECT_THAT(result.message, HasSubstr("column 'id' is gone"));
  EXPECT_THAT(result.message, HasSubstr("column 'size' is new"));
}

TEST_F(Expectations, ReadFromJsonNameTheKeyAtFaultAndWhatIsAllowed) {
  const struct {
    const char* json;
    const char* field;
    const char* says;
  } cases[] = {
      {"{}", "expect", "must be a list of expectations"},
      {"[1]", "expect[0]", "must be a map such as {column: price, min: 0}, not '1'"},
      {"[{}]", "expect[0]", "must be a map"},
      {R"([{"min":1}])", "expect[0].column", "is missing"},
      {R"([{"column":"a"}])", "expect[0].column", "nothing that is expected of it; add one of in, min"},
      {R"([{"column":"a","min":0},{"column":"a","mim":1}])", "expect[1].mim", "did you mean 'min'?"},
      {R"([{"column":"a","zzzzzz":1}])", "expect[0].zzzzzz", "there are column, in, min"},
      {R"([{"column":"a","min":"1"}])", "expect[0].min", "must be a number, not '1'"},
      {R"([{"column":"a","min":1e999}])", "expect", "must be a list"},
      {R"([{"column":"a","min":2,"max":1}])", "expect[0].max", "must be at least min, which is 2"},
      {R"([{"column":"a","missing_at_most":2}])", "expect[0].missing_at_most", "a share from 0 to 1, not '2'"},
      {R"([{"column":"a","in":[]}])", "expect[0].in", "a list of the allowed values"},
      {R"([{"column":"a","in":[[1]]}])", "expect[0].in", "a list is neither"},
      {R"([{"column":"a","unique":1}])", "expect[0].unique", "must be true or false, not '1'"},
      {R"([{"column":"a","matches":5}])", "expect[0].matches", "a pattern of 1 to 1000 bytes"},
      {R"([{"column":"a","matches":"("}])", "expect[0].matches", "no valid pattern"},
      {R"([{"column":"a","matches":"(a)\\1"}])", "expect[0].matches", "without back-references"},
      {R"([{"column":"a","type":"txet"}])", "expect[0].type", "integer, real, text or blob"},
      {R"([{"column":7,"min":1}])", "expect[0].column", "the name of a column, not '7'"},
      {R"([{"unique":[]}])", "expect[0].unique", "a list of 1 to 16 columns"},
      {R"([{"unique":["a","a"]}])", "expect[0].unique", "names column 'a' twice"},
      {R"([{"unique":["a"],"column":"b"}])", "expect[0].column", "make it an entry of its own"},
      {R"([{"rows":5}])", "expect[0].rows", "a map with min, max or both"},
      {R"([{"rows":{}}])", "expect[0].rows", "a map with min, max or both"},
      {R"([{"rows":{"min":-1}}])", "expect[0].rows.min", "a whole number of at least 0, not '-1'"},
      {R"([{"rows":{"min":1.5}}])", "expect[0].rows.min", "a whole number"},
      {R"([{"rows":{"mn":1}}])", "expect[0].rows.mn", "min"},
      {R"([{"rows":{"min":5,"max":4}}])", "expect[0].rows.max", "at least min"},
      {R"([{"rows":{"min":5},"min":4}])", "expect[0].min", "does not go with rows"},
      {R"([{"fresh":"ts"}])", "expect[0].fresh", "{column: ts, within: 2d}"},
      {R"([{"fresh":{"column":"ts"}}])", "expect[0].fresh.within", "is missing"},
      {R"([{"fresh":{"within":"2d"}}])", "expect[0].fresh.column", "is missing"},
      {R"([{"fresh":{"column":"ts","within":"2 fortnights"}}])", "expect[0].fresh.within", "12h or 2d, not"},
      {R"([{"fresh":{"column":"ts","within":0}}])", "expect[0].fresh.within", "from 1s"},
      {R"([{"like":"life"}])", "expect[0].like", "must be live"},
      {R"([{"like":"live","psi_at_most":-1}])", "expect[0].psi_at_most", "at least 0"},
      {R"([{"like":"live","ks_at_most":2}])", "expect[0].ks_at_most", "from 0 to 1"},
      {R"([{"like":"live","columns":"a"}])", "expect[0].columns", "a list of 1 to"},
      {R"([{"like":"live","min":1}])", "expect[0].min", "does not go with like"},
  };
  for (const auto& c : cases) {
    auto read = ExpectationsFromJson(c.json);
    ASSERT_FALSE(read.has_value()) << c.json;
    EXPECT_EQ(read.error().field, c.field) << c.json;
    EXPECT_THAT(read.error().details.at(0).detail, HasSubstr(c.says)) << c.json;
  }
}

TEST_F(Expectations, ReadFromJsonNameEveryFault) {
  auto read =
      ExpectationsFromJson(R"([{"column":"a","min":"x","unique":2},{"column":"a","not_null":true},{"rows":1}])");
  ASSERT_FALSE(read.has_value());
  std::vector<std::string> fields;
  for (const FieldError& fault : read.error().details) fields.push_back(fault.field);
  EXPECT_THAT(fields, testing::ElementsAre("expect[0].min", "expect[0].unique", "expect[2].rows"));
  EXPECT_EQ(ExpectationFromJson(R"({"rows":{"min":"x"}})", "data.expect[7]").error().field, "data.expect[7].rows.min");
}

TEST_F(Expectations, AreWrittenAsTheyWereRead) {
  const char* json =
      R"([{"column":"id","in":["p1",2,2.5],"min":0.0,"max":3.0,"missing_at_most":0.5,"unique":true,"not_null":true,)"
      R"("matches":"^p","type":"text"},{"unique":["a","b"]},{"rows":{"min":1,"max":2}},)"
      R"({"fresh":{"column":"ts","within":"36h"}},{"like":"live","columns":["a"],"psi_at_most":0.1,"ks_at_most":0.3}])";
  auto read = ExpectationsFromJson(json);
  ASSERT_TRUE(read.has_value()) << read.error().Message();
  std::vector<CheckResult> results;
  for (const Expectation& expectation : *read) results.push_back({.expectation = expectation});
  const std::string written = CheckResultsToJson(results);
  std::size_t at = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    at = written.find(R"({"expect":)", at) + 10;
    auto again = ExpectationFromJson(written.substr(at, written.find(R"(,"passed")", at) - at), "e");
    ASSERT_TRUE(again.has_value()) << written;
    EXPECT_TRUE(*again == read->at(i)) << written;
  }
}

TEST_F(Expectations, AreWrittenAsTheChecksOfAResult) {
  auto results = Evaluate(*ExpectationsFromJson(R"([{"column":"id","in":["p1","p2"],"unique":true}])"), Packs());
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(CheckResultsToJson(*results),
            R"([{"expect":{"column":"id","in":["p1","p2"],"unique":true},"passed":false,"failing_rows":2,)"
            R"("examples":[{"row":3,"values":{"id":"p1"}},{"row":4,"values":{"id":"q"}}],)"
            R"("message":"2 of 4 rows at fault in column 'id': 1 not in the list of allowed values, )"
            R"(1 with a value that came before"}])");
}

}  // namespace
}  // namespace ratchet::lake
