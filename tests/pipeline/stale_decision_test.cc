// Someone changes what is live while a candidate is judged: at every call that the loop makes to the world outside.
#include <gmock/gmock.h>

#include "registry/events.h"
#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

using ::testing::HasSubstr;

class StaleDecision : public OrchestratorTest {
 protected:
  // Versions 1 and 2 have been promoted; run 3 is queued.
  void SetUp() override {
    OrchestratorTest::SetUp();
    for (int i = 0; i < 2; ++i) {
      Submit();
      Ticks();
    }
    ASSERT_EQ(Live(), 2);
    Submit();
  }
  void Again() {
    TearDown();
    executor_ = FakeExecutor();
    serving_ = FakeServing();
    segments_ = Json::array();
    SetUp();
  }
  // Calls `act` at the n-th call to executor or replicas from now on; false: there were fewer.
  bool ActAtCall(int n, const std::function<void()>& act) {
    int calls = 0;
    bool done = false, acting = false;
    auto count = [&] {
      if (acting || done || ++calls < n) return;
      acting = done = true;
      act();
      acting = false;
    };
    executor_.on_call = serving_.on_call = count;
    Ticks(60);
    executor_.on_call = serving_.on_call = nullptr;
    return done;
  }
  bool RollBack() {
    return store_->Write([&](Db& db) { return registry::Rollback(db, clock_.WallUs(), "sorter", {}, "t", "r"); }).has_value();
  }
  bool Force(std::int64_t version) {
    return store_->Write([&](Db& db) {
      return registry::BeginRelease(db, clock_.WallUs(), {.model = "sorter", .to = version, .kind = registry::ReleaseKind::kForce,
                                                          .actor = "t", .reason = "r"});
    }).has_value();
  }
  registry::Version Candidate() {
    return store_->Read([&](Db& db) { return registry::GetVersion(db, "sorter", 3); }).value_or(registry::Version{});
  }
  std::vector<Json> Stale(std::int64_t run = 3) {
    std::vector<Json> found;
    auto events = store_->Read([&](Db& db) -> Result<std::vector<registry::Event>> { return registry::EventsAfter(db, 0, 10'000, run); });
    for (const registry::Event& event : *events)
      if (event.type == "decision.stale") found.push_back(event.data);
    return found;
  }
  std::int64_t Looks() {
    return store_->Read([](Db& db) -> Result<std::int64_t> {
      SQLite::Statement& row = db.Prepare("SELECT count(*) FROM holdout_looks WHERE version = 3");
      row.executeStep();
      return row.getColumn(0).getInt64();
    }).value_or(-1);
  }
  // What the run's own release replaced is what its decision was made against, the whole time through.
  void ExpectApplied(int call) {
    const registry::Run run = Read(3);
    ASSERT_EQ(run.outcome, "promoted") << "call " << call << ": " << run.summary;
    const auto release = store_->Read([](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, 3); });
    ASSERT_TRUE(*release && (*release)->state == registry::ReleaseState::kDone) << call;
    const Json decision = Candidate().decision.value_or(Json::object());
    EXPECT_EQ((*release)->from, decision.at("opponent_version").get<std::int64_t>()) << call;
    const auto before = store_->Read([&](Db& db) -> Result<std::int64_t> {
      SQLite::Statement& row = db.Prepare("SELECT max(epoch) FROM releases WHERE state = 'done' AND id < ?", (*release)->id);
      row.executeStep();
      return row.getColumn(0).getInt64();
    });
    EXPECT_EQ(decision.at("route_epoch"), *before) << call;
  }
  // At every call, until there are no more.
  std::set<std::string> ActEverywhere(const std::function<void()>& act) {
    std::set<std::string> seen;
    for (int call = 1; call < 200; ++call) {
      const bool acted = ActAtCall(call, act);
      ExpectApplied(call);
      for (const Json& stale : Stale()) seen.insert(stale.at("step"));
      EXPECT_LE(Stale().size(), 1u) << call;
      if (!acted) return seen;
      Again();
    }
    ADD_FAILURE() << "the calls have no end";
    return seen;
  }
};

TEST_F(StaleDecision, ARollbackAtAnyMomentHasTheCandidateJudgedAgainstWhatIsLiveThen) {
  EXPECT_EQ(ActEverywhere([&] { RollBack(); }), (std::set<std::string>{"gate", "release"}));
}

TEST_F(StaleDecision, SoDoesARollbackThatIsTakenBackAtOnce) {
  EXPECT_EQ(ActEverywhere([&] { RollBack(), RollBack(); }), (std::set<std::string>{"gate", "release"}));
}

TEST_F(StaleDecision, SoDoesAPromotionByForce) {
  EXPECT_THAT(ActEverywhere([&] { Force(1); }), testing::Contains("gate"));
}

TEST_F(StaleDecision, AStaleTestIsNotJudgedAndCostsNoLook) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  Ticks();
  ASSERT_TRUE(RollBack());
  executor_.script.clear();
  executor_.Finish("3/test-1", folder_ + "/runs/3/test-1");
  Ticks(20);
  EXPECT_EQ(Read(3).outcome, "promoted");
  EXPECT_EQ(Candidate().opponent_version, 1);
  EXPECT_EQ(Looks(), 1);
  EXPECT_EQ(Read(3).FindStep("test")->attempts.size(), 2u);
  EXPECT_EQ(Stale().at(0).at("judged_against"), 2);
  EXPECT_EQ(Stale().at(0).at("live"), 1);
}

TEST_F(StaleDecision, APassedCandidateWaitsForAReleaseByForceAndIsThenJudgedAgainstItsVersion) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  Ticks();
  serving_.state = {LoadState::Kind::kLoading, ""};
  ASSERT_TRUE(Force(1));
  executor_.script.clear();
  executor_.Finish("3/test-1", folder_ + "/runs/3/test-1");
  Ticks();
  ASSERT_EQ(Candidate().state, registry::VersionState::kPassed);
  ASSERT_EQ(Read(3).FindStep("release")->state, StepState::kPending);
  serving_.state = {LoadState::Kind::kReady, ""};
  Ticks(20);
  EXPECT_EQ(Live(), 3);
  EXPECT_EQ(Candidate().opponent_version, 1);
  EXPECT_EQ(Stale().at(0).at("step"), "release");
  EXPECT_EQ(Looks(), 2) << "it was decided twice, so it was looked at twice";
}

