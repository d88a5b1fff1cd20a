// A release on its way through the orchestrator: shadow, canary, ab, approvals; restarts in the middle.

#include <gmock/gmock.h>

#include "registry/release_steps.h"
#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

using registry::Release;
using registry::ReleaseState;
using testing::HasSubstr;

std::string SpecWith(const std::string& release) { return std::string(kSpec) + "release: " + release + "\n"; }

// Replicas that count.
struct CountingServing final : ServingView {
  LoadState Loaded(const std::string&, std::int64_t) override { return state; }
  bool Confirmed(const std::string&, std::int64_t) override { return true; }
  std::vector<ArmReport> Counts(const std::string&) override { return reports; }
  LoadState state{LoadState::Kind::kReady, ""};
  std::vector<ArmReport> reports;
};

struct FakeScores final : LiveMetrics {
  std::optional<LiveFigure> FigureOf(const std::string&, std::int64_t, const std::string&, std::int64_t) override { return std::nullopt; }
  std::vector<double> ScoresSince(const std::string&, std::int64_t version, std::int64_t) override { return scores[version]; }
  std::map<std::int64_t, std::vector<double>> scores;
};

class ReleaseStepsTest : public OrchestratorTest {
 protected:
  void SetUp() override {
    OrchestratorTest::SetUp();
    Reborn();
  }
  // A daemon that has just started on what is there.
  void Reborn() {
    Restart();
    orchestrator_ = std::make_unique<Orchestrator>(*store_, blobs_, files_, executor_, counting_, clock_, OrchestratorOptions{.data_dir = folder_});
    orchestrator_->WatchLiveMetrics(live_);
  }
  // A live version 1, then a run whose version 2 is released as the spec says.
  std::int64_t ReleaseSecond(const std::string& release) {
    Submit();
    Ticks();
    EXPECT_EQ(Live(), 1);
    executor_.candidate_score = 0.95;
    Apply(SpecWith(release));
    const std::int64_t run = Submit();
    for (int i = 0; i < 40 && !UnderWay(); ++i) Ticks(1);
    Ticks(3);
    return run;
  }
  std::optional<Release> UnderWay() {
    return store_->Read([](Db& db) -> Result<std::optional<Release>> { return registry::ReleaseUnderWay(db, "sorter"); }).value();
  }
  Release Newest() {
    return store_->Read([](Db& db) -> Result<registry::Page<Release>> { return registry::ListReleases(db, "sorter", 1, {}); })->items.at(0);
  }
  registry::Route RouteNow() {
    return store_->Read([](Db& db) { return registry::RouteOf(db, "sorter"); }).value();
  }
  // Each second 100 more requests, shared as the step under way wants; of the candidate's answers this share fails.
  void Traffic(int seconds, double errors = 0) {
    for (int i = 0; i < seconds; ++i) {
      const auto release = UnderWay();
      if (!release) return;
      if (release->step != step_) candidate_ = live_count_ = errors_ = 0, step_ = release->step;
      const registry::Route route = RouteNow();
      const bool shadow = route.split->mode == "shadow";
      const auto candidate = static_cast<std::int64_t>(100 * route.split->arms[0].share);
      candidate_ += candidate;
      live_count_ += shadow ? candidate : 100 - candidate;
      errors_ += errors * static_cast<double>(candidate);
      const Json arms = {{"2", {{"requests", candidate_}, {"errors", static_cast<std::int64_t>(errors_)}, {"unkeyed", candidate_}}},
                         {"1", {{"requests", live_count_}, {"errors", 0}, {"unkeyed", live_count_}}}};
      counting_.reports = {{.release = release->id, .step = release->step, .replica = "r", .instance = instance_, .counts = {{"arms", arms}}}};
      clock_.AdvanceUs(1'000'000);
      orchestrator_->Tick();
      orchestrator_->Tick();
    }
  }

  CountingServing counting_;
  FakeScores live_;
  std::string instance_ = "a";
  std::int64_t candidate_ = 0, live_count_ = 0, step_ = 0;
  double errors_ = 0;
};

