#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::HasSubstr;

class JsonLines : public LakeTest {
 protected:
  Pushed Push(std::string_view body, std::optional<Schema> schema = std::nullopt) {
    return LakeTest::Push(body, OneSplit(BodyFormat::kJsonLines, std::move(schema)));
  }
  static std::string S(const char* text) { return text; }
};

TEST_F(JsonLines, KeepsIntegersRealsAndTextApart) {
  auto pushed =
      Push("{\"id\":\"007\",\"n\":3,\"x\":1.0,\"ok\":true}\r\n\n{\"n\":-1,\"id\":\"ü\\u0041\",\"x\":2,\"ok\":null}");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.schema, (Schema{{{"id", ColumnType::kText},
                                    {"n", ColumnType::kInteger},
                                    {"x", ColumnType::kReal},
                                    {"ok", ColumnType::kInteger}}}));
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{S("007"), std::int64_t{3}, 1.0, std::int64_t{1}},
                                           {S("üA"), std::int64_t{-1}, 2.0, kMissing}}));
}

TEST_F(JsonLines, TakesAnAbsentKeyForMissing) {
  auto pushed = Push("{\"a\":1}\n{\"b\":\"x\"}\n{}\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{std::int64_t{1}, kMissing}, {kMissing, S("x")}, {kMissing, kMissing}}));
}

TEST_F(JsonLines, DecodesBlobs) {
  const Schema schema{{{"image", ColumnType::kBlob, {1, 2, 2}}, {"raw", ColumnType::kBlob}}};
  auto pushed = Push("{\"image\":\"AAEC/w==\",\"raw\":\"\"}\n{\"image\":null,\"raw\":\"aGk=\"}\n", schema);
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{std::string("\0\1\2\xff", 4), S("")}, {kMissing, S("hi")}}));
}

TEST_F(JsonLines, NamesTheBlobOfAWrongSizeOrText) {
  const Schema schema{{{"image", ColumnType::kBlob, {1, 2, 2}}}};
  for (const char* bad : {"AAEC", "AAEC/w=", "AAEC/x==", "AA C/w==", "%"}) {
    auto pushed = Push("{\"image\":null}\n{\"image\":\"" + std::string(bad) + "\"}\n", schema);
    EXPECT_EQ(pushed.error.line, 2) << bad;
    EXPECT_EQ(pushed.error.field, "image") << bad;
  }
}

TEST_F(JsonLines, NamesTheColumnsThatDifferFromTheDatasets) {
  const Schema schema{{{"id"}, {"price"}}};
  auto lacking = Push("{\"id\":\"a\"}\n", schema);
  EXPECT_THAT(lacking.error.Message(), HasSubstr("lacks 'price'"));
  auto extra = Push("{\"id\":\"a\",\"price\":\"1\"}\n{\"id\":\"a\",\"price\":\"1\",\"weight\":1}\n", schema);
  EXPECT_EQ(extra.error.line, 2);
  EXPECT_EQ(extra.error.field, "weight");
}

TEST_F(JsonLines, TakesHugeIntegersOnlyForReals) {
  auto refused = Push("{\"id\":1}\n{\"id\":18446744073709551616}\n");
  EXPECT_EQ(refused.error.line, 2);
  EXPECT_THAT(refused.error.Message(), HasSubstr("18446744073709551616 is no integer"));
  EXPECT_THAT(refused.error.hint, HasSubstr("in quotes"));
  auto taken = Push("{\"x\":0.5}\n{\"x\":9223372036854775808}\n");
  ASSERT_EQ(taken.error.Message(), "");
  EXPECT_EQ(taken.rows[1], (Row{9223372036854775808.0}));
}

TEST_F(JsonLines, SettlesColumnsWithTheFirstThousandRows) {
  std::string body;
  for (int i = 0; i < 999; ++i) body += "{\"a\":1}\n";
  EXPECT_EQ(Push(body + "{\"b\":1}\n").error.Message(), "");
  auto refused = Push(body + "{\"a\":1}\n{\"b\":1}\n");
  EXPECT_EQ(refused.error.line, 1001);
  EXPECT_EQ(refused.error.field, "b");
}

TEST_F(JsonLines, StaysWithinItsMemoryForSparseRows) {
  // Each short line names a column of its own: the window must not hold lines × columns without end.
  std::string body;
  for (std::size_t i = 0; i < kMaxColumns; ++i) body += "{\"c" + std::to_string(i) + "\":1}\n";
  auto pushed = Push(body);
  EXPECT_NE(pushed.error.Message(), "");  // columns after the window are refused
}

struct BadJson {
  const char* name;
  std::string body;
  int line;
  const char* says;
  friend void PrintTo(const BadJson& c, std::ostream* out) { *out << c.name; }
};

class BadJsonTest : public LakeTest, public testing::WithParamInterface<BadJson> {};

TEST_P(BadJsonTest, IsRefusedAndLeavesNothing) {
  auto pushed = Push(GetParam().body, OneSplit(BodyFormat::kJsonLines));
  EXPECT_NE(pushed.error.Message(), "");
  EXPECT_EQ(pushed.error.line, GetParam().line) << pushed.error.Message();
  EXPECT_THAT(pushed.error.Message(), HasSubstr(GetParam().says));
  EXPECT_FALSE(pushed.error.hint.empty()) << pushed.error.Message();
  EXPECT_TRUE(StagingIsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    JsonLines, BadJsonTest,
    testing::Values(
        BadJson{"Empty", "", 0, "empty"}, BadJson{"OnlyBlankLines", "\n \n", 0, "empty"},
        BadJson{"Array", "[{\"a\":1}]\n", 1, "array"}, BadJson{"Scalar", "{\"a\":1}\n42\n", 2, "no object"},
        BadJson{"NestedObject", "{\"a\":1}\n{\"a\":{\"b\":1}}\n", 2, "column 'a': the value is an object or array"},
        BadJson{"NestedArray", "{\"a\":[1,2]}\n", 1, "object or array"},
        BadJson{"CutShort", "{\"a\":1\n", 1, "no JSON object"},
        BadJson{"TwoOnALine", "{\"a\":1}{\"a\":2}\n", 1, "no JSON object"},
        BadJson{"Nan", "{\"a\":NaN}\n", 1, "null, not NaN"},
        BadJson{"HugeReal", "{\"a\":1e999}\n", 1, "beyond the range"},
        BadJson{"InvalidUtf8", "{\"a\":\"\xff\"}\n", 1, "UTF-8"},
        BadJson{"LoneSurrogate", "{\"a\":\"\\ud800\"}\n", 1, "no JSON object"},
        BadJson{"NulInText", "{\"a\":\"x\\u0000y\"}\n", 1, "NUL"},
        BadJson{"DuplicateKey", "{\"a\":1,\"a\":2}\n", 1, "twice"},
        BadJson{"TextAndNumber", "{\"a\":\"x\"}\n{\"a\":1}\n", 2, "on line 1 it is text"},
        BadJson{"ColumnNamedRow", "{\"row\":1}\n", 0, "taken"}, BadJson{"NoKeys", "{}\n{}\n", 0, "no columns"},
        BadJson{"DeepNesting", std::string(1 << 20, '['), 1, "array"},
        BadJson{"LongLine", "{\"a\":\"" + std::string(kMaxJsonLineBytes, 'x') + "\"}", 1, "longer than 32 MiB"},
        BadJson{"HugeCell", "{\"a\":\"" + std::string(kMaxCellBytes + 1, 'x') + "\"}", 1, "16 MiB"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace ratchet::lake
