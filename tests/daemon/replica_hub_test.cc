#include "daemon/replica_hub.h"

#include <gtest/gtest.h>

namespace ratchet::daemon {
namespace {

using Kind = pipeline::LoadState::Kind;

std::map<std::string, ReplicaModel> Holding(std::int64_t epoch, std::set<std::int64_t> ready) {
  return {{"toys", {.epoch = epoch, .ready = std::move(ready), .failed = {}}}};
}

TEST(ReplicaHub, WaitsForEveryAttachedReplica) {
  ManualClock clock;
  ReplicaHub hub(clock);
  EXPECT_TRUE(hub.WaitForEpoch("toys", 4, 0)) << "nobody serves, nobody is waited for";
  ASSERT_TRUE(hub.Report("a", Holding(4, {1})));
  auto report = hub.Report("b", Holding(3, {1}));
  ASSERT_TRUE(report);
  const Status behind = hub.WaitForEpoch("toys", 4, 1);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(behind.error().subject, "b");
  hub.Detach("b", *report);
  EXPECT_TRUE(hub.WaitForEpoch("toys", 4, 0));
}

TEST(ReplicaHub, ForgetsSilentReplicas) {
  ManualClock clock;
  ReplicaHub hub(clock);
  ASSERT_TRUE(hub.Report("a", {}));
  clock.AdvanceUs(kReplicaSilenceUs);
  EXPECT_EQ(hub.List().size(), 1u);
  clock.AdvanceUs(1);
  EXPECT_TRUE(hub.List().empty());
}

TEST(ReplicaHub, TellsWhetherAVersionIsLoadedEverywhere) {
  ManualClock clock;
  ReplicaHub hub(clock);
  EXPECT_EQ(hub.Loaded("toys", 2).kind, Kind::kNoReplica);
  ASSERT_TRUE(hub.Report("a", Holding(1, {1, 2})));
  EXPECT_EQ(hub.Loaded("toys", 2).kind, Kind::kReady);
  ASSERT_TRUE(hub.Report("b", Holding(1, {1})));
  EXPECT_EQ(hub.Loaded("toys", 2).kind, Kind::kLoading);
  auto failing = Holding(1, {1});
  failing["toys"].failed[2] = "no such operator";
  ASSERT_TRUE(hub.Report("b", failing));
  EXPECT_EQ(hub.Loaded("toys", 2).kind, Kind::kFailed);
  EXPECT_EQ(hub.Loaded("toys", 2).cause, "replica b: no such operator");
}

TEST(ReplicaHub, TellsWhatReplicasKeepInQuarantine) {
  ManualClock clock;
  ReplicaHub hub(clock);
  auto failing = Holding(1, {1});
  failing["toys"].failed = {{2, "no such operator"}, {3, "quarantined: signal 11"}};
  ASSERT_TRUE(hub.Report("a", failing));
  const auto found = hub.Quarantined();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].model, "toys");
  EXPECT_EQ(found[0].version, 3);
  EXPECT_EQ(found[0].why, "replica a: quarantined: signal 11");
}

TEST(ReplicaHub, RefusesReplicasWithoutEnd) {
  ManualClock clock;
  ReplicaHub hub(clock);
  for (size_t i = 0; i < kMaxReplicas; ++i) ASSERT_TRUE(hub.Report(std::to_string(i), {}));
  EXPECT_FALSE(hub.Report("one more", {}));
  EXPECT_TRUE(hub.Report("0", {}));
}

TEST(ReplicaHub, ABrokenConnectionDoesNotDetachANewerReport) {
  ManualClock clock;
  ReplicaHub hub(clock);
  auto broken = hub.Report("a", Holding(3, {1}));
  ASSERT_TRUE(hub.Report("a", Holding(3, {1})));
  hub.Detach("a", *broken);
  EXPECT_FALSE(hub.Confirmed("toys", 4)) << "it is attached, and behind";
}

TEST(ReplicaHub, ConfirmsNothingBeforeAnExpectedReplicaIsThere) {
  ManualClock clock;
  ReplicaHub hub(clock);
  EXPECT_TRUE(hub.Confirmed("toys", 1));
  hub.ExpectReplica();
  EXPECT_FALSE(hub.Confirmed("toys", 1));
  EXPECT_FALSE(hub.WaitForEpoch("toys", 1, 10));
  ASSERT_TRUE(hub.Report("a", Holding(1, {1})));
  EXPECT_TRUE(hub.Confirmed("toys", 1));
}

}  // namespace
}  // namespace ratchet::daemon