TEST_F(ReleaseStepsTest, ACanaryGoesStepByStepAndIsLiveAtTheEnd) {
  const std::int64_t run = ReleaseSecond("{strategy: canary, steps: [10%, 50%, 100%], watch: {for: 20s}}");
  EXPECT_EQ(Newest().state, ReleaseState::kWatching);
  EXPECT_EQ(Live(), 1);
  registry::Route route = RouteNow();
  ASSERT_TRUE(route.split);
  EXPECT_EQ(route.split->mode, "canary");
  ASSERT_EQ(route.split->arms.size(), 1u);
  EXPECT_EQ(route.split->arms[0].target.version, 2);
  EXPECT_EQ(route.split->arms[0].share, 0.1);
  Traffic(15);
  EXPECT_EQ(Newest().step, 0);
  EXPECT_THAT(Newest().evidence->at("says").get<std::string>(), HasSubstr("watched"));
  Traffic(10);
  EXPECT_EQ(Newest().step, 1);
  EXPECT_GT(RouteNow().epoch, route.epoch);
  EXPECT_EQ(RouteNow().split->arms[0].share, 0.5);
  EXPECT_EQ(Live(), 1);
  Traffic(30);
  Ticks(4);
  EXPECT_EQ(Live(), 2) << Newest().evidence->dump();
  EXPECT_FALSE(RouteNow().split);
  EXPECT_EQ(Newest().state, ReleaseState::kDone);
  EXPECT_EQ(Newest().strategy, "canary");
  EXPECT_EQ(Read(run).outcome, "promoted");
}

TEST_F(ReleaseStepsTest, ProvenHarmRollsBackWithItsEvidence) {
  const std::int64_t run = ReleaseSecond("{strategy: canary, steps: [10%, 100%], watch: {error_rate: 1%, for: 1h}}");
  Traffic(60, 0.2);
  Ticks(4);
  const Release release = Newest();
  EXPECT_EQ(release.state, ReleaseState::kFailed);
  EXPECT_TRUE(release.harm);
  EXPECT_THAT(release.error.value_or(""), HasSubstr("error rate"));
  EXPECT_EQ(release.evidence->at("signals")[0]["state"], "harm");
  EXPECT_EQ(Live(), 1);
  EXPECT_FALSE(RouteNow().split);
  EXPECT_FALSE(RouteNow().loading);
  EXPECT_EQ(Read(run).state, RunState::kFailed);
  const auto again = store_->Write([&](Db& db) {
    return registry::BeginRelease(db, 1, {.model = "sorter", .to = 2, .kind = registry::ReleaseKind::kPromote, .actor = "me", .reason = "r",
                                          .run = {}, .expected = {}});
  });
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().Message(), HasSubstr("proven harm"));
}

TEST_F(ReleaseStepsTest, WithoutTrafficAWatchStandsStillAndSaysSo) {
  ReleaseSecond("{strategy: canary, steps: [10%, 100%], watch: {for: 30s}}");
  Ticks(200);
  EXPECT_EQ(Newest().state, ReleaseState::kWatching);
  EXPECT_EQ(Newest().step, 0);
  EXPECT_TRUE(Newest().evidence->at("paused").get<bool>());
  EXPECT_THAT(Newest().evidence->at("says").get<std::string>(), HasSubstr("No traffic"));
  Traffic(40);
  Ticks(4);
  EXPECT_EQ(Live(), 2);
}

TEST_F(ReleaseStepsTest, ARestartInTheMiddleGoesOn) {
  ReleaseSecond("{strategy: canary, steps: [10%, 50%, 100%], watch: {for: 20s}}");
  Traffic(12);
  const Release before = Newest();
  counting_.reports.clear();
  Reborn();
  Ticks(2);
  const Release after = Newest();
  EXPECT_EQ(after.state, ReleaseState::kWatching);
  EXPECT_EQ(after.step, before.step);
  EXPECT_EQ(after.watched_us, before.watched_us);
  EXPECT_EQ(after.evidence->at("requests"), before.evidence->at("requests")) << "what replicas told is kept";
  instance_ = "b";  // the replica has been restarted, too, and counts anew
  candidate_ = live_count_ = 0;
  Traffic(60);
  Ticks(4);
  EXPECT_EQ(Live(), 2);
}

