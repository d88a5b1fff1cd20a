#include "lake/repeat_finder.h"

#include <random>
#include <set>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using RepeatFinderTest = LakeTest;

TEST_F(RepeatFinderTest, AgreesWithASetOnBothSidesOfTheMemoryLimit) {
  for (const std::size_t limit : {1'000'000, 2'999, 3'000, 100, 7}) {
    RepeatFinder finder(folder_, 1, limit);
    std::set<std::string> all;
    std::vector<std::int64_t> repeated;
    std::mt19937 random(7);
    for (std::int64_t row = 1; row <= 3'000; ++row) {
      const std::string text = std::to_string(random() % 10'000);
      const bool counts = random() % 10 != 0;
      ASSERT_TRUE(finder.Add(text, row, counts).has_value());
      if (!all.insert(text).second && counts) repeated.push_back(row);
    }
    EXPECT_EQ(finder.on_disk(), limit < 3'000);
    EXPECT_TRUE(std::filesystem::is_empty(folder_));  // the file has no name
    auto found = finder.Finish();
    ASSERT_TRUE(found.has_value()) << found.error().Message();
    EXPECT_EQ(found->rows, static_cast<std::int64_t>(repeated.size())) << limit;
    ASSERT_GT(repeated.size(), kRepeatsTold);
    repeated.resize(kRepeatsTold);
    EXPECT_EQ(found->first, repeated) << limit;
  }
}

TEST_F(RepeatFinderTest, FindsNothingInNothing) {
  RepeatFinder finder(folder_);
  EXPECT_EQ(finder.Finish()->rows, 0);
}

TEST_F(RepeatFinderTest, SaysWhereItCannotWrite) {
  RepeatFinder finder(Path("nowhere"), 1, 1);
  EXPECT_TRUE(finder.Add("a", 1).has_value());
  auto failed = finder.Add("b", 2);
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().Message(), testing::HasSubstr(Path("nowhere")));
}

TEST_F(RepeatFinderTest, RefusesMoreThanItsLimit) {
  RepeatFinder finder(folder_, 1, 1);
  for (std::size_t i = 0; i <= kMaxRuns; ++i) {
    ASSERT_TRUE(finder.Add(std::to_string(i), static_cast<std::int64_t>(i) + 1).has_value());
  }
  EXPECT_EQ(finder.Add("one more", 5'000).error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace ratchet::lake
