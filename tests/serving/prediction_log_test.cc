#include "serving/prediction_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <future>
#include <nlohmann/json.hpp>

#include "serving/prediction_shipper.h"
#include "serving/v2_service.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kBody[] = R"({"id":"mine","inputs":[{"name":"x","datatype":"FP32",
  "shape":[1,3],"data":[1,2,3]}],"outputs":[{"name":"label"}]})";

class PredictionLogTest : public ::testing::Test {
 protected:
  PredictionLogTest() {
    auto spool = PredictionSpool::Open(files_, folder_ / "spool", {.bytes = 1 << 20}, "s1");
    EXPECT_TRUE(spool);
    spool_ = std::move(*spool);
  }
  static AnsweredRequest Answered(const std::string& id = "p1", const std::string& body = kBody) {
    static const auto version = std::make_shared<const ServedVersion>(
        ServedVersion{.model = "m", .ref = Ref(3), .signature = SmallSignature(), .runner = nullptr, .metrics = nullptr});
    return {.version = version, .id = id, .key = "order-1", .rows = 1, .at_us = 5, .latency_us = 7, .request_body = body,
            .answer_body = R"({"outputs":[{"name":"label","datatype":"BYTES","shape":[1],"data":["cat"]}]})"};
  }
  std::vector<json> Spooled() {
    std::vector<json> records;
    const auto oldest = spool_->Oldest(100'000, 100 << 20);
    EXPECT_TRUE(oldest);
    for (const SpooledRecord& record : *oldest) records.push_back(json::parse(record.payload));
    return records;
  }

  TemporaryFolder folder_;
  SystemFiles files_;
  SystemClock clock_;
  PredictionCounts counts_;
  std::unique_ptr<PredictionSpool> spool_;
};

TEST_F(PredictionLogTest, SpoolsWhatWasAskedAndAnswered) {
  PredictionLog log(*spool_, counts_, clock_, {});
  log.Start();
  log.Offer(Answered());
  log.Stop();
  ASSERT_EQ(Spooled().size(), 1u);
  const json record = Spooled()[0];
  EXPECT_EQ(record["id"], "p1");
  EXPECT_EQ(record["model"], "m");
  EXPECT_EQ(record["version"], 3);
  EXPECT_EQ(record["role"], "live");
  EXPECT_EQ(record["key"], "order-1");
  EXPECT_EQ(record["at"], 5);
  EXPECT_EQ(record["latency_us"], 7);
  EXPECT_EQ(record["inputs"][0]["data"], json({1, 2, 3}));
  EXPECT_EQ(record["outputs"][0]["data"], json({"cat"}));
  EXPECT_EQ(spool_->Oldest(1, 1 << 20)->front().payload.find('\n'), std::string::npos);
  EXPECT_EQ(counts_.logged, 1u);
}

TEST_F(PredictionLogTest, LeavesOutTheDataOfRedactedColumnsAndOfHugeInputs) {
  const json redacted = json::parse(RecordJson(Answered(), {"x"}));
  EXPECT_FALSE(redacted["inputs"][0].contains("data"));
  EXPECT_EQ(redacted["inputs"][0]["redacted"], true);
  EXPECT_EQ(redacted["outputs"][0]["data"], json({"cat"}));
  std::string huge = kBody;
  huge.insert(huge.size() - 1, std::string(kMaxLoggedInputBytes, ' '));
  const json cut = json::parse(RecordJson(Answered("p1", huge), {}));
  EXPECT_TRUE(cut["inputs"].is_null());
  EXPECT_EQ(cut["inputs_left_out_bytes"], huge.size());
}

TEST_F(PredictionLogTest, GoesByTheModelsOwnSettingsWhereItHasSome) {
  AnsweredRequest answered = Answered();
  answered.settings = std::make_shared<const LogSettings>(LogSettings{.sample = {}, .redact = {"x"}});
  EXPECT_FALSE(json::parse(RecordJson(answered, {}))["inputs"][0].contains("data"));

  PredictionLog log(*spool_, counts_, clock_, {.sample = 0.5, .seed = 3});
  const LogSettings all{.sample = 1.0}, none{.sample = 0.0}, unsaid;
  int wanted = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(log.Wants(&all));
    EXPECT_FALSE(log.Wants(&none));
    wanted += log.Wants(&unsaid);
  }
  EXPECT_NEAR(wanted, 500, 100);
}

