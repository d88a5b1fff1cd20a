#include <cmath>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::HasSubstr;

class Csv : public LakeTest {
 protected:
  Pushed Push(std::string_view body, std::optional<Schema> schema = std::nullopt) {
    return LakeTest::Push(body, OneSplit(BodyFormat::kCsv, std::move(schema)));
  }
  static std::string S(const char* text) { return text; }
};

TEST_F(Csv, InfersTypesFromTheValues) {
  auto pushed = Push("id,count,price,zip,mixed,empty\nA1,3,1.5,00501,1,\nA2,-4,2,10001,x,\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.schema, (Schema{{{"id", ColumnType::kText},
                                    {"count", ColumnType::kInteger},
                                    {"price", ColumnType::kReal},
                                    {"zip", ColumnType::kText},
                                    {"mixed", ColumnType::kText},
                                    {"empty", ColumnType::kText}}}));
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{S("A1"), std::int64_t{3}, 1.5, S("00501"), S("1"), kMissing},
                                           {S("A2"), std::int64_t{-4}, 2.0, S("10001"), S("x"), kMissing}}));
}

TEST_F(Csv, ReadsQuotesLineBreaksAndUnicodeInCells) {
  auto pushed = Push("\xEF\xBB\xBFname,note\r\n\"Grüße, Welt\",\"a \"\"b\"\"\"\r\n\"two\r\nlines\",✓ 漢字\r\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.schema.columns[0].name, "name");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{S("Grüße, Welt"), S("a \"b\"")}, {S("two\r\nlines"), S("✓ 漢字")}}));
}

TEST_F(Csv, TellsMissingFromEmptyText) {
  auto pushed = Push("t,n\n,1\n\"\",\"\"\nx,\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{kMissing, std::int64_t{1}}, {S(""), kMissing}, {S("x"), kMissing}}));
}

TEST_F(Csv, PassesOverBlankLinesAndALackingLastLineEnd) {
  auto pushed = Push("a,b\n\n1,2\n\r\n3,4");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows.size(), 2u);
}

TEST_F(Csv, KeepsIntegersBeyond64BitsAsText) {
  auto pushed = Push("id\n1\n18446744073709551616\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{S("1")}, {S("18446744073709551616")}}));
}

TEST_F(Csv, TakesIntegersBeyond64BitsAsRealsAmongReals) {
  auto pushed = Push("x\n1.5\n18446744073709551616\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{1.5}, {18446744073709551616.0}}));
}

TEST_F(Csv, TakesNanForMissingAndRefusesInf) {
  auto pushed = Push("n,x\n1,0.5\nnan,NaN\n");
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows[1], (Row{kMissing, kMissing}));
  auto refused = Push("x\n0.5\n-inf\n");
  EXPECT_EQ(refused.error.line, 3);
  EXPECT_EQ(refused.error.field, "x");
  EXPECT_THAT(refused.error.Message(), HasSubstr("'-inf' is no finite number"));
}

TEST_F(Csv, MapsColumnsOfAnotherOrderByName) {
  const Schema schema{{{"id", ColumnType::kText}, {"n", ColumnType::kInteger}, {"x", ColumnType::kReal}}};
  auto pushed = Push("x,id,n\n7,007,1\n", schema);
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.schema, schema);
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{S("007"), std::int64_t{1}, 7.0}}));
}

TEST_F(Csv, NamesTheColumnsThatDifferFromTheDatasets) {
  auto pushed = Push("id,weight\n1,2\n", Schema{{{"id"}, {"price"}}});
  EXPECT_EQ(pushed.error.code, ErrorCode::kInvalid);
  EXPECT_THAT(pushed.error.Message(), HasSubstr("lacks 'price'"));
  EXPECT_THAT(pushed.error.Message(), HasSubstr("no 'weight'"));
}

TEST_F(Csv, NamesLineColumnAndValueOfAWrongType) {
  auto pushed = Push("id,price\n1,2\n2,abc\n", Schema{{{"id"}, {"price", ColumnType::kInteger}}});
  EXPECT_EQ(pushed.error.code, ErrorCode::kInvalid);
  EXPECT_EQ(pushed.error.line, 3);
  EXPECT_EQ(pushed.error.field, "price");
  EXPECT_THAT(pushed.error.Message(), HasSubstr("line 3, column 'price': 'abc' is no integer"));
}

TEST_F(Csv, SettlesTypesWithTheFirstThousandRows) {
  std::string body = "n\n";
  for (int i = 0; i < 999; ++i) body += "1\n";
  auto widened = Push(body + "1.5\n");
  ASSERT_EQ(widened.error.Message(), "");
  EXPECT_EQ(widened.schema.columns[0].type, ColumnType::kReal);
  auto refused = Push(body + "1\n1.5\n");
  EXPECT_EQ(refused.error.line, 1002);
  EXPECT_EQ(refused.error.field, "n");
  EXPECT_THAT(refused.error.Message(), HasSubstr("first 1000 rows made this column integer"));
}

