#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "cli/human.h"
#include "cli/json_fields.h"
#include "cli/upload.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kStatus =
    R"({"version":"0.1.0","data_dir":"/tmp","started_at":1,"serve":{"url":"SERVE","replicas":[{"id":"r1",)"
    R"("models":{"sorter":{"epoch":4,"ready":[1,2]}},"seen_at":1}]},"worker":{"state":"ready","sandbox":"landlock",)"
    R"("recipes":[{"name":"vision.classifier"}]},"counts":{"pipelines":1,"runs_active":0,"models":1,"datasets":1}})";
constexpr const char* kRelease =
    R"({"id":9,"model":"sorter","kind":"rollback","from":2,"to":1,"epoch":5,"state":"done","took_ms":12,"error":null})";

TEST(Ratchet, EndsWithTwoWhenTheCommandLineIsWrong) {
  for (std::vector<std::string> words :
       std::initializer_list<std::vector<std::string>>{{},
                                                       {"run"},
                                                       {"nothing"},
                                                       {"status", "--no-such"},
                                                       {"-o", "xml", "status"},
                                                       {"run", "show", "0"},
                                                       {"run", "show", "x"},
                                                       {"promote", "m@1"},
                                                       {"completion", "fish"},
                                                       {"promote", "m", "--reason", "x"},
                                                       {"run", "start", "p", "--set", "foo"},
                                                       {"run", "start", "p", "--set", "=1"},
                                                       {"run", "list", "--pipeline", "A"},
                                                       {"dataset", "push", "x"},
                                                       {"dataset", "push", "x", "f", "--holdout", "2"}}) {
    ProgramEnd end = Ratchet("http://127.0.0.1:1", words);
    EXPECT_EQ(end.code, 2) << testing::PrintToString(words);
    EXPECT_THAT(end.err, StartsWith("ratchet: ")) << testing::PrintToString(words);
    EXPECT_THAT(end.err, HasSubstr("--help'"));
  }
}

TEST(Ratchet, SaysWhichCommandsAreNotInThisVersion) {
  for (std::vector<std::string> words : std::initializer_list<std::vector<std::string>>{{"backup", "dir"},
                                                                                        {"backup", "--help"},
                                                                                        {"restore", "dir"},
                                                                                        {"-o", "json", "token", "list"},
                                                                                        {"model", "import", "-h"},
                                                                                        {"audit", "verify"}}) {
    ProgramEnd end = Ratchet("http://127.0.0.1:1", words);
    EXPECT_EQ(end.code, 2) << testing::PrintToString(words);
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, HasSubstr("is not in this version.")) << testing::PrintToString(words);
  }
}

TEST(Ratchet, GivesNoHelpForACommandThatIsNone) {
  for (std::vector<std::string> words :
       std::initializer_list<std::vector<std::string>>{{"nonsense", "--help"}, {"run", "nonsense", "--help"}}) {
    ProgramEnd end = Ratchet("http://127.0.0.1:1", words);
    EXPECT_EQ(end.code, 2);
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, HasSubstr("no such command"));
  }
}

TEST(Ratchet, ShowsAGroupsOwnExamples) {
  ProgramEnd end = Ratchet("http://127.0.0.1:1", {"dataset", "--help"});
  EXPECT_EQ(end.code, 0);
  EXPECT_THAT(end.out, HasSubstr("$ ratchet dataset push churn"));
  EXPECT_THAT(end.out, HasSubstr("$ ratchet dataset preview churn"));
  EXPECT_THAT(end.out, Not(HasSubstr("ratchet rollback")));
}

TEST(Ratchet, SuggestsTheNearCommand) {
  EXPECT_THAT(Ratchet("http://127.0.0.1:1", {"run", "strat"}).err, HasSubstr("Did you mean 'start'?"));
  EXPECT_THAT(Ratchet("http://127.0.0.1:1", {"pipline", "list"}).err, HasSubstr("Did you mean 'pipeline'?"));
}

TEST(Ratchet, EndsWithThreeAndAHintWhenTheServerIsOutOfReach) {
  ProgramEnd end = Ratchet("http://127.0.0.1:1", {"model", "list"});
  EXPECT_EQ(end.code, 3);
  EXPECT_THAT(end.err, HasSubstr("ratchetd"));
  EXPECT_THAT(end.err, HasSubstr("--server"));
}