TEST_F(PredictionLogTest, CountsEveryAnswerInTheLedgerBeforeItIsSpooled) {
  auto ledger = PredictionLedger::Open(folder_ / "spool/ledger", spool_->id(), spool_->Last(), 1);
  ASSERT_TRUE(ledger);
  {
    PredictionLog log(*spool_, counts_, clock_, {.queue_records = 3}, ledger->get());
    for (int i = 0; i < 5; ++i) log.Offer(Answered());  // two find no room; three wait for a thread that never starts
  }
  EXPECT_EQ((*ledger)->Gap(), 2u);
  ledger->reset();
  auto again = PredictionLedger::Open(folder_ / "spool/ledger", spool_->id(), spool_->Last(), 1);
  EXPECT_EQ((*again)->lost_at_open(), 3u);
}

TEST_F(PredictionLogTest, DropsAndCountsWhatFindsNoRoomInTheQueueWithoutWaiting) {
  PredictionLog few(*spool_, counts_, clock_, {.queue_records = 3});
  for (int i = 0; i < 10; ++i) few.Offer(Answered());  // nobody takes them out: the thread has not been started
  EXPECT_EQ(counts_.dropped_queue, 7u);
  few.Start();
  few.Stop();
  EXPECT_EQ(counts_.logged, 3u);

  PredictionLog small(*spool_, counts_, clock_, {.queue_bytes = 3 * Answered().Bytes()});
  for (int i = 0; i < 10; ++i) small.Offer(Answered());
  EXPECT_EQ(counts_.dropped_queue, 14u);
}

TEST_F(PredictionLogTest, CountsWhatTheFullSpoolDoesNotTake) {
  PredictionLog log(*spool_, counts_, clock_, {});
  const size_t each = RecordJson(Answered(), {}).size() + 16;
  const size_t fit = (1 << 20) / each;
  for (size_t i = 0; i < fit + 5; ++i) log.Offer(Answered());
  log.Start();
  log.Stop();
  EXPECT_EQ(counts_.logged, fit);
  EXPECT_EQ(counts_.dropped_spool, 5u);
  EXPECT_THAT(ServeMetrics().PrometheusText(), HasSubstr("ratchet_serve_predictions_dropped_total{where=\"spool\"} 0\n"));
}

TEST_F(PredictionLogTest, SamplesTheShareThatWasAskedFor) {
  const auto share = [&](double sample) {
    PredictionLog log(*spool_, counts_, clock_, {.sample = sample, .seed = 11});
    int wanted = 0;
    for (int i = 0; i < 10'000; ++i) wanted += log.Wants();
    return wanted / 10'000.0;
  };
  EXPECT_EQ(share(0), 0);
  EXPECT_EQ(share(1), 1);
  EXPECT_NEAR(share(0.25), 0.25, 0.02);
}

TEST_F(PredictionLogTest, HasEveryOutputOfAnAnswerWhateverTheClientAskedFor) {
  ServeMetrics metrics;
  ModelHost host(metrics);
  host.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(3)}));
  ASSERT_TRUE(host.Add({.model = "m", .ref = Ref(3)}, FakeBundle(Ref(3)), std::make_shared<FakeRunner>(3)));
  PredictionLog log(*spool_, counts_, clock_, {});
  log.Start();
  V2Service service(host, metrics, clock_, {}, 1, &log);
  std::promise<HttpResponse> answered;
  service.Handle({.method = "POST", .path = "/v2/models/m/infer", .body = kBody},
                 [&](HttpResponse response) { answered.set_value(std::move(response)); });
  const json answer = json::parse(answered.get_future().get().body);
  service.Stop();
  log.Stop();
  EXPECT_EQ(answer["id"], "mine");
  ASSERT_EQ(Spooled().size(), 1u);
  const json record = Spooled()[0];
  EXPECT_EQ(record["id"], answer["parameters"]["prediction_id"]);
  EXPECT_EQ(record["key"], "mine");
  EXPECT_EQ(answer["outputs"].size(), 1u);
  EXPECT_EQ(record["outputs"].size(), 2u);
  EXPECT_EQ(record["rows"], 1);
}

