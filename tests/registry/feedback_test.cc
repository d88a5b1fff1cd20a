#include "registry/feedback.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "registry/predictions.h"
#include "registry/store.h"
#include "registry/watched_scores.h"

namespace ratchet::registry {
namespace {

// The outputs are the label itself; a score of 1 where the outcome is that.
std::optional<double> Score(const LoggedPrediction& prediction, std::int64_t, const std::string& outcome) {
  if (prediction.outputs == "unknown") return std::nullopt;
  return prediction.outputs == outcome ? 1.0 : 0.0;
}

LoggedPrediction Prediction(std::int64_t sequence, const std::string& label = "yes") {
  return {.id = "p" + std::to_string(sequence), .sequence = sequence, .model = "m", .version = 1, .key = {}, .rows = 1,
          .at = sequence * 1000, .inputs = {}, .outputs = label};
}

OutcomeInput ById(const std::string& id, const std::string& outcome, std::int64_t row = 0) {
  return {.by = FeedbackBy::kPrediction, .reference = id, .row = row, .outcome = outcome, .at = {}};
}
OutcomeInput ByKey(const std::string& key, const std::string& outcome) {
  return {.by = FeedbackBy::kKey, .reference = key, .row = 0, .outcome = outcome, .at = {}};
}

class FeedbackTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::string(testing::TempDir()) + "ratchet-events-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open(folder_ + "/events.db", clock_, EventsKind());
    ASSERT_TRUE(store) << store.error().Message();
    store_ = std::move(*store);
  }
  TakenBatch Ship(std::vector<LoggedPrediction> predictions, const std::string& spool = "s", std::int64_t dropped = 0) {
    PredictionBatch batch{.replica = "local", .spool = spool, .started_at = 7, .dropped = dropped,
                          .predictions = std::move(predictions)};
    for (const LoggedPrediction& one : batch.predictions) batch.last_sequence = std::max(batch.last_sequence, one.sequence);
    auto taken = store_->Write([&](Db& db) -> Result<TakenBatch> { return TakePredictions(db, now_us_, batch, Score); });
    EXPECT_TRUE(taken) << taken.error().Message();
    return taken.value_or(TakenBatch{});
  }
  TakenOutcomes Send(const std::vector<OutcomeInput>& outcomes, const std::string& model = "m") {
    auto taken = store_->Write([&](Db& db) -> Result<TakenOutcomes> { return TakeOutcomes(db, now_us_, model, outcomes, Score); });
    EXPECT_TRUE(taken) << taken.error().Message();
    return taken.value_or(TakenOutcomes{});
  }
  ScoreWindow Window(std::int64_t most = 500, std::int64_t version = 1) {
    auto window = store_->Read([&](Db& db) -> Result<ScoreWindow> { return LatestScores(db, "m", version, most); });
    EXPECT_TRUE(window);
    return window.value_or(ScoreWindow{});
  }
  VersionTotals Totals() {
    auto totals = store_->Read([&](Db& db) -> Result<std::vector<VersionTotals>> { return TotalsOf(db, "m", 10); });
    return totals && !totals->empty() ? totals->front() : VersionTotals{};
  }

