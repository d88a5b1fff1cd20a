#include "lake/preview.h"

#include <limits>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

class PreviewTest : public LakeTest {
 protected:
  std::vector<std::string> Numbers() {
    const Schema schema{{{"n", ColumnType::kInteger}}};
    std::vector<std::string> paths;
    for (std::int64_t pack = 0; pack < 3; ++pack) {
      paths.push_back(WritePack("p" + std::to_string(pack), schema, {{pack * 2}, {pack * 2 + 1}}));
    }
    return paths;
  }
};

TEST_F(PreviewTest, PagesThroughAllPacks) {
  const auto paths = Numbers();
  std::vector<std::int64_t> seen;
  std::optional<std::int64_t> after = 0;
  for (int pages = 0; after; ++pages) {
    ASSERT_LT(pages, 4);
    auto page = PreviewRows(paths, *after, 2 + pages);
    ASSERT_TRUE(page.has_value()) << page.error().Message();
    for (const Row& row : page->rows) seen.push_back(std::get<std::int64_t>(row[0]));
    after = page->next;
  }
  EXPECT_THAT(seen, testing::ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(PreviewTest, EndsExactlyAtTheLastRow) {
  const auto paths = Numbers();
  EXPECT_FALSE(PreviewRows(paths, 0, 6)->next.has_value());
  EXPECT_EQ(PreviewRows(paths, 0, 5)->next, 5);
  EXPECT_TRUE(PreviewRows(paths, 6, 5)->rows.empty());
  EXPECT_TRUE(PreviewRows(paths, std::numeric_limits<std::int64_t>::max(), 5)->rows.empty());
}

TEST_F(PreviewTest, RefusesPagesBeyondTheLimit) {
  const auto paths = Numbers();
  EXPECT_FALSE(PreviewRows(paths, 0, 0).has_value());
  EXPECT_FALSE(PreviewRows(paths, 0, kMaxPreviewRows + 1).has_value());
  EXPECT_FALSE(PreviewRows(paths, -1, 1).has_value());
}

TEST_F(PreviewTest, CutsAPageOfLargeCells) {
  const Schema schema{{{"t", ColumnType::kText}}};
  const std::string large(5 << 20, 'x');
  auto page = PreviewRows({WritePack("p", schema, {{large}, {large}, {large}})}, 0, 3);
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ(page->rows.size(), 2u);
  EXPECT_EQ(page->next, 2);
}

TEST_F(PreviewTest, WritesTheFormOfTheFormatsPage) {
  const Schema schema{{{"id"}, {"n", ColumnType::kInteger}, {"x", ColumnType::kReal}, {"b", ColumnType::kBlob}}};
  const std::string path = WritePack("p", schema,
                                     {{std::string("ü"), std::int64_t{1}, 0.5, std::string("hi")},
                                      {kMissing, kMissing, std::numeric_limits<double>::infinity(), kMissing}});
  EXPECT_EQ(PreviewToJson(*PreviewRows({path}, 0, 1)),
            R"({"columns":["id","n","x","b"],"items":[["ü",1,0.5,"aGk="]],"next":"1"})");
  EXPECT_EQ(PreviewToJson(*PreviewRows({path}, 1, 1)),
            R"({"columns":["id","n","x","b"],"items":[[null,null,null,null]],"next":null})");
}

}  // namespace
}  // namespace ratchet::lake
