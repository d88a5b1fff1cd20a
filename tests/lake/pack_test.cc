#include "lake/pack.h"

#include <cmath>
#include <random>

#include "base/digest.h"
#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

class Pack : public LakeTest {
 protected:
  const Schema schema_{{{"id", ColumnType::kText},
                        {"n", ColumnType::kInteger},
                        {"x", ColumnType::kReal},
                        {"image", ColumnType::kBlob, {1, 2, 2}},
                        {"raw", ColumnType::kBlob}}};
  const std::vector<Row> rows_{
      {std::string("a"), std::int64_t{1}, 0.5, std::string("\0\1\2\3", 4), std::string("free")},
      {kMissing, kMissing, kMissing, kMissing, kMissing},
      {std::string(""), INT64_MIN, 1e300, std::string("wxyz"), std::string("")},
      {std::string("Grüße ✓"), INT64_MAX, -0.25, std::string("\xff\xfe\xfd\xfc"), std::string("\0", 1)}};
};

TEST_F(Pack, GivesBackWhatWasWritten) { EXPECT_EQ(ReadAll({WritePack("p", schema_, rows_)}), rows_); }

TEST_F(Pack, IsTheSameBytesForTheSameRows) {
  EXPECT_EQ(ReadBytes(WritePack("p", schema_, rows_)), ReadBytes(WritePack("q", schema_, rows_)));
}

