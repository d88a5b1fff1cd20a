#include <sqlite3.h>

#include <random>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::HasSubstr;

class PackPush : public LakeTest {
 protected:
  Pushed Push(std::string_view body, std::optional<Schema> schema = std::nullopt) {
    auto options = OneSplit(BodyFormat::kPack, std::move(schema));
    options.staging = Path("staging");
    std::filesystem::create_directories(options.staging);
    return LakeTest::Push(body, std::move(options));
  }
  bool StagingIsEmpty() { return std::filesystem::is_empty(Path("staging")); }

  // A file made with SQL, as an attacker or a careless script would.
  std::string FromSql(const std::string& sql) {
    const std::string path = Path("made");
    std::filesystem::remove(path);
    sqlite3* database = nullptr;
    sqlite3_open(path.c_str(), &database);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, ("PRAGMA synchronous=OFF;" + sql).c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << error;
    sqlite3_close(database);
    return ReadBytes(path);
  }

  static std::string Head(const std::string& schema, int rows) {
    return "PRAGMA application_id=1380993841; CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
           "INSERT INTO meta VALUES('format','1'),('schema','" +
           schema + "'),('rows','" + std::to_string(rows) + "');";
  }
  const std::string one_ = R"([{"name":"a","type":"text"}])";
};

TEST_F(PackPush, TakesInAPackOfOurOwn) {
  const Schema schema{{{"id", ColumnType::kText}, {"x", ColumnType::kReal}, {"image", ColumnType::kBlob, {2}}}};
  const std::vector<Row> rows{{std::string("a"), 1.0, std::string("\0\1", 2)}, {kMissing, kMissing, kMissing}};
  auto pushed = Push(ReadBytes(WritePack("p", schema, rows)));
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.schema, schema);
  EXPECT_EQ(pushed.rows, rows);
}

TEST_F(PackPush, TakesInAPackMadeByPlainSql) {
  auto pushed = Push(FromSql(Head(one_, 2) + "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT) STRICT;"
                                             "INSERT INTO rows VALUES(1,'x'),(2,NULL);"));
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{std::string("x")}, {kMissing}}));
}

TEST_F(PackPush, MapsColumnsByName) {
  const Schema pushed_schema{{{"b", ColumnType::kInteger}, {"a", ColumnType::kText}}};
  const Schema schema{{{"a", ColumnType::kText}, {"b", ColumnType::kInteger}}};
  auto pushed = Push(ReadBytes(WritePack("p", pushed_schema, {{std::int64_t{1}, std::string("x")}})), schema);
  ASSERT_EQ(pushed.error.Message(), "");
  EXPECT_EQ(pushed.rows, (std::vector<Row>{{std::string("x"), std::int64_t{1}}}));
}

TEST_F(PackPush, NamesTheColumnThatDiffersFromTheDatasets) {
  const std::string body = ReadBytes(WritePack("p", {{{"a", ColumnType::kBlob, {2}}}}, {{std::string("xy")}}));
  for (const Schema& schema : {Schema{{{"a", ColumnType::kText}}}, Schema{{{"a", ColumnType::kBlob, {1, 2}}}},
                               Schema{{{"a", ColumnType::kBlob, {2}}, {"b"}}}, Schema{{{"b"}}}}) {
    auto pushed = Push(body, schema);
    EXPECT_EQ(pushed.error.code, ErrorCode::kInvalid);
    EXPECT_FALSE(pushed.error.field.empty()) << pushed.error.Message();
    EXPECT_TRUE(StagingIsEmpty());
  }
}

struct BadPack {
  const char* name;
  std::string rows_sql;  // what follows the head of a pack with one text column a
  const char* says;
  friend void PrintTo(const BadPack& c, std::ostream* out) { *out << c.name; }
};

class BadPackTest : public PackPush, public testing::WithParamInterface<BadPack> {};

TEST_P(BadPackTest, IsRefusedAndLeavesNothing) {
  auto pushed = Push(FromSql(Head(one_, 1) + GetParam().rows_sql));
  EXPECT_THAT(pushed.error.Message(), HasSubstr(GetParam().says));
  EXPECT_THAT(pushed.error.Message(), Not(HasSubstr("staging")));
  EXPECT_TRUE(StagingIsEmpty());
}

const char kGood[] = "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT) STRICT; INSERT INTO rows VALUES(1,'x');";

