// Decisions that a change of what is live has overtaken.
#include <gmock/gmock.h>

#include "registry/models.h"
#include "tests/registry/registry_fixture.h"

namespace ratchet::registry {
namespace {

using ::testing::HasSubstr;

class StaleTest : public RegistryTest {
 protected:
  // Versions 1 and 2 have been promoted, one after the other; 3 was judged against 2.
  void SetUp() override {
    RegistryTest::SetUp();
    MakePipeline();
    PushRows(10);
    for (int i = 0; i < 3; ++i) MakeVersion("better");
    ASSERT_TRUE(Promote(1));
    ASSERT_TRUE(Promote(2));
    JudgedNow(3);
    judged_ = Live();
  }
  LiveState Live() {
    return store_->Read([](Db& db) -> Result<LiveState> { return LiveStateOf(db, "sorter"); }).value_or(LiveState{});
  }
  Result<Release> Begin(ReleaseInput input) {
    input.model = "sorter";
    input.actor = "t";
    input.reason = "r";
    return store_->Write([&](Db& db) { return BeginRelease(db, 9, input); });
  }
  Result<Release> Commit(std::int64_t release) {
    return store_->Write([&](Db& db) { return CommitRelease(db, 10, release); });
  }
  Result<Release> RollBack() {
    return store_->Write([&](Db& db) { return Rollback(db, 8, "sorter", {}, "tester", "it is bad"); });
  }

  LiveState judged_;
};

TEST_F(StaleTest, WhatIsLiveIsAVersionAndTheRouteEpochSinceWhen) {
  EXPECT_EQ(judged_.version, 2);
  EXPECT_EQ(judged_.epoch, ReadModel().epoch);
  const LiveState none = store_->Read([](Db& db) -> Result<LiveState> { return LiveStateOf(db, "nobody"); }).value();
  EXPECT_FALSE(none.version);
  EXPECT_EQ(none.epoch, 0);
}

TEST_F(StaleTest, ALoadThatComesToNothingChangesNothingOfWhatIsLive) {
  const auto begun = Begin({.to = 3, .expected = judged_});
  ASSERT_TRUE(begun) << begun.error().Message();
  ASSERT_TRUE(store_->Write([&](Db& db) { return FailRelease(db, 9, begun->id, "no replica"); }));
  EXPECT_GT(ReadModel().epoch, judged_.epoch);
  EXPECT_TRUE(Same(Live(), judged_));
  EXPECT_TRUE(Begin({.to = 3, .expected = judged_}));
}

TEST_F(StaleTest, ADecisionAgainstAVersionThatIsNoLongerLiveIsNotApplied) {
  ASSERT_TRUE(RollBack());
  const auto stale = Begin({.to = 3, .expected = judged_});
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ErrorCode::kConflict);
  EXPECT_THAT(stale.error().cause, HasSubstr("judged against sorter@2, but sorter@1 is live now"));
  EXPECT_EQ(ReadModel().live, 1);
}

TEST_F(StaleTest, NorIsItWhereTheSameVersionIsLiveAgain) {
  ASSERT_TRUE(RollBack());
  ASSERT_TRUE(RollBack());
  ASSERT_EQ(ReadModel().live, 2);
  const auto stale = Begin({.to = 3, .expected = judged_});
  ASSERT_FALSE(stale);
  EXPECT_THAT(stale.error().cause, HasSubstr("another version has been live since then, and sorter@2 came back"));
}

TEST_F(StaleTest, APersonPromotesWhatWasJudgedAgainstTheLiveVersionOnlyOrByForce) {
  ASSERT_TRUE(RollBack());
  const auto refused = Begin({.to = 3});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().hint, HasSubstr("--force"));
  EXPECT_TRUE(Begin({.to = 3, .kind = ReleaseKind::kForce}));
}

TEST_F(StaleTest, ARollbackAbortsTheReleaseSoThatItsDecisionIsNotApplied) {
  const auto begun = Begin({.to = 3, .expected = judged_});
  ASSERT_TRUE(begun);
  ASSERT_TRUE(RollBack());
  EXPECT_FALSE(Commit(begun->id));
  EXPECT_EQ(ReadModel().live, 1);
}

// Cannot come about, since a rollback aborts what is under way; the commit checks it all the same.
TEST_F(StaleTest, ACommitComesTooLateWhenAnotherReleaseWasDoneSinceItBegan) {
  const auto begun = Begin({.to = 3, .expected = judged_});
  ASSERT_TRUE(begun);
  ASSERT_TRUE(RollBack());
  ASSERT_TRUE(RollBack());
  ASSERT_EQ(ReadModel().live, 2) << "as when it began";
  ASSERT_TRUE(store_->Write([&](Db& db) -> Status {
    db.Exec("UPDATE releases SET state = 'loading' WHERE id = ?", begun->id);
    return {};
  }));
  const auto late = Commit(begun->id);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kConflict);
  EXPECT_EQ(ReadModel().live, 2);
}