TEST_F(Csv, RefusesBlobColumns) {
  auto pushed = Push("image\nabc\n", Schema{{{"image", ColumnType::kBlob}}});
  EXPECT_THAT(pushed.error.Message(), HasSubstr("blob"));
  EXPECT_EQ(pushed.error.field, "image");
}

struct BadCsv {
  const char* name;
  std::string body;
  int line;
  const char* says;
  friend void PrintTo(const BadCsv& c, std::ostream* out) { *out << c.name; }
};

class BadCsvTest : public LakeTest, public testing::WithParamInterface<BadCsv> {};

TEST_P(BadCsvTest, IsRefusedAndLeavesNothing) {
  auto pushed = Push(GetParam().body, OneSplit(BodyFormat::kCsv));
  EXPECT_NE(pushed.error.Message(), "");
  EXPECT_EQ(pushed.error.line, GetParam().line) << pushed.error.Message();
  EXPECT_THAT(pushed.error.Message(), HasSubstr(GetParam().says));
  EXPECT_FALSE(pushed.error.hint.empty()) << pushed.error.Message();
  EXPECT_TRUE(StagingIsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Csv, BadCsvTest,
    testing::Values(BadCsv{"Empty", "", 0, "empty"}, BadCsv{"OnlyAByteOrderMark", "\xEF\xBB\xBF", 0, "empty"},
                    BadCsv{"OnlyBlankLines", "\n\r\n\n", 0, "empty"}, BadCsv{"NoRows", "a,b\n", 0, "not one row"},
                    BadCsv{"ShortRow", "a,b\n1,2\n3\n", 3, "the row has 1 cells, the header has 2"},
                    BadCsv{"LongRow", "a,b\n1,2,3\n", 2, "the row has 3 cells, the header has 2"},
                    BadCsv{"RaggedAfterAMultiLineCell", "a,b\n\"x\ny\nz\",1\n1\n", 5, "the row has 1 cells"},
                    BadCsv{"InvalidUtf8", "a,b\n1,2\n3,\xff\xfe\n", 3, "column 'b'"},
                    BadCsv{"InvalidUtf8InHeader", "a,b\xff\n1,2\n", 1, "UTF-8"},
                    BadCsv{"NulByte", std::string("a,b\n1,x\0y\n", 10), 2, "UTF-8"},
                    BadCsv{"Utf16",
                           std::string("\xFF\xFE"
                                       "a\0,\0b\0\n\0",
                                       10),
                           1, "UTF-16"},
                    BadCsv{"DuplicateColumn", "a,b,a\n1,2,3\n", 1, "column 'a'"},
                    BadCsv{"ColumnsThatDifferInCaseOnly", "Id,id\n1,2\n", 1, "twice"},
                    BadCsv{"ColumnNamedRow", "row,x\n1,2\n", 1, "taken"},
                    BadCsv{"UnnamedColumn", ",a\n0,1\n", 1, "column 1 has no name"},
                    BadCsv{"NoHeaderAllNumbers", "1,2,3\n4,5,6\n", 1, "no header"},
                    BadCsv{"NoHeaderWithMeasures", "5.1,3.5,setosa\n4.9,3.0,setosa\n", 1, "no header"},
                    BadCsv{"Semicolons", "a;b\n1;2\n", 1, "commas"},
                    BadCsv{"UnclosedQuote", "a,b\n1,\"x\n2,3\n", 2, "closing quote"},
                    BadCsv{"TextAfterQuote", "a,b\n\"x\"y,2\n", 2, "closing quote"},
                    BadCsv{"QuoteInPlainCell", "a,b\n5\" pipe,2\n", 2, "quote inside"},
                    BadCsv{"LoneCarriageReturn", "a,b\r1,2\r", 1, "carriage return"},
                    BadCsv{"HugeCell", "a,b\n1," + std::string(kMaxCellBytes + 1, 'x') + "\n", 2, "larger than 16 MiB"},
                    BadCsv{"HugeQuotedCell", "a,b\n1,\"" + std::string(kMaxCellBytes + 1, '\n') + "\"\n", 2,
                           "larger than 16 MiB"},
                    BadCsv{"TooManyColumns", "a" + std::string(kMaxColumns, ',') + "\n", 1, "more than 1999 cells"}),
    [](const auto& info) { return info.param.name; });

TEST_F(Csv, KeepsAYearForAColumnName) { EXPECT_EQ(Push("country,2018,2019\nDE,1,2\n").error.Message(), ""); }

}  // namespace
}  // namespace ratchet::lake
