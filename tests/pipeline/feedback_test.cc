#include "pipeline/feedback.h"

#include <gmock/gmock.h>

#include <cmath>

#include "pipeline/feedback_lines.h"
#include "pipeline/triggers.h"
#include "tests/pipeline/orchestrator_fixture.h"

namespace ratchet::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// ---- scores

Json Outputs() {
  return {{{"name", "probabilities"}, {"datatype", "FP32"}, {"shape", {2, 2}}, {"data", {0.9, 0.1, 0.25, 0.75}}},
          {{"name", "label"}, {"datatype", "INT64"}, {"shape", {2}}, {"data", {3, 7}}}};
}

TEST(LiveScore, ComparesTheLabelOrTheProbabilityOfTheOutcome) {
  const Json manifest = {{"task", "classification"}, {"classes", {3, 7}}};
  const ScoringFacts accuracy = FactsOf("accuracy", manifest), loss = FactsOf("log_loss", manifest);
  EXPECT_EQ(ScoreOf(accuracy, Outputs(), 0, "3"), 1);
  EXPECT_EQ(ScoreOf(accuracy, Outputs(), 1, "3"), 0);
  EXPECT_EQ(ScoreOf(accuracy, Outputs(), 2, "3"), std::nullopt);
  EXPECT_DOUBLE_EQ(*ScoreOf(loss, Outputs(), 1, "7"), -std::log(0.75));
  EXPECT_DOUBLE_EQ(*ScoreOf(loss, Outputs(), 1, "8"), -std::log(1e-15)) << "a class that the model does not know";
  EXPECT_EQ(ScoreOf(FactsOf("f7", manifest), Outputs(), 0, "3"), std::nullopt);
}

TEST(LiveScore, MeasuresErrorsOfNumbers) {
  const Json outputs = {{{"name", "y"}, {"shape", {3}}, {"data", {2.5, nullptr, "x"}}}};
  const ScoringFacts mae = FactsOf("mae", Json::object()), rmse = FactsOf("rmse", Json::object());
  EXPECT_EQ(ScoreOf(mae, outputs, 0, "4"), 1.5);
  EXPECT_EQ(ScoreOf(rmse, outputs, 0, "4"), 2.25);
  EXPECT_EQ(ScoreOf(mae, outputs, 0, "four"), std::nullopt);
  EXPECT_EQ(ScoreOf(mae, outputs, 0, "nan"), std::nullopt);
  EXPECT_EQ(ScoreOf(rmse, outputs, 0, "1e300"), std::nullopt) << "no finite score";
  for (int row : {1, 2, 3, -1}) EXPECT_EQ(ScoreOf(mae, outputs, row, "4"), std::nullopt);
  for (const char* broken : {"{}", "[]", "[1]", "[{}]", R"([{"data":1}])"})
    EXPECT_EQ(ScoreOf(mae, Json::parse(broken), 0, "4"), std::nullopt) << broken;
}

// ---- text

TEST(ParseOutcomes, ReadsOneAListAndLines) {
  for (const auto& [text, form] : {std::pair(R"({"prediction":"p","outcome":3})", FeedbackText::kJson),
                                   std::pair(R"([{"prediction":"p","outcome":3.0}])", FeedbackText::kJson),
                                   std::pair("\n{\"prediction\":\"p\",\"outcome\":\"3\"}\r\n\n", FeedbackText::kJsonLines)}) {
    const auto outcomes = ParseOutcomes(text, form);
    ASSERT_TRUE(outcomes) << text;
    ASSERT_EQ(outcomes->size(), 1u);
    EXPECT_EQ((*outcomes)[0].reference, "p");
    EXPECT_EQ((*outcomes)[0].outcome, "3") << "the same truth has the same text";
    EXPECT_EQ((*outcomes)[0].row, 0);
  }
  const auto keyed = ParseOutcomes(R"({"key":17,"outcome":"yes","row":2,"at":5})", FeedbackText::kJson);
  ASSERT_TRUE(keyed);
  EXPECT_EQ((*keyed)[0].reference, "17");
  EXPECT_EQ((*keyed)[0].at, 5);
}

