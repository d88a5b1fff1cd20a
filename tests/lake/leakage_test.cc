#include "lake/leakage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lake/lake_fixture.h"

// Sealed rows that training has seen under another key.
namespace ratchet::lake {
namespace {

const Schema kTable{{{"id", ColumnType::kText, {}}, {"size", ColumnType::kReal, {}}, {"shop", ColumnType::kText, {}}, {"label", ColumnType::kInteger, {}}}};

class LeakageTest : public LakeTest {
 protected:
  Leaks Find(LeakQuestion question) {
    auto found = FindLeaks(question);
    EXPECT_TRUE(found.has_value()) << found.error().Message();
    return found.value_or(Leaks{});
  }
  Leaks FindIn(const Schema& schema, const std::vector<Row>& train, const std::vector<Row>& holdout, std::vector<std::string> columns) {
    return Find({.train = {WritePack("train" + std::to_string(packs_), schema, train)},
                 .holdout = {WritePack("holdout" + std::to_string(packs_++), schema, holdout)},
                 .columns = std::move(columns),
                 .key = "id"});
  }

 private:
  int packs_ = 0;
};

TEST_F(LeakageTest, FindsRowsWithTheSameInputsUnderAnotherKey) {
  const Leaks leaks = FindIn(kTable, {{"t1", 1.5, "a", std::int64_t{0}}, {"t2", 2.5, "b", std::int64_t{1}}, {"t3", 3.5, "c", std::int64_t{1}}},
                             {{"h1", 9.0, "a", std::int64_t{0}}, {"h2", 2.5, "b", std::int64_t{0}}, {"h3", 3.5, "b", std::int64_t{1}}}, {"size", "shop"});
  EXPECT_EQ(leaks.equal.rows, 1);
  EXPECT_EQ(leaks.equal.marks, (std::vector<std::uint8_t>{0, 1, 0}));
  ASSERT_EQ(leaks.equal.pairs.size(), 1u);
  EXPECT_EQ(leaks.equal.pairs[0].holdout, "h2");
  EXPECT_EQ(leaks.equal.pairs[0].training, "t2");
  EXPECT_EQ(leaks.holdout_rows, 3);
  EXPECT_EQ(leaks.training_rows, 3);
  EXPECT_FALSE(leaks.telling);
  EXPECT_EQ(leaks.near_by, "");
}

TEST_F(LeakageTest, ComparesNumbersByValueAndKeepsColumnsApart) {
  const Schema schema{{{"id", ColumnType::kText, {}}, {"a", ColumnType::kText, {}}, {"b", ColumnType::kText, {}}, {"n", ColumnType::kReal, {}}}};
  const Leaks leaks = FindIn(schema, {{"t1", "xy", "z", 0.0}, {"t2", "p", kMissing, 7.0}},
                             {{"h1", "x", "yz", 0.0}, {"h2", "xy", "z", -0.0}, {"h3", "p", "", 7.0}, {"h4", "p", kMissing, std::nan("")}},
                             {"a", "b", "n"});
  EXPECT_EQ(leaks.equal.marks, (std::vector<std::uint8_t>{0, 1, 0, 0}));
}

TEST_F(LeakageTest, TakesNoTwoRowsWithoutAnyValueForEqual) {
  const Leaks leaks = FindIn(kTable, {{"t1", kMissing, kMissing, std::int64_t{0}}}, {{"h1", kMissing, kMissing, std::int64_t{1}}}, {"size", "shop"});
  EXPECT_EQ(leaks.equal.rows, 0);
}

TEST_F(LeakageTest, TellsHowOftenTrainingRepeatsItself) {
  std::vector<Row> train, holdout;
  for (int i = 0; i < 1'000; ++i) train.push_back({"t", double(i % 50), "a", std::int64_t{0}});
  for (int i = 0; i < 100; ++i) holdout.push_back({"h", double(i % 50), "a", std::int64_t{0}});
  const Leaks leaks = FindIn(kTable, train, holdout, {"size", "shop"});
  EXPECT_EQ(leaks.equal.rows, 100);
  EXPECT_NEAR(leaks.training_repeats, 0.95, 1e-12);
  EXPECT_EQ(leaks.equal.pairs.size(), kLeakPairsTold);
}

TEST_F(LeakageTest, EstimatesRepeatsOfMoreRowsThanItKeeps) {
  std::vector<Row> train;
  for (int i = 0; i < 200'000; ++i) train.push_back({"t", double(i % 150'000), "a", std::int64_t{0}});
  const Leaks leaks = FindIn(kTable, train, {{"h", -1.0, "a", std::int64_t{0}}}, {"size", "shop"});
  EXPECT_NEAR(leaks.training_repeats, 0.25, 0.01);
}

TEST_F(LeakageTest, NamesRowsByTheirNumberWhereThereIsNoKey) {
  const auto train = WritePack("train", kTable, {{"t1", 1.0, "a", std::int64_t{0}}, {"t2", 2.0, "b", std::int64_t{0}}});
  const auto first = WritePack("first", kTable, {{"h1", 9.0, "z", std::int64_t{0}}});
  const auto second = WritePack("second", kTable, {{"h2", 2.0, "b", std::int64_t{0}}});
  const Leaks leaks = Find({.train = {train}, .holdout = {first, second}, .columns = {"size", "shop"}, .key = ""});
  ASSERT_EQ(leaks.equal.pairs.size(), 1u);
  EXPECT_EQ(leaks.equal.pairs[0].holdout, "row 2");
  EXPECT_EQ(leaks.equal.pairs[0].training, "row 2");
  EXPECT_EQ(leaks.equal.marks, (std::vector<std::uint8_t>{0, 1}));
}

TEST_F(LeakageTest, CutsLongKeysBetweenCharacters) {
  std::string key(79, 'k');
  key += "é and more";
  const Leaks leaks = FindIn(kTable, {{key, 1.0, "a", std::int64_t{0}}}, {{key + "h", 1.0, "a", std::int64_t{0}}}, {"size", "shop"});
  ASSERT_EQ(leaks.equal.pairs.size(), 1u);
  EXPECT_EQ(leaks.equal.pairs[0].training, std::string(79, 'k'));
}

Value Picture(int seed, int brightness) {
  std::string pixels;
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 20; ++x)
      pixels += static_cast<char>(static_cast<unsigned char>((brightness * (x * (seed % 7 + 1) * 3 + y * (seed / 7 + 2) * 5 + (x * y * seed) % 97)) % 200 / 2 + 20));
  return pixels;
}