TEST(Ratchet, EndsWithOneWhenTheServerRefuses) {
  FakeServer server;
  ProgramEnd end = Ratchet(server.Url(), {"model", "show", "nobody"});
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.err, "ratchet: There is no such thing.\n");
  EXPECT_EQ(end.out, "");
}

TEST(Ratchet, TellsProgramsOfAFailureAsOneObject) {
  FakeServer server;
  const struct {
    std::string server;
    std::vector<std::string> words;
    int code;
    const char* error_code;
    const char* hint;
  } cases[] = {{server.Url(), {"-o", "json", "model", "show", "nobody"}, 1, "not-found", nullptr},
               {server.Url(), {"model", "show", "nobody", "--output=json"}, 1, "not-found", nullptr},
               {"http://127.0.0.1:1", {"status", "-ojson"}, 3, "unavailable", "ratchetd --data DIR"},
               {server.Url(), {"run", "show", "x", "-o", "json"}, 2, "invalid", "ratchet run show --help"},
               {server.Url(), {"run", "strat", "-o=json"}, 2, "invalid", "ratchet run --help"},
               {server.Url(), {"-o", "json", "backup", "dir"}, 2, "invalid", "ratchet --help"}};
  for (const auto& [url, words, code, error_code, hint] : cases) {
    ProgramEnd end = Ratchet(url, words);
    EXPECT_EQ(end.code, code) << testing::PrintToString(words);
    EXPECT_EQ(end.out, "");
    ASSERT_EQ(std::count(end.err.begin(), end.err.end(), '\n'), 1) << end.err;
    const Json error = ParseJson(end.err);
    ASSERT_TRUE(error.is_object()) << end.err;
    EXPECT_EQ(TextField(error, "code"), error_code) << end.err;
    EXPECT_NE(TextField(error, "message"), "");
    EXPECT_TRUE(Field(error, "errors").is_array());
    EXPECT_EQ(Field(error, "hint").is_null(), hint == nullptr);
    EXPECT_THAT(TextField(error, "hint"), HasSubstr(hint ? hint : ""));
  }
}

TEST(Ratchet, LeavesFailuresInWordsForPeople) {
  EXPECT_THAT(Ratchet("http://127.0.0.1:1", {"status", "-o", "table"}).err, StartsWith("ratchet: reach the server"));
  EXPECT_THAT(Ratchet("http://127.0.0.1:1", {"-o", "json", "run", "show", "x", "-o", "table"}).err, StartsWith("ratchet: "));
}

TEST(Ratchet, TakesGlobalOptionsBeforeAndAfterTheCommand) {
  FakeServer server;
  server.On("GET /api/v1/models", R"({"items":[],"next":null})");
  for (std::vector<std::string> words : std::initializer_list<std::vector<std::string>>{
           {"-o", "json", "model", "list"}, {"model", "-o", "json", "list"}, {"model", "list", "-o", "json"}}) {
    words.insert(words.end(), {"--server", server.Url()});
    EXPECT_EQ(Ratchet("http://127.0.0.1:1", words).out, "{\"items\":[],\"next\":null}\n");
  }
}

TEST(Ratchet, TakesNamesThatAreCommandsToo) {
  FakeServer server;
  server.On("GET /api/v1/models/run", R"({"name":"run","live":null,"previous":null,"latest_version":null})");
  EXPECT_EQ(Ratchet(server.Url(), {"model", "show", "run"}).code, 0);
}

TEST(Ratchet, RefusesNamesThatCouldBePaths) {
  FakeServer server;
  for (const char* name : {"../etc", "a/b", "A", "", "a b", "%2e%2e"}) {
    EXPECT_EQ(Ratchet(server.Url(), {"pipeline", "show", name}).code, 2) << name;
    EXPECT_EQ(Ratchet(server.Url(), {"dataset", "show", name}).code, 2) << name;
    EXPECT_EQ(Ratchet(server.Url(), {"run", "start", name}).code, 2) << name;
    EXPECT_EQ(Ratchet(server.Url(), {"rollback", name}).code, 2) << name;
  }
  EXPECT_TRUE(server.Seen().empty());
}

