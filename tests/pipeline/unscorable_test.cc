// The live version cannot be scored any more.
#include "pipeline/unscorable.h"

#include <gmock/gmock.h>

#include "pipeline/explain.h"
#include "registry/events.h"
#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

using ::testing::HasSubstr;

class LiveUnscorable : public OrchestratorTest {
 protected:
  void SetUp() override {
    OrchestratorTest::SetUp();
    Submit();
    Ticks();
    ASSERT_EQ(Live(), 1);
    executor_.live_unscorable = {{"reason", "columns"}, {"message", "the dataset has no such column: weight"}};
  }
  registry::Version Version(std::int64_t version) {
    return store_->Read([&](Db& db) { return registry::GetVersion(db, "sorter", version); }).value_or(registry::Version{});
  }
  std::int64_t Looks() {
    return store_->Read([](Db& db) -> Result<std::int64_t> { return registry::CurrentEpoch(db, "parcels", "sorter")->looks; }).value_or(-1);
  }
  Json DecisionEvent(std::int64_t run) {
    auto events = store_->Read([&](Db& db) -> Result<std::vector<registry::Event>> { return registry::EventsAfter(db, 0, 1000, run); });
    for (const registry::Event& event : *events)
      if (event.type == "decision") return event.data;
    return {};
  }
};

TEST_F(LiveUnscorable, IsAVerdictThatSaysWhyAndNamesTheWaysOut) {
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Read(run).state, RunState::kSucceeded) << Read(run).summary;
  EXPECT_EQ(Read(run).outcome, "rejected");
  EXPECT_THAT(Read(run).summary, HasSubstr("The live version sorter@1 cannot be scored any more"));
  const registry::Version version = Version(2);
  EXPECT_EQ(version.state, registry::VersionState::kRejected);
  EXPECT_EQ(version.verdict, "live_unscorable");
  EXPECT_FALSE(version.score);
  const Json& report = *version.decision;
  EXPECT_EQ(report.at("live_unscorable").at("reason"), "columns");
  EXPECT_THAT(report.at("reason").get<std::string>(), HasSubstr("`ratchet promote sorter@2 --force --reason TEXT`"));
  EXPECT_THAT(report.at("reason").get<std::string>(), HasSubstr("`ratchet run start sorter --set gate.baseline=reset`"));
  EXPECT_EQ(Looks(), 1) << "that of version 1";
  EXPECT_EQ(DecisionEvent(run).at("live_unscorable").at("reason"), "columns");
  EXPECT_EQ(Live(), 1);
}

TEST_F(LiveUnscorable, IsDecidedAgainFromItsReportBitForBit) {
  Submit();
  Ticks();
  const Json report = *Version(2).decision;
  const auto at = CaseOf(report);
  ASSERT_TRUE(at) << at.error().Message();
  EXPECT_EQ(JudgeUnscorable(*at).report, report);
  const auto made = ExplainDecision(report, {});
  ASSERT_TRUE(made) << made.error().Message();
  EXPECT_TRUE(made->differences.empty() && made->same_decision);
}

TEST_F(LiveUnscorable, ForceLetsTheCandidateInAndIsOnRecord) {
  Submit();
  Ticks();
  const auto release = store_->Write([&](Db& db) {
    return registry::BeginRelease(db, 9, {.model = "sorter", .to = 2, .kind = registry::ReleaseKind::kForce, .actor = "ann", .reason = "new schema"});
  });
  ASSERT_TRUE(release) << release.error().Message();
  Ticks(3);
  EXPECT_EQ(Live(), 2);
}

TEST_F(LiveUnscorable, ByBaselineResetTheCandidateIsJudgedAsAFirstVersionIs) {
  Apply(std::string(kSpec) + "gate: {baseline: reset}\n");
  const std::int64_t run = Submit();
  Ticks(20);
  EXPECT_EQ(Read(run).outcome, "promoted") << Read(run).summary;
  EXPECT_EQ(Live(), 2);
  const registry::Version version = Version(2);
  EXPECT_EQ(version.verdict, "better");
  EXPECT_EQ(version.opponent_kind, "majority");
  EXPECT_FALSE(version.opponent_version);
  EXPECT_EQ(version.decision->at("live_unscorable").at("reset"), true);
  EXPECT_EQ(version.decision->at("live_unscorable").at("live"), 1);
  EXPECT_THAT(version.decision->at("reason").get<std::string>(), HasSubstr("by gate.baseline: reset"));
  EXPECT_EQ(Looks(), 2) << "rows were scored, so a look was spent";
  const auto release = store_->Read([&](Db& db) -> Result<std::optional<registry::Release>> { return registry::ReleaseOfRun(db, run); });
  EXPECT_EQ((*release)->from, 1);
  EXPECT_THAT((*release)->reason, HasSubstr("gate.baseline: reset"));
  EXPECT_EQ(DecisionEvent(run).at("live_unscorable").at("reset"), true);
  const auto audit = store_->Read([](Db& db) -> Result<registry::Page<registry::AuditEntry>> { return registry::ListAudit(db, 20, {}); });
  EXPECT_EQ(std::ranges::count(audit->items, "gate.baseline_reset", &registry::AuditEntry::action), 1);
}

TEST_F(LiveUnscorable, ByBaselineResetACandidateMustStillBeatItsBaseline) {
  Apply(std::string(kSpec) + "gate: {baseline: reset}\n");
  executor_.candidate_score = 0.45;
  const std::int64_t run = Submit();
  Ticks(20);
  EXPECT_EQ(Read(run).outcome, "rejected");
  EXPECT_EQ(Version(2).verdict, "not_better");
  EXPECT_EQ(Live(), 1);
}

// Left in the spec it is no way round the gate: the version that it let in can be scored again.
TEST_F(LiveUnscorable, BaselineResetDoesNothingWhereTheLiveVersionCanBeScored) {
  Apply(std::string(kSpec) + "gate: {baseline: reset}\n");
  executor_.live_unscorable = Json();
  const std::int64_t run = Submit();
  Ticks(20);
  EXPECT_EQ(Read(run).outcome, "promoted") << Read(run).summary;
  EXPECT_EQ(Version(2).opponent_kind, "live");
  EXPECT_EQ(Version(2).opponent_version, 1);
  EXPECT_FALSE(Version(2).decision->contains("live_unscorable"));
}

TEST_F(LiveUnscorable, AResultThatDoesNotSayWhyIsNone) {
  executor_.live_unscorable = {{"reason", "columns"}};
  const std::int64_t run = Submit();
  Ticks(40);
  EXPECT_EQ(Read(run).state, RunState::kFailed);
  EXPECT_EQ(Live(), 1);
}

}  // namespace
}  // namespace ratchet::pipeline