TEST_F(Pack, ReadsBatchesByColumn) {
  auto reader = PackReader::Open({WritePack("p", schema_, rows_)});
  ASSERT_TRUE(reader.has_value()) << reader.error().Message();
  auto batch = (*reader)->Next(100);
  ASSERT_TRUE(batch.has_value());
  ASSERT_EQ(batch->rows, 4);
  EXPECT_THAT(batch->columns[0].texts, testing::ElementsAre("a", "", "", "Grüße ✓"));
  EXPECT_THAT(batch->columns[0].missing, testing::ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(batch->columns[1].integers, testing::ElementsAre(1, 0, INT64_MIN, INT64_MAX));
  EXPECT_THAT(batch->columns[2].reals, testing::ElementsAre(0.5, 0, 1e300, -0.25));
  EXPECT_THAT(batch->columns[3].bytes,
              testing::ElementsAre(0, 1, 2, 3, 0, 0, 0, 0, 'w', 'x', 'y', 'z', 0xff, 0xfe, 0xfd, 0xfc));
  EXPECT_EQ(batch->columns[4].texts[3], std::string("\0", 1));
  EXPECT_EQ((*reader)->Next(100)->rows, 0);
}

TEST_F(Pack, SelectsAndOrdersColumns) {
  const std::string path = WritePack("p", schema_, rows_);
  auto rows = ReadAll({path}, {"x", "id"});
  EXPECT_EQ(rows[0], (Row{0.5, std::string("a")}));
  auto refused = PackReader::Open({path}, {"idd"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_NE(refused.error().hint.find("id"), std::string::npos);
}

class Packs : public LakeTest {
 protected:
  // Numbers 0 … n-1 over packs of the given sizes.
  std::vector<std::string> Write(const std::vector<int>& sizes) {
    std::vector<std::string> paths;
    std::int64_t next = 0;
    for (int size : sizes) {
      std::vector<Row> rows;
      for (int i = 0; i < size; ++i) rows.push_back({next++});
      paths.push_back(WritePack("p" + std::to_string(paths.size()), schema_, rows));
    }
    return paths;
  }
  static std::vector<std::int64_t> Drain(PackReader& reader, std::int64_t batch_rows) {
    std::vector<std::int64_t> numbers;
    while (true) {
      auto batch = reader.Next(batch_rows);
      EXPECT_TRUE(batch.has_value());
      if (!batch || batch->rows == 0) return numbers;
      EXPECT_LE(batch->rows, batch_rows);
      const auto& more = batch->columns[0].integers;
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
  }
  static std::vector<std::int64_t> From(std::int64_t first, std::int64_t end) {
    std::vector<std::int64_t> numbers;
    for (; first < end; ++first) numbers.push_back(first);
    return numbers;
  }
  const Schema schema_{{{"n", ColumnType::kInteger}}};
};

TEST_F(Packs, ReadAsOneAcrossTheirBorders) {
  auto reader = PackReader::Open(Write({3, 1, 0, 6, 0}));
  ASSERT_TRUE(reader.has_value()) << reader.error().Message();
  EXPECT_EQ((*reader)->rows(), 10);
  for (std::int64_t batch : {1, 2, 3, 4, 7, 10, 100}) {
    ASSERT_TRUE((*reader)->Rewind().has_value());
    EXPECT_EQ(Drain(**reader, batch), From(0, 10)) << batch;
  }
}

TEST_F(Packs, SkipFromTheStart) {
  auto reader = PackReader::Open(Write({3, 1, 0, 6}));
  ASSERT_TRUE(reader.has_value());
  for (std::int64_t skip : {0, 1, 2, 3, 4, 5, 9, 10, 11, 1000}) {
    ASSERT_TRUE((*reader)->Skip(skip).has_value());
    EXPECT_EQ(Drain(**reader, 4), From(skip, 10)) << skip;
  }
}

TEST_F(Packs, OfDifferingSchemasAreRefused) {
  const std::string a = WritePack("a", schema_, {{std::int64_t{1}}});
  const std::string b = WritePack("b", {{{"n", ColumnType::kReal}}}, {{1.0}});
  auto reader = PackReader::Open({a, b});
  ASSERT_FALSE(reader.has_value());
  EXPECT_EQ(reader.error().code, ErrorCode::kInvalid);
}

TEST_F(Packs, NoneAtAllIsRefused) {
  auto reader = PackReader::Open({});
  ASSERT_FALSE(reader.has_value());
  EXPECT_EQ(reader.error().code, ErrorCode::kInvalid);
}

TEST_F(Packs, MergeIntoOne) {
  const auto paths = Write({3, 0, 4});
  ASSERT_TRUE(MergePacks(paths, Path("merged")).has_value());
  EXPECT_EQ(ReadAll({Path("merged")}), ReadAll(paths));
  EXPECT_EQ(MergePacks(paths, Path("merged")).error().code, ErrorCode::kConflict);
}

TEST_F(Packs, LieInAFolderThatNobodyMayWrite) {
  const auto paths = Write({3});
  const std::string sealed = Path("sealed%20?#");
  std::filesystem::create_directory(sealed);
  std::filesystem::rename(paths[0], sealed + "/a?b#c%41.pack");
  std::filesystem::permissions(sealed, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  EXPECT_EQ(ReadAll({sealed + "/a?b#c%41.pack"}).size(), 3u);
  std::filesystem::permissions(sealed, std::filesystem::perms::owner_all);
}

class PackWriting : public LakeTest {
 protected:
  Status AddTo(const Column& column, const Value& value) {
    auto writer = PackWriter::Create(Path("w" + std::to_string(++count_)), {{column}});
    return (*writer)->Add(Row{value});
  }
  int count_ = 0;
};

TEST_F(PackWriting, NamesTheColumnOfAValueThatDoesNotFit) {
  const struct {
    Column column;
    Value value;
  } cases[] = {{{"c", ColumnType::kInteger}, 1.0},
               {{"c", ColumnType::kInteger}, std::string("1")},
               {{"c", ColumnType::kReal}, std::string("1")},
               {{"c", ColumnType::kText}, std::int64_t{1}},
               {{"c", ColumnType::kBlob}, 1.0},
               {{"c", ColumnType::kBlob, {2, 2}}, std::string("abc")},
               {{"c", ColumnType::kText}, std::string(kMaxCellBytes + 1, 'x')}};
  for (const auto& c : cases) {
    auto added = AddTo(c.column, c.value);
    ASSERT_FALSE(added.has_value());
    EXPECT_EQ(added.error().field, "c");
  }
}

TEST_F(PackWriting, TakesAnIntegerForARealAndNanForMissing) {
  const std::string path = WritePack("p", {{{"x", ColumnType::kReal}}}, {{std::int64_t{3}}, {std::nan("")}});
  EXPECT_EQ(ReadAll({path}), (std::vector<Row>{{3.0}, {kMissing}}));
}

TEST_F(PackWriting, RefusesARowOfAnotherWidth) {
  auto writer = PackWriter::Create(Path("p"), {{{"a"}, {"b"}}});
  EXPECT_FALSE((*writer)->Add(Row{std::string("x")}).has_value());
}

TEST_F(PackWriting, RefusesAPathThatIsTaken) {
  WriteBytes(Path("p"), "mine");
  auto writer = PackWriter::Create(Path("p"), {{{"a"}}});
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code, ErrorCode::kConflict);
  EXPECT_EQ(ReadBytes(Path("p")), "mine");
}

TEST_F(PackWriting, LeavesNoFileBehindWhenItIsNotFinished) {
  {
    auto writer = PackWriter::Create(Path("p"), {{{"a"}}});
    ASSERT_TRUE((*writer)->Add(Row{std::string("x")}).has_value());
  }
  EXPECT_TRUE(StagingIsEmpty());
}

TEST_F(PackWriting, KeepsColumnNamesThatSqlWouldStumbleOver) {
  const Schema schema{{{"select"}, {"a\"b"}, {"x'; DROP TABLE rows; --"}, {"rowid"}, {"meta"}}};
  const std::vector<Row> rows{{std::string("1"), std::string("2"), std::string("3"), std::string("4"), kMissing}};
  EXPECT_EQ(ReadAll({WritePack("p", schema, rows)}), rows);
}

TEST_F(PackWriting, HoldsAsManyColumnsAsTheLimitSays) {
  Schema schema;
  Row row;
  for (std::size_t i = 0; i < kMaxColumns; ++i) {
    schema.columns.push_back({"c" + std::to_string(i), ColumnType::kInteger});
    row.push_back(static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(ReadAll({WritePack("p", schema, {row})}), std::vector<Row>{row});
}

class DamagedPack : public LakeTest {
 protected:
  std::string Sound() {
    const Schema schema{{{"id", ColumnType::kInteger}, {"image", ColumnType::kBlob, {1, 28, 28}}}};
    std::vector<Row> rows;
    for (std::int64_t i = 0; i < 60; ++i) rows.push_back({i, std::string(784, static_cast<char>(i))});
    return ReadBytes(WritePack("sound", schema, rows));
  }
  // True when every row could be read; must never crash.
  bool Readable(const std::string& path) {
    auto reader = PackReader::Open({path});
    while (reader) {
      auto batch = (*reader)->Next(16);
      if (!batch) return false;
      if (batch->rows == 0) return true;
    }
    return false;
  }
};

TEST_F(DamagedPack, CutShortAnywhereIsAnError) {
  const std::string sound = Sound();
  WriteBytes(Path("p"), sound);
  ASSERT_TRUE(Readable(Path("p")));
  for (std::size_t size = 0; size < sound.size(); size += size < 200 ? 1 : 997) {
    WriteBytes(Path("p"), sound.substr(0, size));
    EXPECT_FALSE(Readable(Path("p"))) << size;
  }
}

TEST_F(DamagedPack, WithFlippedBytesNeverCrashes) {
  const std::string sound = Sound();
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    std::string damaged = sound;
    // Damage mostly where the structure lies: the header page and the starts of pages.
    for (int flips = 0; flips < 4; ++flips) {
      const std::size_t page = random() % (sound.size() / 8192) * 8192;
      damaged[page + random() % 200] ^= static_cast<char>(1u << random() % 8);
    }
    WriteBytes(Path("p"), damaged);
    Readable(Path("p"));
  }
}

TEST_F(DamagedPack, ThatIsNoPackIsCorrupt) {
  for (const std::string& bytes : {std::string(), std::string("id,label\n1,2\n"), std::string(8192, '\0')}) {
    WriteBytes(Path("p"), bytes);
    auto reader = PackReader::Open({Path("p")});
    ASSERT_FALSE(reader.has_value());
    EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt) << reader.error().Message();
  }
  EXPECT_FALSE(PackReader::Open({Path("absent")}).has_value());
}

}  // namespace
}  // namespace ratchet::lake
