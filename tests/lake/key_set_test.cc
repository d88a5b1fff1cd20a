#include "lake/key_set.h"

#include <random>
#include <set>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using KeySetTest = LakeTest;

bool MustInsert(KeySet& set, std::string_view text) {
  auto added = set.Insert(text);
  EXPECT_TRUE(added.has_value()) << added.error().Message();
  return added.value_or(false);
}

TEST_F(KeySetTest, AgreesWithASetOnBothSidesOfTheMemoryLimit) {
  for (std::size_t limit : {std::size_t{1'000'000}, std::size_t{100}, std::size_t{1}}) {
    KeySet keys(folder_, 1, limit);
    std::set<std::string> all;
    std::mt19937 random(7);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = std::to_string(random() % 1000);
      ASSERT_EQ(MustInsert(keys, text), all.insert(text).second) << text << " limit " << limit;
    }
    EXPECT_EQ(keys.size(), static_cast<std::int64_t>(all.size()));
    EXPECT_EQ(keys.on_disk(), limit < all.size());
  }
}

TEST_F(KeySetTest, LeavesNothingBehind) {
  KeySet keys(folder_, 1, 2);
  for (const char* text : {"a", "b", "c", "d", ""}) EXPECT_TRUE(MustInsert(keys, text));
  ASSERT_TRUE(keys.on_disk());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  EXPECT_FALSE(MustInsert(keys, ""));
}

TEST_F(KeySetTest, SaysWhereItCannotWrite) {
  KeySet keys(Path("nowhere"), 1, 1);
  EXPECT_TRUE(MustInsert(keys, "a"));
  auto failed = keys.Insert("b");
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().Message(), testing::HasSubstr(Path("nowhere")));
}

}  // namespace
}  // namespace ratchet::lake