const Schema kPhotos{{{"id", ColumnType::kText, {}}, {"image", ColumnType::kBlob, {1, 20, 20}}, {"label", ColumnType::kInteger, {}}}};

TEST_F(LeakageTest, FindsPicturesThatAreNearlyThoseOfTraining) {
  std::string near = std::get<std::string>(Picture(11, 1));
  for (std::size_t i = 0; i < near.size(); i += 50) near[i] = static_cast<char>(near[i] + 2);
  const Leaks leaks = FindIn(kPhotos, {{"t1", Picture(11, 1), std::int64_t{0}}, {"t2", Picture(40, 1), std::int64_t{1}}},
                             {{"h1", near, std::int64_t{0}}, {"h2", Picture(40, 1), std::int64_t{1}}, {"h3", Picture(25, 1), std::int64_t{1}}}, {"image"});
  EXPECT_TRUE(leaks.telling);
  EXPECT_EQ(leaks.near_by, "image");
  EXPECT_EQ(leaks.near_compared, 3);
  EXPECT_EQ(leaks.equal.marks, (std::vector<std::uint8_t>{0, 1, 0}));
  EXPECT_EQ(leaks.near.marks, (std::vector<std::uint8_t>{1, 0, 0}));
  ASSERT_EQ(leaks.near.pairs.size(), 1u);
  EXPECT_EQ(leaks.near.pairs[0].holdout, "h1");
  EXPECT_EQ(leaks.near.pairs[0].training, "t1");
}

const Schema kTickets{{{"id", ColumnType::kInteger, {}}, {"text", ColumnType::kText, {}}, {"shop", ColumnType::kText, {}}}};

TEST_F(LeakageTest, FindsTextsThatAreNearlyThoseOfTraining) {
  const std::string text = "the parcel came three days late and the box was wet on one side so that the lamp in it did not work any more "
                           "when we tried it in the evening and nobody at the shop wanted to hear of it";
  const Leaks leaks = FindIn(kTickets, {{std::int64_t{1}, text, "a"}, {std::int64_t{2}, "my order has not come yet and the page says that it is still in the store", "b"}},
                             {{std::int64_t{3}, text + " today", "z"}, {std::int64_t{4}, "where can i see what i have paid for the two lamps that came last week", "b"}},
                             {"text", "shop"});
  EXPECT_EQ(leaks.near_by, "text");
  EXPECT_TRUE(leaks.telling);
  EXPECT_EQ(leaks.equal.rows, 0);
  EXPECT_EQ(leaks.near.marks, (std::vector<std::uint8_t>{1, 0}));
  EXPECT_EQ(leaks.near.pairs.at(0).holdout, "3");
}

TEST_F(LeakageTest, DoesNotLookForNearRowsUnlessAsked) {
  const auto train = WritePack("train", kPhotos, {{"t1", Picture(11, 1), std::int64_t{0}}});
  const auto holdout = WritePack("holdout", kPhotos, {{"h1", Picture(11, 1), std::int64_t{0}}});
  const Leaks leaks = Find({.train = {train}, .holdout = {holdout}, .columns = {"image"}, .key = "id", .near = false});
  EXPECT_EQ(leaks.equal.rows, 1);
  EXPECT_EQ(leaks.near_compared, 0);
  EXPECT_EQ(leaks.near_by, "");
}

TEST_F(LeakageTest, RefusesColumnsThatThePacksLack) {
  const auto holdout = WritePack("holdout", kTable, {{"h1", 1.0, "a", std::int64_t{0}}});
  const auto found = FindLeaks({.train = {holdout}, .holdout = {holdout}, .columns = {"weight"}, .key = "id"});
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(found.error().Message(), testing::HasSubstr("weight"));
}

}  // namespace
}  // namespace ratchet::lake