TEST_F(ReleaseStepsTest, WaitsForAnApprovalWhereThatIsAskedFor) {
  const std::int64_t run = ReleaseSecond("{strategy: immediate, approval: manual}");
  Ticks(10);
  EXPECT_EQ(Newest().state, ReleaseState::kWaiting);
  EXPECT_EQ(Live(), 1);
  EXPECT_FALSE(RouteNow().split);
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::ApproveRelease(db, clock_.WallUs(), "sorter", "ann", "looks well"); }));
  Ticks(4);
  EXPECT_EQ(Live(), 2);
  EXPECT_EQ(Newest().approved_by, "ann");
  EXPECT_EQ(Read(run).outcome, "promoted");
}

TEST_F(ReleaseStepsTest, AnAbTestLastsUntilSomeoneEndsIt) {
  const std::int64_t run = ReleaseSecond("{strategy: ab, shares: {candidate: 50%}, watch: {for: 1s}}");
  Traffic(60);
  EXPECT_EQ(Newest().state, ReleaseState::kWatching);
  EXPECT_EQ(RouteNow().split->arms[0].role, "ab");
  auto aborted = store_->Write([&](Db& db) { return registry::AbortUnderWay(db, clock_.WallUs(), "sorter", "bob", "enough"); });
  ASSERT_TRUE(aborted) << aborted.error().Message();
  Ticks(6);
  EXPECT_EQ(Live(), 1);
  EXPECT_EQ(Newest().state, ReleaseState::kAborted);
  EXPECT_FALSE(RouteNow().split);
  EXPECT_EQ(Read(run).outcome, "cancelled");
  EXPECT_FALSE(store_->Write([&](Db& db) { return registry::AbortUnderWay(db, 1, "sorter", "bob", ""); }));
}

TEST_F(ReleaseStepsTest, AShadowIsPromotedWhenItHasPassed) {
  ReleaseSecond("{strategy: shadow, share: 50%, watch: {for: 5s, min_requests: 50}}");
  EXPECT_EQ(RouteNow().split->mode, "shadow");
  EXPECT_EQ(RouteNow().split->arms[0].share, 0.5);
  Traffic(10);
  Ticks(4);
  EXPECT_EQ(Live(), 2);
}

TEST_F(ReleaseStepsTest, ADropOfTheLiveMetricIsHarm) {
  ReleaseSecond("{strategy: canary, steps: [50%, 100%], watch: {metric_drop: 0.05, for: 10s}}");
  Traffic(20);
  EXPECT_EQ(Newest().state, ReleaseState::kWatching) << "no outcome is known yet";
  for (int i = 0; i < 2000; ++i) {
    live_.scores[1].push_back(i % 10 != 0 ? 1 : 0);
    live_.scores[2].push_back(i % 10 > 3 ? 1 : 0);
  }
  Traffic(2);
  Ticks(2);
  EXPECT_EQ(Newest().state, ReleaseState::kFailed);
  EXPECT_THAT(Newest().error.value_or(""), HasSubstr("live metric"));
}

TEST_F(ReleaseStepsTest, AFirstVersionHasNothingToBeComparedWith) {
  Apply(SpecWith("{strategy: canary, steps: [10%, 100%]}"));
  Submit();
  Ticks(20);
  EXPECT_EQ(Live(), 1);
}

TEST_F(ReleaseStepsTest, OnlyWhatWaitsIsApproved) {
  ReleaseSecond("{strategy: canary, steps: [10%, 100%]}");
  auto refused = store_->Write([&](Db& db) { return registry::ApproveRelease(db, 1, "sorter", "ann", ""); });
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().Message(), HasSubstr("goes live by itself"));
}

}  // namespace
}  // namespace ratchet::pipeline
