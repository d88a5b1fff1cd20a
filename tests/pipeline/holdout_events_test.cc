#include <gmock/gmock.h>

#include "registry/events.h"
#include "tests/pipeline/orchestrator_fixture.h"

// Every opening of sealed rows is told, and what a rotation leaves is what is judged on.
namespace ratchet::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HoldoutEvents : public OrchestratorTest {
 protected:
  std::vector<Json> Opened() {
    auto events = store_->Read([](Db& db) -> Result<std::vector<registry::Event>> { return registry::EventsAfter(db, 0, 1'000); });
    std::vector<Json> opened;
    for (const registry::Event& event : *events)
      if (event.type == "holdout.opened") opened.push_back(event.data);
    return opened;
  }
  std::vector<int> Attempts() {
    std::vector<int> attempts;
    for (const Json& event : Opened()) attempts.push_back(event.at("attempt"));
    return attempts;
  }
  // A version in which the sealed rows of the pushes up to this one are training rows.
  void Retire(std::int64_t until) {
    for (Json& segment : segments_)
      if (segment["push"] <= until) segment["split"] = "train";
    const Json manifest = {{"schema", Json::array()}, {"split", {{"key", nullptr}}}, {"segments", segments_},
                           {"retired", {{"until_push", until}, {"keys", std::string(64, 'a')}, {"count", 1}}}};
    auto sha256 = blobs_.Put(manifest.dump());
    ASSERT_TRUE(store_->Write([&](Db& db) -> Status {
      RATCHET_ASSIGN(registry::Dataset dataset, registry::GetDataset(db, "parcels"));
      RATCHET_TRY(registry::AddDatasetVersion(db, {.dataset = "parcels", .version = dataset.latest_version + 1, .manifest = *sha256,
                                                   .rows = dataset.rows, .added = {}}, Json::array()));
      return {};
    }));
  }
};

TEST_F(HoldoutEvents, TellsEachAttemptOfATest) {
  executor_.script["test"] = FakeExecutor::Play::kHang;
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_THAT(Attempts(), ElementsAre(1));
  executor_.LoseAll();
  executor_.script.clear();
  Ticks();
  EXPECT_EQ(Read(run).outcome, "promoted");
  EXPECT_THAT(Attempts(), ElementsAre(1, 2)) << "a lost test has been opened, too";
}

TEST_F(HoldoutEvents, TellsTheTestOfARunThatIsTriedAgain) {
  executor_.script["test"] = FakeExecutor::Play::kUserError;
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Read(run).state, RunState::kFailed);
  executor_.script.clear();
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::RetryRun(db, clock_.WallUs(), "t", run); }));
  Ticks();
  EXPECT_EQ(Read(run).outcome, "promoted");
  EXPECT_THAT(Attempts(), ElementsAre(1, 2));
}

TEST_F(HoldoutEvents, AreNotOfAReproductionNorOfATraining) {
  executor_.script["train"] = FakeExecutor::Play::kUserError;
  Submit();
  Ticks();
  EXPECT_TRUE(Opened().empty());
  executor_.script.clear();
  const std::int64_t run = Submit();
  Ticks();
  ASSERT_EQ(Opened().size(), 1u);
  Submit(true, run);
  Ticks();
  EXPECT_EQ(Opened().size(), 1u);
}

TEST_F(HoldoutEvents, ARotationLeavesTheCurrentEpochItsRows) {
  Submit();
  Ticks();
  Push(2'000);
  Submit();
  Ticks();
  Retire(1);
  Submit();
  Ticks();
  ASSERT_EQ(Opened().size(), 3u);
  EXPECT_EQ(Opened()[1].at("epoch"), 2);
  EXPECT_EQ(Opened()[2].at("epoch"), 2);
  EXPECT_EQ(Opened()[2].at("rows"), 2'000);
}

TEST_F(HoldoutEvents, ARotationByForceTakesRowsFromAnEpochAndNotItsLooks) {
  Push(2'000);
  Submit();
  Ticks();
  EXPECT_EQ(Opened().at(0).at("rows"), 2'050);
  Retire(1);
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Opened().at(1).at("epoch"), 1);
  EXPECT_EQ(Opened().at(1).at("rows"), 2'000);
  auto version = store_->Read([&](Db& db) { return registry::GetVersion(db, "sorter", Read(run).candidate.value_or(0)); });
  EXPECT_EQ(version->decision->at("holdout").at("look"), 2);
}

TEST_F(HoldoutEvents, ARotationOfAllRowsAsksForFreshOnes) {
  Submit();
  Ticks();
  Retire(1);
  const std::int64_t run = Submit();
  Ticks();
  EXPECT_EQ(Read(run).state, RunState::kFailed);
  EXPECT_THAT(Read(run).error->at("message").get<std::string>(), HasSubstr("has been retired into training"));
  EXPECT_EQ(Opened().size(), 1u);
}

}  // namespace
}  // namespace ratchet::pipeline
