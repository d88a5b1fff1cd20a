#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/holdout_plan.h"

// Which sealed rows are worn out, and what becomes of an epoch whose rows are retired.
namespace ratchet::pipeline {
namespace {

using registry::HoldoutEpoch;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

HoldoutEpoch Epoch(const std::string& model, std::int64_t number, std::int64_t after, std::int64_t until, std::int64_t looks) {
  return {.dataset = "d", .model = model, .number = number, .after_push = after, .until_push = until, .rows = 1, .looks = looks};
}

const HoldoutRows kRows{{1, 100}, {2, 200}, {3, 300}, {4, 400}};

TEST(RotationPlan, RetiresTheRowsOfClosedEpochs) {
  const auto plan = PlanRotation({Epoch("m", 2, 2, 4, 3)}, kRows, {.dataset = "d", .model = {}});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->until_push, 2);
  EXPECT_EQ(plan->rows, 300);
  EXPECT_TRUE(plan->losing.empty());
}

TEST(RotationPlan, KeepsWhatAnyModelIsStillJudgedOn) {
  const std::vector<HoldoutEpoch> epochs{Epoch("a", 3, 3, 4, 1), Epoch("b", 1, 1, 4, 5)};
  EXPECT_EQ(PlanRotation(epochs, kRows, {.dataset = "d", .model = {}})->until_push, 1);
  const auto of_a = PlanRotation(epochs, kRows, {.dataset = "d", .model = "a"});
  ASSERT_FALSE(of_a);
  EXPECT_EQ(of_a.error().code, ErrorCode::kConflict);
  EXPECT_THAT(of_a.error().Message(), HasSubstr("candidates of b"));
  const auto forced = PlanRotation(epochs, kRows, {.dataset = "d", .model = "a", .force = true});
  ASSERT_TRUE(forced);
  EXPECT_EQ(forced->until_push, 3);
  EXPECT_THAT(forced->losing, ElementsAre("b"));
  EXPECT_EQ(PlanRotation(epochs, kRows, {.dataset = "d", .model = {}, .force = true})->until_push, 3);
}

TEST(RotationPlan, TakesTheCurrentEpochOnlyWhenAskedAndLookedAt) {
  const auto none = PlanRotation({Epoch("m", 1, 0, 4, 2)}, kRows, {.dataset = "d", .model = {}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().hint, HasSubstr("--current"));
  const auto current = PlanRotation({Epoch("m", 1, 0, 3, 2)}, kRows, {.dataset = "d", .model = {}, .current = true});
  ASSERT_TRUE(current);
  EXPECT_EQ(current->until_push, 3);
  EXPECT_EQ(current->rows, 600);
  EXPECT_THAT(current->losing, ElementsAre("m"));
  EXPECT_FALSE(PlanRotation({Epoch("m", 1, 0, 3, 0)}, kRows, {.dataset = "d", .model = {}, .current = true})) << "nobody has looked yet";
}

TEST(RotationPlan, RefusesWhatCannotBe) {
  EXPECT_EQ(PlanRotation({}, kRows, {.dataset = "d", .model = {}}).error().code, ErrorCode::kConflict);
  EXPECT_EQ(PlanRotation({Epoch("m", 2, 2, 4, 1)}, kRows, {.dataset = "d", .model = "x"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(PlanRotation({Epoch("m", 2, 2, 4, 1)}, {{3, 300}}, {.dataset = "d", .model = {}}).error().code, ErrorCode::kConflict);
}

TEST(RotationPlan, DoesNotRetireTwiceNorWhatStayedSealedWithItsTwin) {
  EXPECT_FALSE(PlanRotation({Epoch("m", 2, 2, 4, 1)}, {{1, 5}, {3, 300}}, {.dataset = "d", .model = {}, .retired_until = 2}));
  const auto next = PlanRotation({Epoch("m", 3, 3, 4, 1)}, {{1, 5}, {3, 300}, {4, 400}}, {.dataset = "d", .model = {}, .retired_until = 2});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->rows, 300);
}

TEST(HoldoutPlanAfterARotation, LeavesAnEpochAloneWhoseRowsAreThere) {
  const HoldoutEpoch current = Epoch("m", 2, 2, 4, 3);
  const HoldoutEpoch next = NextEpoch(current, {{3, 300}, {4, 400}}, 1'000, 2);
  EXPECT_EQ(next.number, 2);
  EXPECT_EQ(next.after_push, 2);
  EXPECT_EQ(next.looks, 3);
}

TEST(HoldoutPlanAfterARotation, GoesOnWithTheRestAndItsLedger) {
  const HoldoutEpoch current = Epoch("m", 1, 0, 4, 3);
  const HoldoutEpoch next = NextEpoch(current, {{3, 300}, {4, 400}}, 1'000, 2);
  EXPECT_EQ(next.number, 1);
  EXPECT_EQ(next.after_push, 2);
  EXPECT_EQ(next.until_push, 4);
  EXPECT_EQ(next.rows, 700);
  EXPECT_EQ(next.looks, 3);
}

TEST(HoldoutPlanAfterARotation, OpensANewEpochWhereAllRowsAreGone) {
  const HoldoutEpoch current = Epoch("m", 1, 0, 4, 3);
  const HoldoutEpoch next = NextEpoch(current, {{6, 50}}, 1'000, 4);
  EXPECT_EQ(next.number, 2) << "however few the fresh ones are";
  EXPECT_EQ(next.after_push, 4);
  EXPECT_EQ(next.until_push, 6);
  EXPECT_EQ(next.rows, 50);
  EXPECT_EQ(next.looks, 0);
  EXPECT_EQ(NextEpoch(current, {}, 1'000, 4).rows, 0);
}

TEST(HoldoutPlanAfterARotation, NeverJudgesOnRowsThatStayedSealedWithTheirTwin) {
  const HoldoutEpoch first = NextEpoch(std::nullopt, {{1, 5}, {3, 300}}, 1'000, 2);
  EXPECT_EQ(first.after_push, 2);
  EXPECT_EQ(first.rows, 300);
}

}  // namespace
}  // namespace ratchet::pipeline
