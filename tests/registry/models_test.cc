#include "registry/models.h"

#include "tests/registry/registry_fixture.h"

namespace ratchet::registry {
namespace {

class ModelsTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    MakePipeline();
    PushRows(10);
  }
  Result<Release> RollBack(std::optional<std::int64_t> to = {}) {
    return store_->Write([&](Db& db) { return Rollback(db, 8, "sorter", to, "tester", "it is bad"); });
  }
  std::string ShownState(std::int64_t version) {
    return store_->Read([&](Db& db) { return GetVersion(db, "sorter", version); })->shown_state;
  }
};

TEST_F(ModelsTest, ARunMakesOneVersionHoweverOftenItIsTakenIn) {
  registry::Run run = StartRunNow();
  VersionInput input{.model = "sorter", .metric = "accuracy", .run = run.id, .bundle = std::string(64, 'b'),
                     .manifest = Json::object(), .recipe = "r", .dataset = "parcels", .dataset_version = 1};
  auto first = store_->Write([&](Db& db) { return CreateVersion(db, 1, input); });
  auto second = store_->Write([&](Db& db) { return CreateVersion(db, 2, input); });
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(second->version, 1);
}

TEST_F(ModelsTest, PromotionMovesLiveAndPreviousAndTheEpoch) {
  MakeVersion("better");
  MakeVersion("better");
  ASSERT_TRUE(Promote(1));
  std::int64_t epoch = ReadModel().epoch;
  auto release = Promote(2);
  ASSERT_TRUE(release) << release.error().Message();
  EXPECT_EQ(release->from, 1);
  EXPECT_EQ(release->state, ReleaseState::kDone);
  EXPECT_EQ(ReadModel().live, 2);
  EXPECT_EQ(ReadModel().previous, 1);
  EXPECT_GT(ReadModel().epoch, epoch);
  EXPECT_EQ(ShownState(1), "previous");
  EXPECT_EQ(ShownState(2), "live");
}

TEST_F(ModelsTest, OnlyForceReleasesWhatTheGateRefused) {
  MakeVersion("not_better");
  auto refused = Promote(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_FALSE(ReadModel().live);
  auto forced = Promote(1, ReleaseKind::kForce);
  ASSERT_TRUE(forced) << forced.error().Message();
  EXPECT_EQ(forced->kind, "force");
  EXPECT_EQ(ReadModel().live, 1);
}

TEST_F(ModelsTest, HavingBeenLiveByForceProvesNothing) {
  MakeVersion("better");
  MakeVersion("better");
  MakeVersion("not_better");
  ASSERT_TRUE(Promote(1));
  ASSERT_TRUE(Promote(2));
  ASSERT_TRUE(Promote(3, ReleaseKind::kForce));
  ASSERT_TRUE(RollBack());
  EXPECT_EQ(ReadModel().live, 2);
  auto forward = RollBack();
  ASSERT_FALSE(forward);
  EXPECT_NE(forward.error().hint.find("--force"), std::string::npos);
  auto older = RollBack(1);
  ASSERT_TRUE(older);
  ASSERT_TRUE(store_->Write([&](Db& db) { return CommitRelease(db, 9, older->id); }));
  EXPECT_FALSE(Promote(3)) << "nor is it promoted without force";
  ASSERT_TRUE(Promote(3, ReleaseKind::kForce));
  ASSERT_TRUE(Promote(2));
  EXPECT_TRUE(RollBack()) << "back to what was live before stays one command";
  EXPECT_EQ(ReadModel().live, 3);
}

TEST_F(ModelsTest, OneReleaseAtATime) {
  MakeVersion("better");
  MakeVersion("better");
  auto begin = [&](std::int64_t version) {
    return store_->Write([&](Db& db) { return BeginRelease(db, 9, {.model = "sorter", .to = version, .actor = "t"}); });
  };
  ASSERT_TRUE(begin(1));
  EXPECT_FALSE(begin(2));
}

TEST_F(ModelsTest, RollbackGoesBackAndForwardAgainAtOnce) {
  MakeVersion("better");
  MakeVersion("better");
  ASSERT_TRUE(Promote(1));
  ASSERT_TRUE(Promote(2));
  auto back = RollBack();
  ASSERT_TRUE(back) << back.error().Message();
  EXPECT_EQ(back->state, ReleaseState::kDone);
  EXPECT_EQ(back->from, 2);
  EXPECT_EQ(ReadModel().live, 1);
  ASSERT_TRUE(RollBack());
  EXPECT_EQ(ReadModel().live, 2);
}

TEST_F(ModelsTest, RollbackToAnOlderVersionLoadsItFirst) {
  for (int i = 0; i < 3; ++i) MakeVersion("better");
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Promote(i));
  auto back = RollBack(1);
  ASSERT_TRUE(back) << back.error().Message();
  EXPECT_EQ(back->state, ReleaseState::kLoading);
  EXPECT_EQ(ReadModel().live, 3);
  EXPECT_EQ(ReadModel().loading, 1);
  ASSERT_TRUE(store_->Write([&](Db& db) { return CommitRelease(db, 9, back->id); }));
  EXPECT_EQ(ReadModel().live, 1);
}

TEST_F(ModelsTest, RollbackAbortsAReleaseUnderWay) {
  for (int i = 0; i < 3; ++i) MakeVersion("better");
  ASSERT_TRUE(Promote(1));
  ASSERT_TRUE(Promote(2));
  JudgedNow(3);
  auto loading = store_->Write([](Db& db) { return BeginRelease(db, 9, {.model = "sorter", .to = 3, .actor = "t"}); });
  ASSERT_TRUE(loading);
  ASSERT_TRUE(RollBack());
  EXPECT_EQ(ReadModel().live, 1);
  EXPECT_FALSE(ReadModel().loading);
  auto committed = store_->Write([&](Db& db) { return CommitRelease(db, 10, loading->id); });
  EXPECT_FALSE(committed);
  EXPECT_EQ(ReadModel().live, 1);
}

TEST_F(ModelsTest, RollbackNeedsAVersionThatServed) {
  MakeVersion("better");
  MakeVersion("better");
  EXPECT_FALSE(RollBack()) << "nothing is live";
  ASSERT_TRUE(Promote(1));
  EXPECT_FALSE(RollBack()) << "nothing was live before";
  EXPECT_FALSE(RollBack(2)) << "it never served";
  EXPECT_EQ(ReadModel().live, 1);
}

TEST_F(ModelsTest, RouteRevisionGrowsWithEveryChange) {
  MakeVersion("better");
  MakeVersion("better");
  auto revision = [&] { return store_->Read([](Db& db) -> Result<std::int64_t> { return RouteRevision(db); }).value(); };
  std::int64_t before = revision();
  ASSERT_TRUE(Promote(1));
  EXPECT_GT(revision(), before);
  before = revision();
  ASSERT_TRUE(Promote(2));
  ASSERT_TRUE(RollBack());
  EXPECT_GT(revision(), before + 2);
  auto table = store_->Read([](Db& db) -> Result<RouteTable> { return Routes(db); });
  ASSERT_EQ(table->routes.size(), 1u);
  EXPECT_EQ(table->routes[0].live->version, 1);
  EXPECT_EQ(table->routes[0].previous->version, 2);
}

}  // namespace
}  // namespace ratchet::registry
