#include <gmock/gmock.h>

#include "cli/json_fields.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;

constexpr const char* kPath = "POST /api/v1/models/churn/feedback";
constexpr const char* kTaken = R"({"taken":2,"repeated":1,"replaced":0,"joined":2,"waiting":0})";

TEST(Feedback, SendsJsonLinesAsTheyAre) {
  FakeServer server;
  server.On(kPath, kTaken);
  const std::string lines = "{\"prediction\":\"a\",\"outcome\":1}\n{\"key\":\"b\",\"outcome\":\"yes\"}";
  const ProgramEnd end = Ratchet(server.Url(), {"feedback", "churn", "-"}, lines);
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(end.out, "2 taken, 1 known already, 0 replaced; 2 rows joined with their prediction, 0 wait for it\n");
  ASSERT_EQ(server.Seen().size(), 1u);
  EXPECT_EQ(server.Seen()[0].body, lines);
  EXPECT_EQ(server.Seen()[0].content_type, "application/x-ndjson");
}

TEST(Feedback, MakesLinesOfCsvWhoseNumbersAreThoseOfTheFile) {
  FakeServer server;
  server.On(kPath, kTaken);
  TemporaryFolder folder;
  WriteWhole(folder / "outcomes.csv", "prediction,row,outcome,at\na,0,yes,5\n\"b,c\",2,3.5,\n");
  ASSERT_EQ(Ratchet(server.Url(), {"feedback", "churn", folder / "outcomes.csv"}).code, 0);
  EXPECT_EQ(server.Seen().at(0).body, "\n{\"prediction\":\"a\",\"row\":0,\"outcome\":\"yes\",\"at\":5}\n"
                                      "{\"prediction\":\"b,c\",\"row\":2,\"outcome\":\"3.5\"}\n");
  WriteWhole(folder / "outcomes.csv", "predicton,outcome\na,1\n");
  const ProgramEnd wrong = Ratchet(server.Url(), {"feedback", "churn", folder / "outcomes.csv"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("Did you mean prediction?"));
  EXPECT_EQ(server.Seen().size(), 1u);
}

TEST(Feedback, TakesAListAndAddsUpWhatSeveralRequestsSay) {
  FakeServer server;
  server.On(kPath, kTaken);
  const ProgramEnd listed = Ratchet(server.Url(), {"feedback", "churn", "-"}, R"([{"key":"a","outcome":1}, {"key":"b","outcome":2}])");
  ASSERT_EQ(listed.code, 0) << listed.err;
  EXPECT_EQ(server.Seen().at(0).body, "{\"key\":\"a\",\"outcome\":1}\n{\"key\":\"b\",\"outcome\":2}\n");
  std::string lines;
  for (int i = 0; i < 25'000; ++i) lines += "{\"key\":\"k\",\"outcome\":1}\n";
  const ProgramEnd many = Ratchet(server.Url(), {"-o", "json", "feedback", "churn", "-"}, lines);
  ASSERT_EQ(many.code, 0) << many.err;
  ASSERT_EQ(server.Seen().size(), 3u);
  EXPECT_TRUE(server.Seen()[2].body.starts_with(std::string(20'000, '\n') + "{")) << "the lines keep their numbers";
  EXPECT_EQ(IntField(ParseJson(many.out), "taken"), 4);
}

TEST(Feedback, SaysWhatTheServerRefuses) {
  FakeServer server;
  const ProgramEnd end = Ratchet(server.Url(), {"feedback", "churn", "-"}, "{\"key\":\"a\",\"outcome\":1}\n");
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.err, "ratchet: There is no such thing.\n");
  EXPECT_EQ(Ratchet("http://127.0.0.1:1", {"feedback", "churn", "-"}, "{}").code, 3);
  EXPECT_EQ(Ratchet(server.Url(), {"feedback", "churn", "/no/such/file"}).code, 1);
}

TEST(ModelShow, TellsTheLiveMetricByVersion) {
  FakeServer server;
  server.On("GET /api/v1/models/churn", R"({"name":"churn","live":2,"previous":1,"latest_version":null,"metric":"accuracy"})");
  server.On("GET /api/v1/models/churn/live-metric",
            R"({"model":"churn","live":2,"window":500,"least_rows":100,"span_s":3600,"dropped":7,"versions":[)"
            R"({"version":2,"metric":"accuracy","higher_is_better":true,"predictions":1200,"rows":1300,"joined":600,"unscored":0,)"
            R"("value":0.8125,"window_rows":500,"series":[]}]})");
  const ProgramEnd end = Ratchet(server.Url(), {"model", "show", "churn"});
  EXPECT_EQ(end.code, 0) << end.err;
  for (const char* part : {"Live metric, by feedback", "0.8125", "500", "1,300", "600"}) EXPECT_THAT(end.out, HasSubstr(part));
}

TEST(ModelShow, TellsItBySliceAndOverTimeAndWhatBecameOfTheRows) {
  FakeServer server;
  server.On("GET /api/v1/models/churn", R"({"name":"churn","live":2,"previous":1,"latest_version":null,"metric":"accuracy"})");
  server.On("GET /api/v1/models/churn/live-metric?span=86400&slice=the%20plan",
            R"({"model":"churn","live":2,"window":500,"least_rows":100,"span_s":86400,"dropped":0,"slice":"the plan",)"
            R"("rows":{"dataset":"customers","every":1000,"within_s":60,"waiting":12,"pushed":3400,"unfit":2,"in_holdout":1,"known":0,)"
            R"("version":7,"pushed_at":1,"why_unfit":"column 'age': it is of integers"},"versions":[)"
            R"({"version":2,"metric":"accuracy","higher_is_better":true,"predictions":9,"rows":9,"joined":9,"unscored":0,"value":0.5,)"
            R"("window_rows":9,"series":[],"slices":[{"group":"gold","rows":9,"value":0.25,"series":[{"from_at":0,"rows":9,"value":0.25}]}]}]})");
  const ProgramEnd end = Ratchet(server.Url(), {"model", "show", "churn", "--slice", "the plan", "--over", "1d"});
  EXPECT_EQ(end.code, 0) << end.err;
  for (const char* part : {"By the plan", "gold", "0.25", "Over time"}) EXPECT_THAT(end.out, HasSubstr(part));
  for (const char* part : {"3,400 of these rows have been pushed to customers (newest customers@7), 12 wait", "2 unfit", "it is of integers"})
    EXPECT_THAT(end.out + end.err, HasSubstr(part));
  EXPECT_EQ(Ratchet(server.Url(), {"model", "show", "churn", "--over", "2d"}).code, 2);
}

}  // namespace
}  // namespace ratchet::cli
