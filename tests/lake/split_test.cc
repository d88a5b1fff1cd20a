#include "lake/split.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/digest.h"

namespace ratchet::lake {
namespace {

std::string KeyText(const Cell& cell) {
  std::string text;
  AppendKeyText(cell, text);
  return text;
}

TEST(Split, FollowsTheHashAsAFractionOfTheRange) {
  const SplitPolicy policy{.validation = 0.25, .holdout = 0.5, .key = std::nullopt};
  EXPECT_EQ(SplitOfHash(0, policy), Split::kHoldout);
  EXPECT_EQ(SplitOfHash((1ull << 63) - 2048, policy), Split::kHoldout);
  EXPECT_EQ(SplitOfHash(1ull << 63, policy), Split::kValidation);
  EXPECT_EQ(SplitOfHash((3ull << 62) - 2048, policy), Split::kValidation);
  EXPECT_EQ(SplitOfHash(3ull << 62, policy), Split::kTrain);
  EXPECT_EQ(SplitOfHash(~0ull, policy), Split::kTrain);
}

TEST(Split, GivesNothingToASplitOfSizeZero) {
  const SplitPolicy policy{.validation = 0, .holdout = 0, .key = std::nullopt};
  EXPECT_EQ(SplitOfHash(0, policy), Split::kTrain);
}

TEST(Split, WritesKeyTextAsTheFormatsPageSays) {
  EXPECT_EQ(KeyText(std::monostate{}), "");
  EXPECT_EQ(KeyText(std::int64_t{-42}), "-42");
  EXPECT_EQ(KeyText(0.1), "0.1");
  EXPECT_EQ(KeyText(3.0), "3");
  EXPECT_EQ(KeyText(-0.0), "0");
  EXPECT_EQ(KeyText(1e300), "1e+300");
  EXPECT_EQ(KeyText(std::nan("")), "");
  EXPECT_EQ(KeyText(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

// The hash of the formats page, computed here from its words and not by the code under test.
Split ByTheBook(const std::string& key_text, const SplitPolicy& policy) {
  const std::string hex = Sha256Hex(std::string("ratchet-split-1\0", 16) + key_text);
  const double fraction = static_cast<double>(std::stoull(hex.substr(0, 16), nullptr, 16)) / std::pow(2.0, 64);
  return fraction < policy.holdout                       ? Split::kHoldout
         : fraction < policy.holdout + policy.validation ? Split::kValidation
                                                         : Split::kTrain;
}

TEST(Splitter, HashesTheKeyColumnOrTheWholeRow) {
  const Schema schema{{{"id", ColumnType::kInteger}, {"name", ColumnType::kText}}};
  const SplitPolicy keyed{.validation = 0.3, .holdout = 0.3, .key = "id"};
  const SplitPolicy whole{.validation = 0.3, .holdout = 0.3, .key = std::nullopt};
  Splitter by_key(keyed, schema), by_row(whole, schema);
  for (std::int64_t i = 0; i < 200; ++i) {
    const std::array<Cell, 2> row{i, std::string_view("n")};
    EXPECT_EQ(by_key.Of(row), ByTheBook(std::to_string(i), keyed));
    EXPECT_EQ(by_row.Of(row), ByTheBook(std::to_string(i) + "\x1fn", whole));
  }
}

TEST(Splitter, KeepsAKnownRowWhereItHasAlwaysBeen) {
  // A frozen answer: it must never change, for rows of datasets long written depend on it.
  const Schema schema{{{"id", ColumnType::kText}}};
  Splitter splitter({.validation = 0.1, .holdout = 0.2, .key = "id"}, schema);
  std::string letters;
  for (const char* key : {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13"}) {
    letters += SplitName(splitter.Of(std::array<Cell, 1>{std::string_view(key)}))[0];
  }
  EXPECT_EQ(letters, "tttttttththttv");
}

TEST(Splitter, DealsOutTheProportionsWithinBinomialBounds) {
  const Schema schema{{{"id", ColumnType::kInteger}}};
  const SplitPolicy policy{.validation = 0.1, .holdout = 0.2, .key = "id"};
  Splitter splitter(policy, schema);
  constexpr std::int64_t kRows = 50'000;
  std::array<double, 3> counts{};
  for (std::int64_t i = 0; i < kRows; ++i) ++counts[static_cast<std::size_t>(splitter.Of(std::array<Cell, 1>{i}))];
  const std::array<double, 3> expected{0.7, 0.1, 0.2};
  for (std::size_t s = 0; s < 3; ++s) {
    const double deviation = std::sqrt(kRows * expected[s] * (1 - expected[s]));
    EXPECT_NEAR(counts[s], kRows * expected[s], 5 * deviation) << s;
  }
}

TEST(Splitter, LandsEqualRowsTogether) {
  const Schema schema{{{"x", ColumnType::kReal}, {"y", ColumnType::kText}}};
  Splitter splitter({.validation = 0.3, .holdout = 0.3, .key = std::nullopt}, schema);
  for (int i = 0; i < 100; ++i) {
    const std::string text = "t" + std::to_string(i);
    const Split first = splitter.Of(std::array<Cell, 2>{0.0, std::string_view(text)});
    EXPECT_EQ(splitter.Of(std::array<Cell, 2>{-0.0, std::string_view(text)}), first);
  }
}

TEST(SplitPolicy, RefusesFractionsThatLeaveNothingToTrainOn) {
  auto check = [](double validation, double holdout) {
    return CheckSplitPolicy({.validation = validation, .holdout = holdout, .key = std::nullopt}).has_value();
  };
  EXPECT_TRUE(check(0.1, 0.2));
  EXPECT_TRUE(check(0, 0));
  EXPECT_FALSE(check(0.5, 0.5));
  EXPECT_FALSE(check(-0.1, 0.2));
  EXPECT_FALSE(check(0.1, 1));
  EXPECT_FALSE(check(std::nan(""), 0.2));
}

TEST(SplitPolicy, SuggestsTheColumnThatWasMeant) {
  const Schema schema{{{"parcel_id"}, {"label"}}};
  EXPECT_TRUE(CheckSplitKey({.key = "label"}, schema).has_value());
  auto refused = CheckSplitKey({.key = "parcel_ids"}, schema);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().field, "split.key");
  EXPECT_NE(refused.error().hint.find("parcel_id"), std::string::npos);
}

TEST(Split, HasNames) {
  for (Split split : {Split::kTrain, Split::kValidation, Split::kHoldout}) {
    EXPECT_EQ(SplitFromName(SplitName(split)), split);
  }
  EXPECT_FALSE(SplitFromName("test").has_value());
}

}  // namespace
}  // namespace ratchet::lake