TEST(ParseOutcomes, NamesLineAndFieldOfWhatIsWrongAndTakesNothing) {
  struct Case {
    const char *line, *field, *says;
  };
  for (const Case& bad : {Case{R"({"outcome":1})", "prediction", "name the prediction's id"},
                          Case{R"({"key":"a","prediction":"b","outcome":1})", "key", "keep one"},
                          Case{R"({"key":"a"})", "outcome", "a number, or a text"},
                          Case{R"({"key":"a","outcome":true})", "outcome", "a number, or a text"},
                          Case{R"({"key":"","outcome":1})", "key", "1 to 256 bytes"},
                          Case{R"({"key":"a","outcome":1,"row":-1})", "row", "a whole number"},
                          Case{R"({"key":"a","outcome":1,"row":99999999999999999999})", "row", "a whole number"},
                          Case{R"({"key":"a","outcom":1})", "outcom", "did you mean 'outcome'"},
                          Case{"nonsense", "", "no JSON object"}, Case{"\xff\xfe", "", "no JSON object"}}) {
    SCOPED_TRACE(bad.line);
    const auto outcomes = ParseOutcomes("{\"key\":\"a\",\"outcome\":1}\n" + std::string(bad.line) + "\n", FeedbackText::kJsonLines);
    ASSERT_FALSE(outcomes);
    ASSERT_EQ(outcomes.error().details.size(), 1u);
    EXPECT_EQ(outcomes.error().details[0].line, 2);
    EXPECT_EQ(outcomes.error().details[0].field, bad.field);
    EXPECT_THAT(outcomes.error().details[0].detail, HasSubstr(bad.says));
  }
}

TEST(ParsePrediction, RefusesWhatIsNone) {
  const Json good = {{"sequence", 1}, {"id", "p"}, {"model", "m"}, {"version", 1}, {"role", "live"}, {"share", 1}, {"rows", 1},
                     {"at", 5}, {"latency_us", 3}, {"inputs", Json::array()}, {"outputs", Json::array()}};
  EXPECT_TRUE(ParsePredictionLine(good.dump()));
  for (const char* key : {"sequence", "id", "model", "version", "role", "rows", "at", "latency_us"}) {
    for (const Json& bad : {Json(), Json(-1), Json("\x01/"), Json::array(), Json(1e300)}) {
      if (std::string(key) == "id" && bad == "\x01/") continue;
      if (std::string(key) == "role" && bad == "\x01/") continue;
      if ((std::string(key) == "id" || std::string(key) == "role") && bad == -1) continue;
      Json line = good;
      line[key] = bad;
      EXPECT_FALSE(ParsePredictionLine(line.dump())) << line.dump();
    }
  }
}

// ---- triggers

TriggerFacts Live(double value, std::int64_t rows) {
  return {.rows_now = 100, .rows_at_last_run = 100, .drift = {}, .drifted_column = {}, .live_limit = 0.88,
          .live = LiveFigure{.value = value, .rows = rows, .fresh_rows = rows}, .live_metric = gate::FindLiveMetric("accuracy"), .live_version = 2};
}

TEST(LiveTrigger, WantsEnoughRowsAndAFigureBelowItsLimit) {
  EXPECT_FALSE(DueTrigger(Live(0, 3))) << "three wrong answers start nothing";
  EXPECT_FALSE(DueTrigger(Live(0, gate::kLeastLiveRows - 1)));
  EXPECT_FALSE(DueTrigger(Live(0.88, 500)));
  const auto trigger = DueTrigger(Live(0.8512, gate::kLeastLiveRows));
  ASSERT_TRUE(trigger);
  EXPECT_EQ(trigger->kind, "live_metric_below");
  EXPECT_EQ(trigger->detail, "accuracy of version 2 is 0.8512 over its latest 100 rows with an outcome (window: 500); "
                             "retrain.live_metric_below is 0.88");
}