INSTANTIATE_TEST_SUITE_P(
    Pack, BadPackTest,
    testing::Values(
        BadPack{"NoRowsTable", "", "no table named rows"},
        BadPack{"View", "CREATE VIEW rows AS SELECT 1 AS row, 'x' AS a;", "view"},
        BadPack{"VirtualTable", "CREATE VIRTUAL TABLE rows USING fts5(a);", "rows"},
        BadPack{"Trigger", std::string(kGood) + "CREATE TRIGGER t AFTER INSERT ON rows BEGIN SELECT 1; END;",
                "trigger"},
        BadPack{"ExtraTable", std::string(kGood) + "CREATE TABLE more(x);", "more"},
        BadPack{"ComputedColumn",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT AS (hex(row))) STRICT; INSERT INTO rows VALUES(1);",
                "computed"},
        BadPack{"WrongColumnName",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, b TEXT) STRICT; INSERT INTO rows VALUES(1,'x');", "'b'"},
        BadPack{"WrongColumnType",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, a REAL) STRICT; INSERT INTO rows VALUES(1,1);", "'a'"},
        BadPack{
            "MoreColumns",
            "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT, b TEXT) STRICT; INSERT INTO rows VALUES(1,'x','y');",
            "'b'"},
        BadPack{"FewerColumns", "CREATE TABLE rows(row INTEGER PRIMARY KEY) STRICT; INSERT INTO rows VALUES(1);",
                "lack"},
        BadPack{"NoPrimaryKey", "CREATE TABLE rows(row INTEGER, a TEXT) STRICT; INSERT INTO rows VALUES(1,'x');",
                "PRIMARY KEY"},
        BadPack{"ValuesOfAnotherType",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT); INSERT INTO rows VALUES(1,x'00ff');", "row 1"},
        BadPack{"InvalidUtf8",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT); INSERT INTO rows VALUES(1,CAST(x'ff' AS TEXT));",
                "UTF-8"},
        BadPack{"WrongCount", std::string(kGood) + "INSERT INTO rows VALUES(2,'y');", "1 rows"},
        BadPack{"GapInTheRowNumbers",
                "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT) STRICT; INSERT INTO rows VALUES(-1,'x'),(1,'y');",
                "numbered from -1"}),
    [](const auto& info) { return info.param.name; });

TEST_F(PackPush, RefusesInfAndHugeCells) {
  auto inf =
      Push(FromSql(Head(R"([{"name":"a","type":"real"}])", 1) +
                   "CREATE TABLE rows(row INTEGER PRIMARY KEY, a REAL) STRICT; INSERT INTO rows VALUES(1,9e999);"));
  EXPECT_THAT(inf.error.Message(), HasSubstr("inf"));
  auto huge = Push(FromSql(Head(one_, 1) + "CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT) STRICT;"
                                           "INSERT INTO rows VALUES(1,hex(zeroblob(9000000)));"));
  EXPECT_EQ(huge.error.code, ErrorCode::kTooLarge) << huge.error.Message();
  auto enormous = Push(FromSql(Head(R"([{"name":"a","type":"blob"}])", 1) +
                               "CREATE TABLE rows(row INTEGER PRIMARY KEY, a BLOB) STRICT;"
                               "INSERT INTO rows VALUES(1,zeroblob(70000000));"));
  EXPECT_NE(enormous.error.Message(), "");
}

TEST_F(PackPush, RefusesWhatIsNoPack) {
  for (const std::string& body : {std::string(), std::string("id,label\n1,2\n"), std::string(100'000, '\0'),
                                  FromSql("CREATE TABLE rows(row INTEGER PRIMARY KEY, a TEXT)")}) {
    auto pushed = Push(body);
    EXPECT_NE(pushed.error.Message(), "");
    EXPECT_FALSE(pushed.error.hint.empty()) << pushed.error.Message();
    EXPECT_TRUE(StagingIsEmpty());
  }
}

TEST_F(PackPush, SurvivesDamageOfAnyKind) {
  const Schema schema{{{"id", ColumnType::kInteger}, {"image", ColumnType::kBlob, {28, 28}}}};
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < 60; ++i) rows.push_back({i, std::string(784, static_cast<char>(i))});
  const std::string sound = ReadBytes(WritePack("p", schema, rows));
  ASSERT_EQ(Push(sound).rows, rows);
  for (std::size_t size = 0; size < sound.size(); size += 499) {
    EXPECT_NE(Push(sound.substr(0, size)).error.Message(), "") << size;
  }
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = sound;
    for (int flips = 0; flips < 3; ++flips) {
      damaged[random() % (sound.size() / 8192) * 8192 + random() % 300] ^= static_cast<char>(1u << random() % 8);
    }
    auto pushed = Push(damaged);
    if (!pushed.error.Message().empty()) {
      EXPECT_TRUE(StagingIsEmpty());
    }
    std::filesystem::remove_all(Path("staging"));
  }
}

}  // namespace
}  // namespace ratchet::lake
