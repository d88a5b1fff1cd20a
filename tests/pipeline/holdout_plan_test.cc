#include "pipeline/holdout_plan.h"

#include <gtest/gtest.h>

namespace ratchet::pipeline {
namespace {

using registry::HoldoutEpoch;

TEST(HoldoutPlan, CountsSealedRowsOfAManifestByTheirPush) {
  lake::Manifest manifest{.dataset = "d", .version = 3, .schema = {{{"id", lake::ColumnType::kText, {}}}}, .split = {.key = "id"}, .segments = {}};
  const std::string digest(64, 'a');
  for (const auto& [split, rows, push] : {std::tuple{lake::Split::kHoldout, 5, 1}, {lake::Split::kTrain, 7, 1}, {lake::Split::kHoldout, 2, 3},
                                          {lake::Split::kHoldout, 4, 3}})
    manifest.segments.push_back({.split = split, .sha256 = digest, .rows = rows, .bytes = 1, .push = push});
  const HoldoutRows wanted{{1, 5}, {3, 6}};
  EXPECT_EQ(HoldoutRowsOf(manifest), wanted);
  EXPECT_EQ(HoldoutRowsOf(nlohmann::json::parse(lake::ManifestToJson(manifest))), wanted);
}

TEST(HoldoutPlan, FirstCandidateIsJudgedOnAllThereIs) {
  const HoldoutEpoch first = NextEpoch(std::nullopt, {{1, 100}, {3, 50}}, 1000);
  EXPECT_EQ(first.number, 1);
  EXPECT_EQ(first.after_push, 0);
  EXPECT_EQ(first.until_push, 3);
  EXPECT_EQ(first.rows, 150);
  EXPECT_EQ(NextEpoch(std::nullopt, {}, 1000).rows, 0);
}

TEST(HoldoutPlan, AnEpochKeepsItsRowsFromItsFirstLookOn) {
  const HoldoutEpoch unseen{.number = 1, .until_push = 1, .rows = 100};
  EXPECT_EQ(NextEpoch(unseen, {{1, 100}, {2, 10}}, 1000).until_push, 2) << "nobody has looked";
  HoldoutEpoch seen = unseen;
  seen.looks = 3;
  const HoldoutEpoch same = NextEpoch(seen, {{1, 100}, {2, 999}}, 1000);
  EXPECT_EQ(same.number, 1);
  EXPECT_EQ(same.until_push, 1);
  EXPECT_EQ(same.rows, 100);
  EXPECT_EQ(same.looks, 3);
}

TEST(HoldoutPlan, FreshRowsOpenAnEpochOfTheirOwn) {
  const HoldoutEpoch seen{.number = 4, .after_push = 2, .until_push = 5, .rows = 700, .looks = 9, .alpha_spent = 0.04};
  const HoldoutEpoch next = NextEpoch(seen, {{1, 1}, {4, 700}, {6, 600}, {8, 400}}, 1000);
  EXPECT_EQ(next.number, 5);
  EXPECT_EQ(next.after_push, 5);
  EXPECT_EQ(next.until_push, 8);
  EXPECT_EQ(next.rows, 1000);
  EXPECT_EQ(next.looks, 0);
  EXPECT_EQ(next.alpha_spent, 0);
}

TEST(HoldoutPlan, ARunOnOlderDataDoesNotTakeRowsAway) {
  const HoldoutEpoch current{.number = 2, .after_push = 3, .until_push = 5, .rows = 80};
  const HoldoutEpoch same = NextEpoch(current, {{1, 10}, {4, 40}, {5, 40}}, 10);
  EXPECT_EQ(same.number, 2);
  EXPECT_EQ(same.until_push, 5);
  EXPECT_EQ(same.rows, 80);
}

}  // namespace
}  // namespace ratchet::pipeline