TEST_F(StaleDecision, AnEarlierVerdictIsTakenBackWhereTheNewOneIsOther) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  Ticks();
  serving_.state = {LoadState::Kind::kLoading, ""};
  ASSERT_TRUE(Force(1));
  executor_.script.clear();
  executor_.Finish("3/test-1", folder_ + "/runs/3/test-1");
  Ticks();
  ASSERT_EQ(Candidate().state, registry::VersionState::kPassed);
  executor_.candidate_score = 0.4;
  serving_.state = {LoadState::Kind::kReady, ""};
  Ticks(20);
  EXPECT_EQ(Read(3).outcome, "rejected");
  EXPECT_EQ(Candidate().state, registry::VersionState::kRejected);
  EXPECT_EQ(Live(), 1);
}

TEST_F(StaleDecision, ARollbackToAnOlderVersionThatCannotBeLoadedLeavesTheReleaseToGoOn) {
  Ticks(20);
  ASSERT_EQ(Live(), 3);
  serving_.state = {LoadState::Kind::kLoading, ""};
  const std::int64_t run = Submit();
  Ticks();
  ASSERT_EQ(Read(run).FindStep("release")->state, StepState::kRunning);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::Rollback(db, clock_.WallUs(), "sorter", 1, "t", "r"); }));
  Ticks(3);
  EXPECT_EQ(Read(run).FindStep("release")->state, StepState::kPending) << "it waits";
  const auto loading = store_->Read([](Db& db) -> Result<std::vector<registry::Release>> { return registry::LoadingReleases(db); });
  ASSERT_EQ(loading->size(), 1u);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::FailRelease(db, clock_.WallUs(), loading->at(0).id, "bad file"); }));
  serving_.state = {LoadState::Kind::kReady, ""};
  Ticks(20);
  EXPECT_EQ(Read(run).outcome, "promoted");
  EXPECT_EQ(Live(), 4);
  EXPECT_TRUE(Stale(run).empty());
}

TEST_F(StaleDecision, GivesUpWhereWhatIsLiveNeverHoldsStillAndARetryBeginsAnew) {
  auto tests = [&] { return std::ranges::count_if(executor_.started, [](const std::string& id) { return id.starts_with("3/test-"); }); };
  std::int64_t seen = 0;
  executor_.on_call = [&] {
    if (tests() <= seen) return;
    seen = tests();
    RollBack();
  };
  Ticks(100);
  executor_.on_call = nullptr;
  EXPECT_EQ(Read(3).state, RunState::kFailed);
  EXPECT_THAT(Read(3).error->at("message").get<std::string>(), HasSubstr("the live version has changed under each of 5 comparisons"));
  EXPECT_EQ(Stale().size(), 4u);
  EXPECT_EQ(Looks(), 0);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::RetryRun(db, clock_.WallUs(), "t", 3); }));
  Ticks(20);
  EXPECT_EQ(Read(3).outcome, "promoted") << Read(3).summary;
}

TEST_F(StaleDecision, ACandidateThatWentLiveByForceMeanwhileLeavesNothingToDecide) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  Ticks();
  ASSERT_TRUE(Force(3));
  Ticks(3);
  ASSERT_EQ(Live(), 3);
  executor_.Finish("3/test-1", folder_ + "/runs/3/test-1");
  Ticks();
  EXPECT_EQ(Read(3).state, RunState::kFailed);
  EXPECT_THAT(Read(3).error->at("message").get<std::string>(), HasSubstr("it was released while it was judged, and is live now"));
  EXPECT_EQ(Live(), 3);
}

}  // namespace
}  // namespace ratchet::pipeline