// Plays the control plane: answers as told, then takes everything.
struct FakePlane {
  std::mutex mutex;
  std::deque<Result<int>> script;
  std::vector<std::vector<std::int64_t>> taken;
  std::int64_t poison = 0;  // a batch with this number is refused with 400

  Result<int> Take(const ShippedBatch& batch) {
    std::lock_guard lock(mutex);
    std::vector<std::int64_t> numbers;
    std::istringstream lines(batch.lines);
    for (std::string line; std::getline(lines, line);) numbers.push_back(json::parse(line)["sequence"]);
    if (std::ranges::count(numbers, poison) > 0) return 400;
    if (!script.empty()) {
      auto status = std::move(script.front());
      script.pop_front();
      if (status && *status == -1) return taken.push_back(numbers), Fail(ErrorCode::kUnavailable, "ship", "", "the answer was lost");
      if (!status || *status != 200) return status;
    }
    taken.push_back(std::move(numbers));
    return 200;
  }
  std::vector<std::int64_t> All() {
    std::lock_guard lock(mutex);
    std::vector<std::int64_t> all;
    for (const auto& batch : taken) all.insert(all.end(), batch.begin(), batch.end());
    return all;
  }
};

class PredictionShipperTest : public PredictionLogTest {
 protected:
  void Ship(size_t most_records) {
    PredictionShipper shipper(*spool_, counts_, [this](const ShippedBatch& batch) { return plane_.Take(batch); }, clock_,
                              {.most_records = most_records, .look_every_us = 1000, .first_wait_us = 1000,
                               .longest_wait_us = 2000});
    shipper.Start();
    EXPECT_TRUE(Eventually([this] { return spool_->Waiting() == 0; }));
    shipper.Stop();
  }
  FakePlane plane_;
};

TEST_F(PredictionShipperTest, SendsInOrderAndTrimsTheSpool) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(spool_->Append("{\"a\":1}"));
  Ship(3);
  EXPECT_EQ(plane_.taken, (std::vector<std::vector<std::int64_t>>{{1, 2, 3}, {4, 5, 6}, {7}}));
  EXPECT_EQ(counts_.shipped, 7u);
  EXPECT_EQ(spool_->Bytes(), 0u);
}

TEST_F(PredictionShipperTest, TriesAgainWhileTheControlPlaneIsAwayAndWhenAnAnswerIsLost) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(spool_->Append("{\"a\":1}"));
  plane_.script = {Fail(ErrorCode::kUnavailable, "ship", "", "away"), 503, 404, -1};
  Ship(2);
  EXPECT_EQ(plane_.taken, (std::vector<std::vector<std::int64_t>>{{1, 2}, {1, 2}, {3, 4}}));
  EXPECT_EQ(counts_.dropped_refused, 0u);
}

TEST_F(PredictionShipperTest, TellsOfAGapAlsoWhereThereIsNothingElseToSend) {
  auto ledger = PredictionLedger::Open(folder_ / "spool/ledger", spool_->id(), spool_->Last(), 44);
  (*ledger)->Offered();
  (*ledger)->Dropped(1);
  std::promise<ShippedBatch> told;
  PredictionShipper shipper(
      *spool_, counts_, [&](const ShippedBatch& batch) -> Result<int> { return told.set_value(batch), 200; }, clock_,
      {.look_every_us = 1000}, ledger->get());
  shipper.Start();
  auto batch = told.get_future();
  ASSERT_EQ(batch.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  shipper.Stop();
  const ShippedBatch sent = batch.get();
  EXPECT_EQ(sent.dropped, 1u);
  EXPECT_EQ(sent.started_at, 44);
  EXPECT_TRUE(sent.lines.empty());
}

TEST_F(PredictionShipperTest, LetsOnlyTheRecordGoThatIsRefused) {
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(spool_->Append("{\"a\":1}"));
  plane_.poison = 5;
  Ship(8);
  EXPECT_EQ(plane_.All(), (std::vector<std::int64_t>{1, 2, 3, 4, 6, 7, 8, 9}));
  EXPECT_EQ(counts_.dropped_refused, 1u);
  EXPECT_EQ(counts_.shipped, 8u);
}

}  // namespace
}  // namespace ratchet::serving
