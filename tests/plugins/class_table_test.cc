#include "plugins/sdk/class_table.h"

#include <gmock/gmock.h>

namespace ratchet::sdk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const lake::Column kNumbers{"label", lake::ColumnType::kInteger, {}};
const lake::Column kTexts{"label", lake::ColumnType::kText, {}};

TEST(ClassTable, SortsIntegersByValue) {
  const lake::ColumnBatch targets{.missing = {0, 0, 1, 0, 0}, .integers = {10, 9, 0, -1, 10}};
  const ClassTable table = ClassTable::FromTargets(kNumbers, targets).value();
  EXPECT_EQ(table.Json(), nlohmann::json({-1, 9, 10}));
  EXPECT_THAT(table.IndexesOf(targets), ElementsAre(2, 1, -1, 0, 2));
}

TEST(ClassTable, SortsTextsByBytesAndPassesOverEmptyOnes) {
  const lake::ColumnBatch targets{.missing = {0, 0, 0, 0}, .texts = {"b", "", "Z", "10"}};
  const ClassTable table = ClassTable::FromTargets(kTexts, targets).value();
  EXPECT_EQ(table.Json(), nlohmann::json({"10", "Z", "b"}));
  EXPECT_THAT(table.IndexesOf(targets), ElementsAre(2, -1, 1, 0));
}

TEST(ClassTable, GivesMinusOneForAValueItHasNotSeen) {
  const ClassTable table = ClassTable::FromTargets(kNumbers, {.missing = {0, 0}, .integers = {1, 2}}).value();
  EXPECT_THAT(table.IndexesOf({.missing = {0}, .integers = {3}}), ElementsAre(-1));
}

TEST(ClassTable, RefusesATargetThatIsNoClass) {
  const lake::Column reals{"price", lake::ColumnType::kReal, {}};
  EXPECT_THAT(ClassTable::FromTargets(reals, {.missing = {0}, .reals = {1.5}}).error().Message(),
              HasSubstr("type is real"));
  EXPECT_THAT(ClassTable::FromTargets(kNumbers, {.missing = {0, 0}, .integers = {1, 1}}).error().Message(),
              HasSubstr("hold 1 class(es)"));
  lake::ColumnBatch keys;
  for (std::int64_t i = 0; i <= static_cast<std::int64_t>(kMaxClasses); ++i) {
    keys.missing.push_back(0);
    keys.integers.push_back(i);
  }
  const auto failure = ClassTable::FromTargets(kNumbers, keys);
  ASSERT_FALSE(failure.has_value());
  EXPECT_EQ(failure.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(failure.error().field, "data.target");
}

}  // namespace
}  // namespace ratchet::sdk