TEST(Ratchet, HasAFullHelpPageForEveryCommand) {
  for (std::vector<std::string> words : std::initializer_list<std::vector<std::string>>{{"status"},
                                                                                        {"doctor"},
                                                                                        {"pipeline", "apply"},
                                                                                        {"pipeline", "list"},
                                                                                        {"pipeline", "show"},
                                                                                        {"pipeline", "delete"},
                                                                                        {"pipeline", "validate"},
                                                                                        {"run", "start"},
                                                                                        {"run", "list"},
                                                                                        {"run", "show"},
                                                                                        {"run", "logs"},
                                                                                        {"run", "cancel"},
                                                                                        {"run", "retry"},
                                                                                        {"dataset", "push"},
                                                                                        {"dataset", "list"},
                                                                                        {"dataset", "show"},
                                                                                        {"dataset", "preview"},
                                                                                        {"dataset", "rotate-holdout"},
                                                                                        {"model", "list"},
                                                                                        {"model", "show"},
                                                                                        {"model", "versions"},
                                                                                        {"model", "diff"},
                                                                                        {"model", "export"},
                                                                                        {"promote"},
                                                                                        {"rollback"},
                                                                                        {"feedback"},
                                                                                        {"predict"},
                                                                                        {"release", "list"},
                                                                                        {"audit", "list"},
                                                                                        {"completion"}}) {
    words.push_back("--help");
    ProgramEnd end = Ratchet("http://127.0.0.1:1", words);
    EXPECT_EQ(end.code, 0);
    for (const char* section : {"SYNOPSIS", "DESCRIPTION", "GLOBAL OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT"})
      EXPECT_THAT(end.out, HasSubstr(section)) << testing::PrintToString(words);
    EXPECT_THAT(end.out, Not(HasSubstr("\x1f")));
  }
}

TEST(Status, ShowsThePartsAndPassesJsonThrough) {
  FakeServer server;
  server.On("GET /api/v1/status", kStatus);
  EXPECT_THAT(Ratchet(server.Url(), {"status"}).out, HasSubstr("ready, sandbox landlock, recipes vision.classifier"));
  EXPECT_EQ(Ratchet(server.Url(), {"status", "-o", "json"}).out, std::string(kStatus) + "\n");
}