TEST(LiveTrigger, TurnsItsSenseWhereLowerIsBetter) {
  TriggerFacts facts = Live(0.87, 500);
  facts.live_metric = gate::FindLiveMetric("rmse");
  EXPECT_FALSE(DueTrigger(facts));
  facts.live->value = 0.9;
  ASSERT_TRUE(DueTrigger(facts));
  EXPECT_THAT(DueTrigger(facts)->detail, HasSubstr("lower is better"));
}

TEST(LiveTrigger, StartsOnceForAVersionUntilThereIsNewEvidenceAndNewData) {
  TriggerFacts facts = Live(0.5, 500);
  facts.live->fresh_rows = gate::kLeastLiveRows - 1;
  EXPECT_FALSE(DueTrigger(facts)) << "a run of any kind has just tried";
  facts.live->fresh_rows = gate::kLeastLiveRows;
  EXPECT_TRUE(DueTrigger(facts));
  facts.live_was_tried = true;
  EXPECT_FALSE(DueTrigger(facts));
  facts.live->fresh_rows = gate::kLiveWindowRows;
  EXPECT_FALSE(DueTrigger(facts)) << "the same rows would make the same candidate";
  facts.rows_now = 101;
  EXPECT_TRUE(DueTrigger(facts));
  facts.live->fresh_rows = gate::kLiveWindowRows - 1;
  EXPECT_FALSE(DueTrigger(facts));
}

// ---- the whole way, on real databases

class FeedbackLoopTest : public OrchestratorTest {
 protected:
  void SetUp() override {
    OrchestratorTest::SetUp();
    auto events = registry::Store::Open(folder_ + "/events.db", clock_, registry::EventsKind());
    ASSERT_TRUE(events) << events.error().Message();
    events_ = std::move(*events);
    feedback_.emplace(*store_, *events_, clock_, registry::Retention{});
    orchestrator_->WatchLiveMetrics(*feedback_);
    Apply("model: sorter\ndata: {dataset: parcels, target: label}\ntrain: {recipe: vision.classifier}\n"
          "retrain: {live_metric_below: 0.6}\n");
    Submit();
    Ticks();
    ASSERT_EQ(Live(), 1);
  }
  void TearDown() override {
    orchestrator_.reset();
    feedback_.reset();
    events_.reset();
    OrchestratorTest::TearDown();
  }
  // A prediction of one row each, with this label and outcome.
  void Answer(int count, const std::string& label, const std::string& outcome, std::int64_t version = 1) {
    std::string lines;
    std::vector<registry::OutcomeInput> outcomes;
    for (int i = 0; i < count; ++i) {
      const std::string id = "p" + std::to_string(++sequence_);
      lines += Json{{"sequence", sequence_}, {"id", id}, {"model", "sorter"}, {"version", version}, {"role", "live"}, {"rows", 1},
                    {"at", clock_.WallUs() + i}, {"latency_us", 1}, {"inputs", Json::array()},
                    {"outputs", {{{"name", "label"}, {"data", {label}}}}}}.dump() + "\n";
      outcomes.push_back({.reference = id, .outcome = outcome, .at = {}});
    }
    ASSERT_TRUE(feedback_->TakeBatch({.replica = "local", .spool = "s", .lines = lines}));
    ASSERT_TRUE(feedback_->TakeOutcomes("sorter", outcomes));
    clock_.AdvanceUs(1'000'000);
  }
  std::int64_t Runs() {
    std::int64_t last = 0;
    while (store_->Read([&](Db& db) { return registry::GetRun(db, last + 1); })) ++last;
    return last;
  }

  std::int64_t sequence_ = 0;
  std::unique_ptr<registry::Store> events_;
  std::optional<Feedback> feedback_;
};

