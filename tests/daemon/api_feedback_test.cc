#include <gmock/gmock.h>

#include "registry/models.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

constexpr char kShip[] = "/api/v1/replicas/local/predictions?spool=s1&started=5&dropped=2";
constexpr char kFeedback[] = "/api/v1/models/toys/feedback";
constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr char kLines[] = "application/x-ndjson";

class ApiFeedbackTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApplyToys();
    PushToys();
    MakePassedVersion("one");
  }
  std::string Line(std::int64_t sequence, const std::string& label) const {
    return Json{{"sequence", sequence}, {"id", "p" + std::to_string(sequence)}, {"model", "toys"}, {"version", 1}, {"role", "live"},
                {"share", 1}, {"rows", 1}, {"at", clock_.WallUs() / kHourUs * kHourUs + sequence}, {"latency_us", 80}, {"inputs", Json::array()},
                {"outputs", {{{"name", "label"}, {"data", {label}}}}}}.dump() + "\n";
  }
};

TEST_F(ApiFeedbackTest, TellsTheLiveMetricOfWhatWasShippedAndSentBack) {
  const Json shipped = Ok("POST", kShip, kLines, Line(1, "0") + Line(2, "1"));
  EXPECT_EQ(shipped, Json({{"taken", 2}, {"repeated", 0}, {"refused", 0}, {"joined", 0}}));
  EXPECT_EQ(Ok("POST", kShip, kLines, Line(1, "0") + Line(2, "1"))["repeated"], 2);
  EXPECT_EQ(Ok("POST", kFeedback, "application/json", R"({"prediction":"p1","outcome":0})")["joined"], 1);
  EXPECT_EQ(Ok("POST", kFeedback, "application/json", R"([{"prediction":"p2","outcome":0},{"prediction":"p9","outcome":0}])")["waiting"], 1);
  const Json live = Ok("GET", "/api/v1/models/toys/live-metric");
  EXPECT_EQ(live["dropped"], 2);
  EXPECT_EQ(live["window"], 500);
  EXPECT_EQ(live["least_rows"], 100);
  EXPECT_TRUE(live["live"].is_null());
  const Json version = live["versions"].at(0);
  EXPECT_EQ(version["metric"], "accuracy");
  EXPECT_EQ(version["higher_is_better"], true);
  EXPECT_EQ(version["value"], 0.5);
  EXPECT_EQ(version["window_rows"], 2);
  EXPECT_EQ(version["predictions"], 2);
  EXPECT_EQ(version["joined"], 2);
  ASSERT_EQ(version["series"].size(), 1u);
  EXPECT_EQ(version["series"][0]["rows"], 2);
}

TEST_F(ApiFeedbackTest, CountsForPrometheus) {
  Ok("POST", kShip, kLines, Line(1, "0") + "no prediction\n");
  Ok("POST", kShip, kLines, Line(1, "0"));
  Ok("POST", kFeedback, kLines, "{\"prediction\":\"p1\",\"outcome\":0}\n");
  Ok("POST", kFeedback, kLines, "{\"prediction\":\"p1\",\"outcome\":1}\n");
  const std::string text = Do("GET", "/metrics").body;
  for (const char* line : {"ratchet_predictions_total{result=\"taken\"} 1\n", "ratchet_predictions_total{result=\"refused\"} 1\n",
                           "ratchet_predictions_total{result=\"repeated\"} 1\n", "ratchet_predictions_dropped 2\n",
                           "ratchet_feedback_total{result=\"taken\"} 1\n", "ratchet_feedback_total{result=\"replaced\"} 1\n",
                           "ratchet_feedback_joined_total 1\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST_F(ApiFeedbackTest, RefusesBadRequestsWithTheFieldAtFault) {
  const struct {
    const char *method, *target, *type, *body;
    int status;
    const char* says;
  } cases[] = {
      {"POST", kFeedback, "application/json", "{", 400, "no JSON"},
      {"POST", kFeedback, "application/json", "{}", 422, "prediction"},
      {"POST", kFeedback, "text/csv", "a,b", 415, ""},
      {"POST", kFeedback, kLines, "{\"key\":\"a\",\"outcome\":1}\n{\"key\":\"b\",\"outcome\":null}\n", 422, "line 2"},
      {"POST", "/api/v1/models/none/feedback", kLines, "{\"key\":\"a\",\"outcome\":1}", 404, "none"},
      {"POST", "/api/v1/replicas/local/predictions", kLines, "", 400, "spool"},
      {"POST", "/api/v1/replicas/local/predictions?spool=s&dropped=-1", kLines, "", 400, "dropped"},
      {"GET", "/api/v1/models/none/live-metric", "", "", 404, "none"},
      {"GET", "/api/v1/models/toys/live-metric?span=1", "", "", 400, "span"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(std::string(one.target) + " " + one.body);
    const auto answer = Do(one.method, one.target, one.type, one.body);
    EXPECT_EQ(answer.status, one.status) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(one.says));
  }
  EXPECT_EQ(Ok("POST", kFeedback, kLines, "{\"key\":\"a\",\"outcome\":1}\n")["taken"], 1) << "the refused ones took nothing";
}

TEST_F(ApiFeedbackTest, TakesNoHoldOfTheRegistryWhileItWrites) {
  const auto before = store_->stats();
  Ok("POST", kShip, kLines, Line(1, "0"));
  Ok("POST", kFeedback, kLines, "{\"prediction\":\"p1\",\"outcome\":0}\n");
  EXPECT_EQ(store_->stats().writes, before.writes);
  EXPECT_GE(events_->stats().writes, 2);
}

}  // namespace
}  // namespace ratchet::daemon