TEST_F(StaleTest, ARunIsSentBackToItsTestAndSaysWhy) {
  const std::int64_t run = StartRunNow().id;
  ASSERT_TRUE(store_->Write([&](Db& db) -> Status {
    RATCHET_TRY(StartRun(db, 3, run));
    for (const char* step : {"validate", "train", "test", "gate"}) {
      RATCHET_TRY(MoveStep(db, 4, run, step, StepState::kRunning));
      RATCHET_TRY(MoveStep(db, 5, run, step, StepState::kSucceeded));
    }
    RATCHET_TRY(MoveStep(db, 6, run, "release", StepState::kRunning));
    return JudgeAgain(db, 7, run, {.step = "release", .judged_against = 2, .live = 1, .time = 3});
  }));
  const auto work = store_->Read([&](Db& db) { return WorkOf(db, run); });
  ASSERT_TRUE(work);
  ASSERT_EQ(work->open.size(), 1u) << "the test may start, gate and release wait for it";
  EXPECT_EQ(work->open[0].name, "test");
  EXPECT_EQ(work->open[0].outputs->at("judged_again"), 3);
  EXPECT_EQ(work->run.live_at_start, 1);
  const auto events = store_->Read([&](Db& db) -> Result<std::vector<Event>> { return EventsAfter(db, 0, 1000, run); });
  const auto told = std::ranges::find(*events, "decision.stale", &Event::type);
  ASSERT_NE(told, events->end());
  EXPECT_EQ(told->data.at("judged_against"), 2);
  EXPECT_EQ(told->data.at("live"), 1);
  EXPECT_EQ(told->data.at("step"), "release");
}

// The version is kept, rejected; force lets it in; nobody has looked at a row, so nothing is spent.
TEST_F(StaleTest, ALiveVersionThatCannotBeScoredCostsNoLookAndForceIsAWayOut) {
  const Version made = MakeVersion("");
  const Json why = {{"reason", "columns"}, {"message", "no column x"}, {"model", "sorter"}, {"live", 2}, {"reset", false}};
  ASSERT_TRUE(store_->Write([&](Db& db) {
    return RecordDecision(db, 9, "sorter", made.version, {.report = {{"reason", "because"}, {"live_unscorable", why}},
                                                          .verdict = "live_unscorable", .opponent_kind = "live", .opponent_version = 2});
  }));
  const auto kept = store_->Read([&](Db& db) { return GetVersion(db, "sorter", made.version); });
  EXPECT_EQ(kept->state, VersionState::kRejected);
  EXPECT_FALSE(kept->score || kept->opponent || kept->scores);
  const auto counts = store_->Read([&](Db& db) -> Result<std::int64_t> {
    SQLite::Statement& row = db.Prepare("SELECT count(*) FROM holdout_looks WHERE version = ?", made.version);
    row.executeStep();
    return row.getColumn(0).getInt64();
  });
  EXPECT_EQ(counts, 0);
  const auto audit = store_->Read([](Db& db) -> Result<Page<AuditEntry>> { return ListAudit(db, 10, {}); });
  EXPECT_EQ(std::ranges::count(audit->items, "gate.live_unscorable", &AuditEntry::action), 1);
  EXPECT_FALSE(Begin({.to = made.version}));
  EXPECT_TRUE(Begin({.to = made.version, .kind = ReleaseKind::kForce}));
}

// Judged against its baseline in the live version's place, it replaces that version and no other.
TEST_F(StaleTest, ADecisionByBaselineResetHoldsForTheVersionThatCouldNotBeScored) {
  const Version made = MakeVersion("");
  const Json why = {{"reason", "columns"}, {"message", "no column x"}, {"model", "sorter"}, {"live", 2}, {"reset", true}};
  ASSERT_TRUE(store_->Write([&](Db& db) {
    return RecordDecision(db, 9, "sorter", made.version, {.report = {{"reason", "because"}, {"live_unscorable", why}},
                                                          .verdict = "better", .score = 0.9, .opponent = 0.5,
                                                          .opponent_kind = "majority", .rows = 100, .scores = std::string(64, 'c'), .promotes = true});
  }));
  const auto audit = store_->Read([](Db& db) -> Result<Page<AuditEntry>> { return ListAudit(db, 10, {}); });
  EXPECT_EQ(std::ranges::count(audit->items, "gate.baseline_reset", &AuditEntry::action), 1);
  ASSERT_TRUE(RollBack());
  EXPECT_FALSE(Begin({.to = made.version})) << "version 1, which is live now, could be scored for all we know";
  ASSERT_TRUE(RollBack());
  EXPECT_TRUE(Begin({.to = made.version}));
}

}  // namespace
}  // namespace ratchet::registry
