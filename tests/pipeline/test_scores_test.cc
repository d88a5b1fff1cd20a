#include "pipeline/test_scores.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "lake/pack.h"

namespace ratchet::pipeline {
namespace {

using lake::ColumnType;
using testing::ElementsAre;

class TestScoresTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(testing::TempDir()) + "ratchet-scores-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const lake::Schema& more, const std::vector<lake::Row>& rows) {
    lake::Schema schema{{{"candidate", ColumnType::kReal, {}}, {"opponent", ColumnType::kReal, {}}}};
    schema.columns.insert(schema.columns.end(), more.columns.begin(), more.columns.end());
    const std::string path = folder_ + "/scores-" + std::to_string(++written_) + ".pack";
    auto writer = lake::PackWriter::Create(path, schema).value();
    for (const lake::Row& row : rows) {
      lake::Row whole{1.0, 0.0};
      whole.insert(whole.end(), row.begin(), row.end());
      EXPECT_TRUE(writer->Add(whole));
    }
    EXPECT_TRUE(writer->Finish());
    return path;
  }
  std::string folder_;
  int written_ = 0;
};

TEST_F(TestScoresTest, TakesTextsAndFewIntegersForCategories) {
  const std::string path = Write({{{"town", ColumnType::kText, {}}, {"floor", ColumnType::kInteger, {}}}},
                                 {{std::string("Bonn"), std::int64_t{2}}, {std::string("Aachen"), std::int64_t{1}}, {std::monostate(), std::int64_t{2}}});
  const auto scores = ReadTestScores(path, {.slices = {{.column = "floor"}, {.column = "town", .margin = 0.1}}});
  ASSERT_TRUE(scores) << scores.error().Message();
  EXPECT_THAT(scores->candidate, ElementsAre(1, 1, 1));
  ASSERT_EQ(scores->columns.size(), 2u);
  EXPECT_THAT(scores->columns[0].categories, ElementsAre("1", "2"));
  EXPECT_THAT(scores->columns[0].code, ElementsAre(1, 0, 1));
  EXPECT_THAT(scores->columns[1].categories, ElementsAre("(missing)", "Aachen", "Bonn"));
  EXPECT_THAT(scores->columns[1].code, ElementsAre(2, 1, 0));
  EXPECT_EQ(scores->columns[1].margin, 0.1);
  EXPECT_TRUE(scores->group.empty());
}

TEST_F(TestScoresTest, TakesRealsAndManyIntegersForNumbers) {
  std::vector<lake::Row> rows;
  for (std::int64_t i = 0; i < 60; ++i) rows.push_back({i, static_cast<double>(i) / 2});
  rows.push_back({std::monostate(), std::monostate()});
  const std::string path = Write({{{"age", ColumnType::kInteger, {}}, {"price", ColumnType::kReal, {}}}}, rows);
  const auto scores = ReadTestScores(path, {.slices = {{.column = "age"}, {.column = "price"}}});
  ASSERT_TRUE(scores);
  for (const auto& column : scores->columns) {
    EXPECT_TRUE(column.categories.empty());
    ASSERT_EQ(column.number.size(), 61u);
    EXPECT_TRUE(std::isnan(column.number.back()));
    EXPECT_EQ(gate::CommonSlices(column.Feature()).size(), 5u) << "four quarters, and the missing one";
  }
}

TEST_F(TestScoresTest, GivesRowsOfOneGroupOneCodeAndLeavesAMissingOneAlone) {
  const std::string path = Write({{{"user", ColumnType::kText, {}}}},
                                 {{std::string("a")}, {std::monostate()}, {std::string("b")}, {std::string("a")}, {std::monostate()}});
  const auto scores = ReadTestScores(path, {.slices = {}, .group_by = "user"});
  ASSERT_TRUE(scores);
  ASSERT_EQ(scores->group.size(), 5u);
  EXPECT_EQ(scores->group[0], scores->group[3]);
  EXPECT_NE(scores->group[0], scores->group[2]);
  EXPECT_NE(scores->group[1], scores->group[4]);
}

}  // namespace
}  // namespace ratchet::pipeline