TEST(Doctor, FindsAReplicaInAnotherEpoch) {
  FakeServer server;
  std::string status = kStatus;
  status.replace(status.find("SERVE"), 5, server.Url());
  server.On("GET /api/v1/status", status);
  server.On("GET /readyz", "ok");
  server.On("GET /v2/health/ready", "{}");
  server.On("GET /api/v1/models", R"({"items":[{"name":"sorter","live":2,"epoch":5}],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.out, HasSubstr("replica r1 holds epoch 4 of sorter, the control plane is at 5"));
  EXPECT_THAT(end.out, HasSubstr("ok    sandbox     landlock"));
}

TEST(Doctor, MissesNoDataPlaneWhereNoneIsRun) {
  FakeServer server;
  server.On("GET /api/v1/status",
            R"({"version":"0.1.0","data_dir":"/tmp","serve":{"url":"http://127.0.0.1:1","managed":false,"replicas":[]},)"
            R"("worker":{"state":"ready","sandbox":"landlock","recipes":[{"name":"r"}]}})");
  server.On("GET /readyz", "ok");
  server.On("GET /api/v1/models", R"({"items":[],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 0) << end.out;
  EXPECT_THAT(end.out, HasSubstr("--no-serve"));
  EXPECT_THAT(end.out, Not(HasSubstr("fail")));
}

TEST(Doctor, SaysWhyTheWorkerIsDown) {
  FakeServer server;
  server.On("GET /api/v1/status",
            R"({"version":"0.1.0","serve":{"url":"","managed":false,"replicas":[]},)"
            R"("worker":{"state":"down","recipes":[],"error":"cannot start /none"}})");
  server.On("GET /api/v1/models", R"({"items":[],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.out, HasSubstr("it is down: cannot start /none"));
  EXPECT_THAT(Ratchet(server.Url(), {"status"}).out, HasSubstr("down: cannot start /none"));
}

TEST(Doctor, EndsWithThreeWhenTheServerIsOutOfReach) {
  ProgramEnd end = Ratchet("http://127.0.0.1:1", {"doctor", "-o", "json"});
  EXPECT_EQ(end.code, 3);
  EXPECT_EQ(TextField(ParseJson(end.out).at(0), "state"), "fail");
}

std::string StartingStatus(const std::string& worker, std::int64_t started_at) {
  return R"({"version":"0.1.0","started_at":)" + std::to_string(started_at) +
         R"(,"serve":{"url":"http://127.0.0.1:1","managed":true,"replicas":[]},"worker":)" + worker + "}";
}

TEST(Doctor, WarnsOnlyWhileTheServerIsStarting) {
  FakeServer server;
  const std::int64_t now_us = SystemClock().WallUs();
  server.On("GET /api/v1/status", StartingStatus(R"({"state":"starting","recipes":[]})", now_us));
  server.On("GET /readyz", R"({"type":"https://ratchet.dev/problems/unavailable","detail":"the worker is starting"})", 503);
  server.On("GET /api/v1/models", R"({"items":[],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 0) << end.out;
  EXPECT_THAT(end.out, HasSubstr("warn  worker      it is starting\n                  → Try again in a moment\n"));
  EXPECT_THAT(end.out, HasSubstr("warn  data plane  it is starting\n"));
  EXPECT_THAT(end.out, Not(HasSubstr("fail")));
  EXPECT_THAT(end.out, Not(HasSubstr("ready ")));
}

TEST(Doctor, FailsWhereTheDataPlaneIsStillNotThereLongAfterTheStart) {
  FakeServer server;
  server.On("GET /api/v1/status",
            StartingStatus(R"({"state":"ready","sandbox":"landlock","recipes":[{"name":"r"}]})", SystemClock().WallUs() - 60'000'000));
  server.On("GET /readyz", "ready");
  server.On("GET /api/v1/models", R"({"items":[],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 1) << end.out;
  EXPECT_THAT(end.out, HasSubstr("fail  data plane  nothing answers"));
  EXPECT_THAT(end.out, HasSubstr("fail  routes      no replica"));
}

TEST(Doctor, FailsWhereTheDiskTakesNothingThoughTheWorkerIsStarting) {
  FakeServer server;
  server.On("GET /api/v1/status", StartingStatus(R"({"state":"starting","recipes":[]})", SystemClock().WallUs()));
  server.On("GET /readyz", R"({"type":"https://ratchet.dev/problems/internal","detail":"write x: disk failed"})", 500);
  ProgramEnd end = Ratchet(server.Url(), {"doctor"});
  EXPECT_EQ(end.code, 1) << end.out;
  EXPECT_THAT(end.out, HasSubstr("fail  ready       write x: disk failed"));
}

TEST(DatasetPush, StreamsTheFileAndSaysWhatWasAdded) {
  FakeServer server;
  server.On("POST /api/v1/datasets/churn/versions",
            R"({"dataset":"churn","version":2,"rows_added":{"train":7,"validation":1,"holdout":2},"bytes_added":2048})",
            201);
  TemporaryFolder folder;
  WriteWhole(folder / "rows.csv", "a,b\n1,2\n");
  ProgramEnd end =
      Ratchet(server.Url(), {"dataset", "push", "churn", folder / "rows.csv", "--key", "a b", "--holdout", "0.2"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, StartsWith("churn@2: 10 rows added (train 7, validation 1, holdout 2), 2.0 KiB in "));
  SeenRequest seen = server.Seen().at(0);
  EXPECT_EQ(seen.target, "/api/v1/datasets/churn/versions?key=a%20b&holdout=0.2");
  EXPECT_EQ(seen.body, "a,b\n1,2\n");
  EXPECT_EQ(seen.content_type, "text/csv");
  EXPECT_EQ(seen.idempotency_key.substr(0, 5), "file-");
}

TEST(DatasetRotateHoldout, SaysWhatWasRetiredAndWhatFollows) {
  FakeServer server;
  server.On("POST /api/v1/datasets/churn/rotate-holdout",
            R"({"version":{"dataset":"churn","version":4,"rows":{"train":90,"validation":10,"holdout":0}},"rows":30,"withheld":2,"until_push":3,"losing":["risk"]})",
            201);
  ProgramEnd end = Ratchet(server.Url(), {"dataset", "rotate-holdout", "churn", "--model", "risk", "--current", "--reason", "worn out"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("churn@4: 30 sealed rows of the pushes up to 3 can be trained on now (train 90, validation 10, holdout 0)"));
  EXPECT_THAT(end.err, HasSubstr("2 rows stay sealed"));
  EXPECT_THAT(end.err, HasSubstr("Candidates of risk are judged on fewer rows"));
  EXPECT_THAT(end.err, HasSubstr("No sealed row is left"));
  const Json body = Json::parse(server.Seen().at(0).body);
  EXPECT_EQ(body, (Json{{"current", true}, {"force", false}, {"reason", "worn out"}, {"model", "risk"}}));
  EXPECT_FALSE(server.Seen().at(0).idempotency_key.empty());
}

TEST(DatasetPush, TakesStandardInputWithAFormatOnly) {
  FakeServer server;
  server.On("POST /api/v1/datasets/d/versions", R"({"dataset":"d","version":1})", 201);
  EXPECT_THAT(Ratchet(server.Url(), {"dataset", "push", "d", "-"}, "{}").err, HasSubstr("--format"));
  EXPECT_EQ(Ratchet(server.Url(), {"dataset", "push", "d", "-", "--format", "jsonl"}, "{\"a\":1}\n").code, 0);
  EXPECT_EQ(server.Seen().at(0).body, "{\"a\":1}\n");
  EXPECT_EQ(server.Seen().at(0).content_type, "application/x-ndjson");
}

TEST(DetectRowFormat, GoesByTheNameThenTheBytes) {
  EXPECT_EQ(DetectRowFormat("a.jsonl", ""), RowFormat::kJsonLines);
  EXPECT_EQ(DetectRowFormat("a.pack", ""), RowFormat::kPack);
  EXPECT_EQ(DetectRowFormat("a.csv", "SQLite format 3"), RowFormat::kPack);
  EXPECT_EQ(DetectRowFormat("a", " {\"a\":1}"), RowFormat::kJsonLines);
  EXPECT_EQ(DetectRowFormat("a", "x,y\n"), RowFormat::kCsv);
  EXPECT_FALSE(DetectRowFormat("a.csv.gz", "\x1f\x8b"));
}

TEST(Rollback, PrintsFromToAndHowLong) {
  FakeServer server;
  server.On("POST /api/v1/models/sorter/rollback", kRelease);
  ProgramEnd end = Ratchet(server.Url(), {"rollback", "sorter", "--to", "1", "--reason", "wrong labels"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, StartsWith("sorter: @2 → @1 in 12 ms, "));
  EXPECT_THAT(end.out, HasSubstr("round trip (release 9)"));
  EXPECT_EQ(server.Seen().at(0).body, R"({"to":1,"reason":"wrong labels"})");
}

TEST(Promote, WaitsForTheReleaseAndTellsItsFailure) {
  FakeServer server;
  server.On("POST /api/v1/models/sorter/promote",
            R"({"id":9,"model":"sorter","kind":"force","from":1,"to":3,"state":"loading"})");
  server.On("GET /api/v1/models/sorter/releases",
            R"({"items":[{"id":9,"kind":"force","from":1,"to":3,"state":"loading"}],"next":null})");
  server.On(
      "GET /api/v1/models/sorter/releases",
      R"({"items":[{"id":9,"kind":"force","from":1,"to":3,"state":"failed","error":"the bundle does not load"}],"next":null})");
  ProgramEnd end = Ratchet(server.Url(), {"promote", "sorter@3", "--force", "--reason", "try"});
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.err, HasSubstr("the bundle does not load"));
  EXPECT_EQ(server.Seen().at(0).body, R"({"version":3,"reason":"try","force":true})");
}

TEST(ModelDiff, MarksWhatDiffers) {
  FakeServer server;
  auto version = [](int number, const char* rate, const char* score) {
    return std::string(R"({"model":"m","version":)") + std::to_string(number) + R"(,"metric":"accuracy","score":)" +
           score +
           R"(,"recipe":"r","dataset":"d","dataset_version":1,"run":4,"manifest":{"lineage":{"params":{"epochs":3,"learning_rate":)" +
           rate + "}}}}";
  };
  server.On("GET /api/v1/models/m/versions/1", version(1, "0.1", "0.5"));
  server.On("GET /api/v1/models/m/versions/2", version(2, "0.01", "0.75"));
  std::string out = Ratchet(server.Url(), {"model", "diff", "m@1", "m@2"}).out;
  EXPECT_THAT(out, testing::ContainsRegex("≠ +params.learning_rate +0.1 +0.01\n"));
  EXPECT_THAT(out, testing::ContainsRegex("≠ +accuracy +0.5000 +0.7500\n"));
  EXPECT_THAT(out, testing::ContainsRegex("\n   +params.epochs +3 +3\n"));
}

std::string DecisionJson(const std::string& reason, const std::string& p) {
  return R"({"verdict":"better","reason":")" + reason + R"(","metric":"accuracy","test":"tango_score","p_value":)" + p + "}";
}

TEST(ModelDiff, WrapsReasonsToEightyColumnsInAPipeAndCutsNothing) {
  FakeServer server;
  const std::string reason = "Candidate 0.7277 against 0.5951 on 988 rows: better by 0.1326 (95 % interval 0.09459 to 0.1705).";
  for (const char* path : {"GET /api/v1/models/m/versions/1", "GET /api/v1/models/m/versions/2"}) {
    server.On(path, R"({"model":"m","version":1,"metric":"accuracy","score":0.5})");
    server.On(std::string(path) + "/decision", DecisionJson(reason, "0.5"));
  }
  const std::string out = Ratchet(server.Url(), {"model", "diff", "m@1", "m@2"}).out;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;
  for (const char* word : {"Candidate", "988", "0.1705)."}) EXPECT_THAT(out, HasSubstr(word));
  EXPECT_THAT(out, Not(HasSubstr("…")));
  const Json both = ParseJson(Ratchet(server.Url(), {"model", "diff", "m@1", "m@2", "-o", "json"}).out);
  EXPECT_EQ(TextField(Field(both.at(1), "decision"), "reason"), reason);
}

TEST(ModelShow, TellsNoDigitsOfAPValueThatADoubleCanHardlyHold) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/1", R"({"model":"m","version":1,"metric":"accuracy","score":0.5})");
  server.On("GET /api/v1/models/m/versions/1/decision", DecisionJson("Well.", "2.23e-308"));
  EXPECT_THAT(Ratchet(server.Url(), {"model", "show", "m@1"}).out, HasSubstr("tango_score, p < 1e-300\n"));
}

TEST(ModelShow, SaysOfALiveVersionThatCannotBeScoredWhyAndTheWaysOut) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/2", R"({"model":"m","version":2,"metric":"accuracy","score":null})");
  server.On("GET /api/v1/models/m/versions/2/decision",
            R"({"verdict":"live_unscorable","reason":"R","candidate":null,"opponent":null,"rows":0,"test":"none","forced":false,
                "live_unscorable":{"reason":"columns","message":"no column spend","model":"m","live":1,"reset":false,"ways_out":["force it","reset it"]}})");
  const std::string out = Ratchet(server.Url(), {"model", "show", "m@2"}).out;
  EXPECT_THAT(out, testing::ContainsRegex("Decision +live_unscorable\n"));
  EXPECT_THAT(out, testing::ContainsRegex("Live version +m@1 cannot be scored any more \\(columns\\): no column spend\n"));
  EXPECT_THAT(out, testing::ContainsRegex("Way out +force it\nWay out +reset it\n"));
  EXPECT_THAT(out, Not(HasSubstr("Rows ")));
}

TEST(ModelExport, WritesTheWholeBundleOrNothing) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/1/bundle", std::string("tar\0bytes", 9), 200, "application/x-tar");
  TemporaryFolder folder;
  EXPECT_EQ(Ratchet(server.Url(), {"model", "export", "m@1", folder / "m.tar"}).code, 0);
  EXPECT_EQ(ReadWhole(folder / "m.tar"), std::string("tar\0bytes", 9));
  EXPECT_EQ(Ratchet(server.Url(), {"model", "export", "m@2", folder / "n.tar"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "n.tar"));
  EXPECT_FALSE(std::filesystem::exists(folder / "n.tar.part"));
}

TEST(ModelShow, TellsWhereTheDecisionIsOnOnePage) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/1", R"({"model":"m","version":1,"metric":"accuracy","score":0.5})");
  server.On("GET /api/v1/models/m/versions/1/decision", DecisionJson("Well.", "0.01"));
  EXPECT_THAT(Ratchet(server.Url(), {"model", "show", "m@1"}).out,
              testing::ContainsRegex("\nReport +" + server.Url() + "/api/v1/models/m/versions/1/decision/report\n"));
}

TEST(ModelExplain, WritesThePageBesideWhatItPrints) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/1/decision/report", "<!doctype html>page", 200, "text/html; charset=utf-8");
  server.On("GET /api/v1/models/m/versions/1/decision/explain",
            R"({"report":)" + DecisionJson("Well.", "0.01") + R"(,"same":true,"differences":[],"scores":"abc"})");
  TemporaryFolder folder;
  const auto run = Ratchet(server.Url(), {"model", "explain", "m@1", "--html", folder / "m.html"});
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(ReadWhole(folder / "m.html"), "<!doctype html>page");
  EXPECT_THAT(run.out, HasSubstr("the same, bit for bit"));
  EXPECT_THAT(run.err, HasSubstr("m.html: decision report of m@1, 19 B"));
  EXPECT_EQ(Ratchet(server.Url(), {"model", "explain", "m@1", "--html", "-"}).out, "<!doctype html>page");
}

TEST(ModelExplain, SaysByWhichMethodAndWhetherTheDecisionItselfStands) {
  FakeServer server;
  const std::string report = R"({"report":)" + DecisionJson("Well.", "0.01");
  server.On("GET /api/v1/models/m/versions/1/decision/explain",
            report + R"(,"same":true,"same_decision":true,"differences":[],"method":{"number":1,"newest":2,"named":true},"scores":"abc"})");
  EXPECT_THAT(Ratchet(server.Url(), {"model", "explain", "m@1"}).out,
              HasSubstr("by method 1 (today's is 2): the same, bit for bit."));
  server.On("GET /api/v1/models/m/versions/2/decision/explain",
            report + R"(,"same":false,"same_decision":true,"differences":["interval"],"method":{"number":2,"newest":2,"named":true},"scores":"abc"})");
  const auto other = Ratchet(server.Url(), {"model", "explain", "m@2"});
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.out, HasSubstr("kept: NOT the same in interval; the decision itself is the same."));
}

TEST(ModelExplain, WritesThePageOfADecisionThatIsTooOldToBeMadeAgain) {
  FakeServer server;
  server.On("GET /api/v1/models/m/versions/1/decision/report", "<!doctype html>page", 200, "text/html; charset=utf-8");
  TemporaryFolder folder;
  EXPECT_EQ(Ratchet(server.Url(), {"model", "explain", "m@1", "--html", folder / "m.html"}).code, 0);
  EXPECT_EQ(ReadWhole(folder / "m.html"), "<!doctype html>page");
  EXPECT_EQ(Ratchet(server.Url(), {"model", "explain", "m@1"}).code, 1);
  EXPECT_EQ(Ratchet(server.Url(), {"model", "explain", "m@2", "--html", folder / "n.html"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "n.html"));
}

TEST(DatasetPreview, ShowsBlobsBySize) {
  FakeServer server;
  server.On("GET /api/v1/datasets/p", R"({"name":"p","latest_version":3,"schema":[{"name":"id","type":"text"},
            {"name":"image","type":"blob","shape":[1,2,2]},{"name":"n","type":"integer"}]})");
  server.On("GET /api/v1/datasets/p/versions/3/rows",
            R"({"columns":["id","image","n"],"items":[["a","AAECAw==",7]],"next":null})");
  EXPECT_EQ(Ratchet(server.Url(), {"dataset", "preview", "p"}).out, "id  image      n\na   <4 bytes>  7\n");
}

TEST(Audit, ListsEntries) {
  FakeServer server;
  server.On(
      "GET /api/v1/audit",
      R"({"items":[{"id":1,"at":1,"actor":"loopback","action":"promote","subject":"m@1","detail":"x"}],"next":null})");
  EXPECT_THAT(Ratchet(server.Url(), {"audit", "list"}).out, HasSubstr("loopback  promote  m@1      x"));
}

}  // namespace
}  // namespace ratchet::cli