TEST_F(FeedbackLoopTest, StartsARunWhenTheLiveVersionHasFallenAndSaysWhy) {
  Answer(50, "cat", "cat");
  Answer(49, "cat", "dog");
  Ticks();
  EXPECT_EQ(Runs(), 1) << "99 rows";
  Answer(1, "cat", "dog");
  Ticks();
  ASSERT_EQ(Runs(), 2);
  EXPECT_EQ(Read(2).reason["kind"], "live_metric_below");
  EXPECT_THAT(Read(2).reason["detail"].get<std::string>(), HasSubstr("accuracy of version 1 is 0.5 over its latest 100 rows"));
}

TEST_F(FeedbackLoopTest, StartsNoSecondRunForTheSameVersionWithoutNewEvidenceAndData) {
  executor_.candidate_score = 0.5;  // so that the gate keeps version 1 live
  Answer(100, "cat", "dog");
  Ticks();
  ASSERT_EQ(Runs(), 2);
  ASSERT_EQ(Live(), 1);
  Answer(300, "cat", "dog");
  Push(10);
  Ticks();
  EXPECT_EQ(Runs(), 2);
  Answer(200, "cat", "dog");
  Ticks();
  EXPECT_EQ(Runs(), 3);
  Answer(500, "cat", "dog");
  Ticks();
  EXPECT_EQ(Runs(), 3) << "nothing new to train on";
}

TEST_F(FeedbackLoopTest, IsNotSilencedByARunThatWasStartedForAnotherReasonBeforeTheEvidence) {
  executor_.candidate_score = 0.5;
  Submit();
  Ticks();
  ASSERT_EQ(Live(), 1);
  Answer(100, "cat", "dog");
  Ticks();
  EXPECT_EQ(Runs(), 3);
  EXPECT_EQ(Read(3).reason["kind"], "live_metric_below");
}

TEST_F(FeedbackLoopTest, LooksAtTheVersionThatIsLiveAlone) {
  Answer(200, "cat", "dog", 7);
  Ticks();
  EXPECT_EQ(Runs(), 1);
  Answer(300, "cat", "cat");
  Ticks();
  EXPECT_EQ(Runs(), 1);
}

TEST_F(FeedbackLoopTest, RefusesLinesThatAreNoPredictionsAndTakesTheOthers) {
  const std::string good = Json{{"sequence", 2}, {"id", "p"}, {"model", "sorter"}, {"version", 1}, {"role", "live"}, {"rows", 1},
                                {"at", 1}, {"latency_us", 1}, {"outputs", Json::array()}}.dump();
  const auto taken = feedback_->TakeBatch({.replica = "r", .spool = "t", .lines = "{\"sequence\":1}\n\xff\xfe\n" + good + "\n{\"sequence\":3}"});
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->refused, 3);
  EXPECT_EQ(taken->batch.taken, 1);
  EXPECT_EQ(feedback_->counts().refused, 3);
  EXPECT_EQ(feedback_->TakeBatch({.replica = "r", .spool = "t", .lines = good})->batch.repeated, 1);
}

TEST_F(FeedbackLoopTest, ReportsByVersionOverTime) {
  Answer(10, "cat", "dog");
  clock_.AdvanceUs(3600LL * 1'000'000);
  Answer(30, "cat", "cat");
  const auto reports = feedback_->Report("sorter", 3600LL * 1'000'000);
  ASSERT_TRUE(reports);
  ASSERT_EQ(reports->size(), 1u);
  const LiveReport& report = reports->front();
  EXPECT_EQ(report.metric, "accuracy");
  EXPECT_EQ(report.value, 0.75);
  EXPECT_EQ(report.window_rows, 40);
  EXPECT_EQ(report.totals.predictions, 40);
  ASSERT_EQ(report.series.size(), 2u);
  EXPECT_EQ(report.series[0].mean, 0);
  EXPECT_EQ(report.series[1].rows, 30);
  EXPECT_FALSE(feedback_->Report("none", 1));
}

}  // namespace
}  // namespace ratchet::pipeline