  ManualClock clock_;
  std::int64_t now_us_ = 1'000'000;
  std::string folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(FeedbackTest, TakesABatchOnceHoweverOftenItComes) {
  EXPECT_EQ(Ship({Prediction(1), Prediction(2)}).taken, 2);
  EXPECT_EQ(Ship({Prediction(1), Prediction(2), Prediction(3)}).taken, 1);
  Reopen();
  const TakenBatch again = Ship({Prediction(2), Prediction(3)});
  EXPECT_EQ(again.taken, 0);
  EXPECT_EQ(again.repeated, 2);
  EXPECT_EQ(Totals().predictions, 3);
}

TEST_F(FeedbackTest, KnowsAPredictionByItsIdWhereItsSpoolHasANewOne) {
  Ship({Prediction(1), Prediction(2)});
  const TakenBatch again = Ship({Prediction(1), Prediction(2), Prediction(3)}, "another");
  EXPECT_EQ(again.taken, 1);
  EXPECT_EQ(Totals().predictions, 3);
}

TEST_F(FeedbackTest, KeepsTheLargestCountOfDropsOfEachProcess) {
  Ship({Prediction(1)}, "s", 5);
  Ship({Prediction(2)}, "s", 9);
  Ship({Prediction(2)}, "s", 5);
  EXPECT_EQ(store_->Read([](Db& db) -> Result<std::int64_t> { return DroppedPredictions(db); }), 9);
}

TEST_F(FeedbackTest, JoinsWhicheverComesFirst) {
  EXPECT_EQ(Send({ById("p1", "yes"), ById("p2", "yes")}).waiting, 2);
  EXPECT_EQ(Ship({Prediction(1), Prediction(2, "no")}).joined, 2);
  EXPECT_EQ(Window().rows, 2);
  EXPECT_EQ(Window().mean, 0.5);
  Ship({Prediction(3)});
  const TakenOutcomes late = Send({ById("p3", "yes")});
  EXPECT_EQ(late.joined, 1);
  EXPECT_EQ(late.waiting, 0);
  EXPECT_EQ(Totals().joined, 3);
}

TEST_F(FeedbackTest, TakesAnOutcomeTwiceAsOneAndReplacesAChangedOne) {
  Ship({Prediction(1)});
  EXPECT_EQ(Send({ById("p1", "no"), ById("p1", "no")}).repeated, 1);
  EXPECT_EQ(Window().mean, 0);
  const TakenOutcomes changed = Send({ById("p1", "yes")});
  EXPECT_EQ(changed.replaced, 1);
  EXPECT_EQ(changed.joined, 0);
  EXPECT_EQ(Window().mean, 1);
  EXPECT_EQ(Window().rows, 1);
  EXPECT_EQ(Totals().joined, 1);
}

TEST_F(FeedbackTest, JoinsByKeyUnlessTheIdSaysOtherwise) {
  LoggedPrediction keyed = Prediction(1), same_key = Prediction(2, "no");
  keyed.key = same_key.key = "order";
  Send({ByKey("order", "yes"), ById("p2", "no")});
  Ship({keyed, same_key});
  EXPECT_EQ(Window().mean, 1) << "p1 by its key, p2 by its id";
  Send({ByKey("order", "no")});
  EXPECT_EQ(Window().mean, 0.5);
  Send({ById("p1", "yes")});
  EXPECT_EQ(Window().mean, 1);
  EXPECT_EQ(Totals().joined, 2);
}

TEST_F(FeedbackTest, JoinsRowsOfARequestByTheirNumber) {
  LoggedPrediction three = Prediction(1);
  three.rows = 3;
  Ship({three});
  const TakenOutcomes taken = Send({ById("p1", "yes", 0), ById("p1", "no", 2), ById("p1", "no", 3)});
  EXPECT_EQ(taken.joined, 2);
  EXPECT_EQ(taken.waiting, 1) << "there is no row 3";
  EXPECT_EQ(Window().rows, 2);
}

TEST_F(FeedbackTest, KeepsModelsApartAndCountsWhatCannotBeScored) {
  Ship({Prediction(1), Prediction(2, "unknown")});
  EXPECT_EQ(Send({ById("p1", "yes")}, "other").joined, 0);
  EXPECT_EQ(Send({ById("p2", "yes")}).joined, 1);
  EXPECT_EQ(Window().rows, 0);
  EXPECT_EQ(Totals().unscored, 1);
}

TEST_F(FeedbackTest, LooksAtTheLatestRowsAndAtThoseJoinedLately) {
  std::vector<LoggedPrediction> predictions;
  std::vector<OutcomeInput> outcomes;
  for (int n = 1; n <= 20; ++n) {
    predictions.push_back(Prediction(n));
    outcomes.push_back(ById("p" + std::to_string(n), n <= 10 ? "no" : "yes"));
  }
  Ship(predictions);
  Send({outcomes.begin(), outcomes.begin() + 15});
  now_us_ = 2'000'000;
  Send({outcomes.begin() + 15, outcomes.end()});
  EXPECT_EQ(Window(10).mean, 1);
  EXPECT_EQ(Window(500).mean, 0.5);
  const auto after = [&](std::int64_t time_us, std::int64_t most) {
    return store_->Read([&](Db& db) -> Result<std::int64_t> { return JoinedAfter(db, "m", 1, time_us, most); }).value_or(-1);
  };
  EXPECT_EQ(after(1'000'000, 100), 5);
  EXPECT_EQ(after(0, 100), 20);
  EXPECT_EQ(after(0, 7), 7);
  const auto spans = store_->Read(
      [](Db& db) -> Result<std::vector<ScoreSpan>> { return ScoresOverTime(db, "m", 1, 10'000, 1000); });
  ASSERT_TRUE(spans);
  ASSERT_EQ(spans->size(), 3u);
  EXPECT_EQ((*spans)[0].rows, 9);
  EXPECT_EQ((*spans)[1].from, 10'000);
  EXPECT_DOUBLE_EQ((*spans)[1].mean, 0.9);
}

TEST_F(FeedbackTest, DeletesWhatIsTooOldAndTheOldestWhereThereIsTooMuch) {
  LoggedPrediction large = Prediction(3);
  large.inputs = std::string(1 << 20, 'x');
  Ship({Prediction(1), Prediction(2), large, Prediction(4)});
  Send({ById("p1", "yes"), ById("p4", "yes")});
  const auto forget = [&](std::int64_t now_us, Retention retention, std::int64_t most) {
    return store_->Write([&](Db& db) -> Result<std::int64_t> { return DeletePast(db, now_us, retention, most); }).value_or(-1);
  };
  EXPECT_EQ(forget(10'000, {}, 100), 0);
  EXPECT_EQ(forget(10'000, {.keep_us = 7'500}, 100), 2) << "p1 and p2, and no outcome: those came later";
  EXPECT_EQ(Window().rows, 1) << "what is joined goes with its prediction";
  EXPECT_EQ(forget(10'000, {.keep_bytes = 1 << 19}, 1), 2) << "the oldest prediction, and the oldest outcome";
  EXPECT_EQ(forget(10'000, {.keep_bytes = 1 << 19}, 1), 0) << "now there is room";
  EXPECT_EQ(Window().rows, 1);
  EXPECT_EQ(Totals().predictions, 4) << "what was counted stays counted";
}

TEST_F(FeedbackTest, TellsTheTwoDatabasesApart) {
  store_.reset();
  const auto wrong = Store::Open(folder_ + "/events.db", clock_);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(wrong.error().Message().find("not the registry of Ratchet"), std::string::npos);
  EXPECT_TRUE(Store::Open(folder_ + "/events.db", clock_, EventsKind()));
}

TEST_F(FeedbackTest, TellsTheScoresOfAWatchInTheOrderOfJoining) {
  auto named = Prediction(3);
  named.role = "version";  // the client chose: no part of the comparison
  Ship({Prediction(1), Prediction(2), named, Prediction(4), Prediction(5)});
  Send({ById("p4", "no"), ById("p2", "yes"), ById("p3", "yes"), ById("p1", "yes")});
  const auto after = [&](std::int64_t since_us, std::int64_t number, std::int64_t most = 100) {
    return store_->Read([&](Db& db) -> Result<std::vector<NumberedScore>> { return ScoresAfter(db, "m", 1, since_us, number, most); }).value();
  };
  const auto all = after(0, 0);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].score, 0);
  EXPECT_EQ(all[1].score, 1);
  EXPECT_EQ(after(2000, 0).size(), 2u) << "what was predicted before does not count";
  EXPECT_EQ(after(0, all[1].number).size(), 1u);
  EXPECT_EQ(after(0, 0, 2).size(), 2u);
  Send({ById("p5", "yes")});
  EXPECT_EQ(after(0, all.back().number).size(), 1u);
}

}  // namespace
}  // namespace ratchet::registry
