#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "registry/runs.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One request and what its answer must be. They run in order, on a registry that has `toys`.
struct Scenario {
  const char* what;
  const char* method;
  std::string target;
  const char* type;
  std::string body;
  int status;
  std::vector<std::string> fragments;
};

class ApiTest : public ApiFixture {
 protected:
  void RunAll(const std::vector<Scenario>& scenarios) {
    for (const Scenario& one : scenarios) {
      SCOPED_TRACE(one.what);
      const auto answer = Do(one.method, one.target, one.type, one.body);
      EXPECT_EQ(answer.status, one.status) << answer.body.substr(0, 2000);
      for (const std::string& fragment : one.fragments) EXPECT_THAT(answer.body, HasSubstr(fragment));
      if (answer.status >= 400) {
        EXPECT_EQ(answer.headers.at("content-type"), "application/problem+json");
      }
    }
  }
};

TEST_F(ApiTest, TellsOfItselfOnAnEmptyRegistry) {
  RunAll({
      {"status", "GET", "/api/v1/status", "", "", 200, {"\"runs_active\":0", "\"state\":\"ready\"", "127.0.0.1:7301"}},
      {"health", "GET", "/healthz", "", "", 200, {"ok"}},
      {"readiness", "GET", "/readyz", "", "", 200, {"ready"}},
      {"no pipelines", "GET", "/api/v1/pipelines", "", "", 200, {"\"items\":[]", "\"next\":null"}},
      {"no runs", "GET", "/api/v1/runs?state=running", "", "", 200, {"\"items\":[]"}},
      {"no such run state", "GET", "/api/v1/runs?state=asleep", "", "", 400, {"\"field\":\"state\""}},
      {"no such run", "GET", "/api/v1/runs/7", "", "", 404, {"not-found"}},
      {"a run that is no number", "GET", "/api/v1/runs/seven", "", "", 404, {"not-found"}},
      {"no such model", "GET", "/api/v1/models/none/versions", "", "", 404, {}},
      {"no such dataset", "GET", "/api/v1/datasets/none", "", "", 404, {}},
      {"a limit of nothing", "GET", "/api/v1/runs?limit=0", "", "", 400, {"\"field\":\"limit\""}},
      {"a cursor that is none", "GET", "/api/v1/audit?after=x", "", "", 400, {"\"field\":\"after\""}},
      {"a blob that is no bundle's", "GET", "/api/v1/blobs/" + std::string(64, 'a'), "", "", 404, {}},
      {"metrics", "GET", "/metrics", "", "", 200, {"ratchet_http_requests_total", "ratchet_runs_active", "/healthz"}},
      {"the page", "GET", "/", "", "", 200, {}},
  });
}

TEST_F(ApiTest, SaysWhenTheWorkerIsNotReady) {
  worker_["state"] = "starting";
  EXPECT_EQ(Do("GET", "/readyz").status, 503);
}

TEST_F(ApiTest, TakesInRowsAndShowsOnlyTheTrainingOnes) {
  RunAll({
      {"first push",
       "POST",
       "/api/v1/datasets/toys/versions?key=id&holdout=0.3",
       "text/csv",
       ToysCsv(100),
       201,
       {"\"version\":1", "\"holdout\":"}},
      {"the dataset",
       "GET",
       "/api/v1/datasets/toys",
       "",
       "",
       200,
       {"\"holdout\":0.3", "\"key\":\"id\"", "\"latest_version\":1", "{\"name\":\"size\",\"type\":\"real\"}"}},
      {"second push",
       "POST",
       "/api/v1/datasets/toys/versions",
       "application/x-ndjson",
       "{\"id\":1000,\"size\":1.5,\"label\":1}\n",
       201,
       {"\"version\":2"}},
      {"versions, newest first",
       "GET",
       "/api/v1/datasets/toys/versions?limit=1",
       "",
       "",
       200,
       {"\"version\":2", "\"next\":\"2\""}},
      {"the next page",
       "GET",
       "/api/v1/datasets/toys/versions?limit=1&after=2",
       "",
       "",
       200,
       {"\"version\":1", "\"next\":null"}},
      {"no such version", "GET", "/api/v1/datasets/toys/versions/9", "", "", 404, {}},
      {"rows",
       "GET",
       "/api/v1/datasets/toys/versions/1/rows?limit=2",
       "",
       "",
       200,
       {"\"columns\":[\"id\",\"size\",\"label\"]", "\"next\":\"2\""}},
  });
  const Json rows = Ok("GET", "/api/v1/datasets/toys/versions/1/rows?limit=500");
  const Json dataset = Ok("GET", "/api/v1/datasets/toys/versions/1");
  EXPECT_EQ(rows.at("items").size(), dataset.at("rows").at("train").get<size_t>());
}

TEST_F(ApiTest, RefusesBadRowsAndKeepsNothingOfThem) {
  PushToys();
  RunAll({
      {"wrong columns", "POST", "/api/v1/datasets/toys/versions", "text/csv", "a,b\n1,2\n", 400, {"invalid"}},
      {"ragged rows",
       "POST",
       "/api/v1/datasets/toys/versions",
       "text/csv",
       "id,size,label\n1,2\n",
       400,
       {"\"line\":2"}},
      {"wrong type", "POST", "/api/v1/datasets/toys/versions", "text/csv", "id,size,label\n1,big,1\n", 400, {"size"}},
      {"not UTF-8", "POST", "/api/v1/datasets/texts/versions", "text/csv", "a\n\xff\xfe\n", 400, {"UTF-8"}},
      {"empty", "POST", "/api/v1/datasets/texts/versions", "text/csv", "\n", 400, {}},
      {"no pack", "POST", "/api/v1/datasets/texts/versions", "application/vnd.ratchet.pack", "SQLite?", 400, {}},
      {"unknown type", "POST", "/api/v1/datasets/texts/versions", "image/png", "x", 415, {"text/csv"}},
      {"bad share", "POST", "/api/v1/datasets/texts/versions?holdout=much", "text/csv", "a\n1\n", 400, {"holdout"}},
      {"impossible share",
       "POST",
       "/api/v1/datasets/texts/versions?holdout=1.5",
       "text/csv",
       "a\n1\n",
       400,
       {"holdout"}},
      {"bad name", "POST", "/api/v1/datasets/No%20Name/versions", "text/csv", "a\n1\n", 400, {}},
      {"what failed left nothing", "GET", "/api/v1/datasets/texts", "", "", 404, {}},
  });
}

TEST_F(ApiTest, PushesOnceForEachIdempotencyKey) {
  const std::string key = "Idempotency-Key: push-1\r\n";
  const auto first = Do("POST", "/api/v1/datasets/toys/versions", "text/csv", ToysCsv(10), key);
  const auto again = Do("POST", "/api/v1/datasets/toys/versions", "text/csv", ToysCsv(10), key);
  const auto other = Do("POST", "/api/v1/datasets/toys/versions", "text/csv", ToysCsv(11), key);
  EXPECT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(Ok("GET", "/api/v1/datasets/toys").at("latest_version"), 1);
}

TEST_F(ApiTest, AdoptsNothingOfAPushThatEndsEarly) {
  for (const std::string& framing : {std::string("Content-Length: 900\r\n\r\na\n1\n"),
                                     std::string("Content-Length: 90000\r\n\r\na\n1\n"),
                                     std::string("Transfer-Encoding: chunked\r\n\r\n4\r\na\n1\n\r\n")}) {
    RawClient client(server_->port());
    client.Send("POST /api/v1/datasets/cut/versions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n" + framing);
    client.FinishSending();
    const auto answer = client.Read();
    EXPECT_EQ(answer.status, 400) << framing;
    EXPECT_THAT(answer.body, HasSubstr("ended early"));
    EXPECT_EQ(Do("GET", "/api/v1/datasets/cut").status, 404);
  }
}

TEST_F(ApiTest, NamesEachAllowedMethodOnce) {
  EXPECT_EQ(Do("POST", "/healthz").headers.at("allow"), "GET, HEAD");
  EXPECT_EQ(Do("DELETE", "/api/v1/datasets/toys/versions").headers.at("allow"), "GET, POST, HEAD");
}

TEST_F(ApiTest, KeepsEveryConcurrentPush) {
  PushToys();
  std::vector<std::thread> pushers;
  for (int i = 0; i < 8; ++i) {
    pushers.emplace_back([this, i] {
      const std::string row = std::to_string(2000 + i);
      EXPECT_EQ(Do("POST", "/api/v1/datasets/toys/versions", "text/csv", "id,size,label\n" + row + ",1.5,0\n").status,
                201);
    });
  }
  for (std::thread& pusher : pushers) pusher.join();
  const Json dataset = Ok("GET", "/api/v1/datasets/toys");
  EXPECT_EQ(dataset.at("latest_version"), 9);
  const Json& rows = dataset.at("rows");
  EXPECT_EQ(rows.at("train").get<int>() + rows.at("validation").get<int>() + rows.at("holdout").get<int>(), 108);
}

TEST_F(ApiTest, AppliesPipelines) {
  const std::string spec = kToysSpec;
  const std::string changed = spec + "  seed: 4\n";
  const std::string filed = "model: filed" + spec.substr(spec.find('\n'));
  const std::string in_json = Json{{"spec", filed}, {"files", {{"train.py", "cHJpbnQoMSk="}}}}.dump();
  RunAll({
      {"new", "PUT", "/api/v1/pipelines/toys", "application/yaml", spec, 201, {"\"revision\":1", "\"changed\":true"}},
      {"the same",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/yaml",
       spec,
       200,
       {"\"revision\":1", "\"changed\":false"}},
      {"changed",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/yaml",
       changed,
       200,
       {"\"revision\":2", "\"changed\":true"}},
      {"with a file", "PUT", "/api/v1/pipelines/filed", "application/json", in_json, 201, {"\"train.py\":\""}},
      {"one", "GET", "/api/v1/pipelines/toys", "", "", 200, {"\"spec_text\"", "\"last_run\":null"}},
      {"its dataset came with it", "GET", "/api/v1/datasets/toys", "", "", 200, {"\"latest_version\":0"}},
      {"deleted", "DELETE", "/api/v1/pipelines/filed", "", "", 204, {}},
      {"gone", "GET", "/api/v1/pipelines/filed", "", "", 404, {}},
  });
}

TEST_F(ApiTest, RefusesBadSpecs) {
  const std::string spec = kToysSpec;
  ApplyToys();
  RunAll({
      {"another split",
       "PUT",
       "/api/v1/pipelines/other",
       "application/yaml",
       "model: other\ndata: {dataset: toys, target: label, split: {holdout: 0.5}}\ntrain: {recipe: "
       "tabular.classifier}\n",
       409,
       {"\"field\":\"data.split\""}},
      {"validate", "POST", "/api/v1/pipelines/validate", "application/yaml", spec, 200, {"\"valid\":true"}},
      {"unknown key",
       "POST",
       "/api/v1/pipelines/validate",
       "application/yaml",
       spec + "tets: {}\n",
       422,
       {"\"errors\":[", "test", "\"line\":9"}},
      {"no section", "PUT", "/api/v1/pipelines/toys", "application/yaml", "model: toys\n", 422, {"data"}},
      {"wrong type",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/yaml",
       spec + "gate: {confidence: high}\n",
       422,
       {"gate.confidence"}},
      {"impossible value",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/yaml",
       spec + "gate: {confidence: 2}\n",
       422,
       {"gate.confidence"}},
      {"no spec in JSON", "PUT", "/api/v1/pipelines/toys", "application/json", "{}", 400, {"spec"}},
      {"malformed JSON", "PUT", "/api/v1/pipelines/toys", "application/json", "{\"spec\":", 400, {"JSON"}},
      {"a file elsewhere",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/json",
       Json{{"spec", spec}, {"files", {{"../x", ""}}}}.dump(),
       400,
       {"plain file name"}},
      {"no base64",
       "PUT",
       "/api/v1/pipelines/toys",
       "application/json",
       Json{{"spec", spec}, {"files", {{"x", "*"}}}}.dump(),
       400,
       {"base64"}},
      {"bad name", "PUT", "/api/v1/pipelines/A%20B", "application/yaml", spec, 400, {}},
      {"dots", "PUT", "/api/v1/pipelines/..%2f..%2fetc", "application/yaml", spec, 400, {}},
      {"a name of 300", "PUT", "/api/v1/pipelines/" + std::string(300, 'a'), "application/yaml", spec, 400, {}},
      {"a name of 10,000",
       "PUT",
       "/api/v1/pipelines/" + std::string(10'000, 'a'),
       "application/yaml",
       spec,
       414,
       {"too-large"}},
      {"nothing changed", "GET", "/api/v1/pipelines/toys", "", "", 200, {"\"revision\":1"}},
  });
}

TEST_F(ApiTest, RefusesHugeSpecsQuickly) {
  std::string nested;
  for (int i = 0; i < 5'000'000; ++i) nested += "[\n";
  EXPECT_EQ(Do("PUT", "/api/v1/pipelines/toys", "application/yaml", nested).status, 413);
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'i'; ++c) {
    const std::string before = "*" + std::string(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + std::string(1, c) + " [" + before;
    for (int i = 0; i < 8; ++i) bomb += "," + before;
    bomb += "]\n";
  }
  const auto answer = Do("PUT", "/api/v1/pipelines/toys", "application/yaml", bomb);
  EXPECT_TRUE(answer.status == 413 || answer.status == 422 || answer.status == 400) << answer.status;
  EXPECT_EQ(Do("PUT", "/api/v1/pipelines/toys", "application/yaml", std::string(17u << 20, 'a')).status, 413);
}

TEST_F(ApiTest, ChecksRecipesAgainstTheWorkers) {
  worker_["recipes"] = {
      {{"name", "tabular.classifier"},
       {"task", "classification"},
       {"metric", "accuracy"},
       {"params", {{{"name", "epochs"}, {"type", "integer"}, {"default", 3}, {"min", 1}, {"max", 100}}}}}};
  const auto spec = [](const char* recipe, const char* params) {
    return std::string("model: toys\ndata: {dataset: toys, target: label, split: {key: id}}\ntrain:\n  recipe: ") + recipe +
           "\n  params: " + params + "\n";
  };
  RunAll({
      {"known",
       "POST",
       "/api/v1/pipelines/validate",
       "application/yaml",
       spec("tabular.classifier", "{epochs: 5}"),
       200,
       {}},
      {"unknown plugin",
       "POST",
       "/api/v1/pipelines/validate",
       "application/yaml",
       spec("tabular.clasifier", "{}"),
       422,
       {"train.recipe", "tabular.classifier"}},
      {"unknown parameter",
       "POST",
       "/api/v1/pipelines/validate",
       "application/yaml",
       spec("tabular.classifier", "{epoch: 5}"),
       422,
       {"train.params.epoch", "epochs"}},
      {"out of range",
       "POST",
       "/api/v1/pipelines/validate",
       "application/yaml",
       spec("tabular.classifier", "{epochs: 500}"),
       422,
       {"train.params.epochs"}},
  });
}

TEST_F(ApiTest, StartsListsCancelsRuns) {
  ApplyToys();
  RunAll({{"no rows yet", "POST", "/api/v1/pipelines/toys/runs", "", "", 409, {}}});
  PushToys();
  RunAll({
      {"start",
       "POST",
       "/api/v1/pipelines/toys/runs",
       "application/json",
       R"({"set":{"train.params.epochs":7},"reason":"try"})",
       201,
       {"\"id\":1", "\"state\":\"queued\"", "\"train.params.epochs\":7", "\"kind\":\"manual\""}},
      {"unknown override",
       "POST",
       "/api/v1/pipelines/toys/runs",
       "application/json",
       R"({"set":{"model":"x"}})",
       422,
       {}},
      {"unknown field",
       "POST",
       "/api/v1/pipelines/toys/runs",
       "application/json",
       R"({"sets":{}})",
       400,
       {"Did you mean set?"}},
      {"not an object", "POST", "/api/v1/pipelines/toys/runs", "application/json", "[1]", 400, {}},
      {"deeply nested", "POST", "/api/v1/pipelines/toys/runs", "application/json", std::string(100'000, '['), 400, {}},
      {"not JSON", "POST", "/api/v1/pipelines/toys/runs", "text/plain", "x", 415, {}},
      {"no such pipeline", "POST", "/api/v1/pipelines/none/runs", "", "", 404, {}},
      {"list", "GET", "/api/v1/runs?pipeline=toys", "", "", 200, {"\"id\":1"}},
      {"one", "GET", "/api/v1/runs/1", "", "", 200, {"\"name\":\"validate\"", "\"attempts\":[]"}},
      {"logs of what has not begun", "GET", "/api/v1/runs/1/logs", "", "", 200, {}},
      {"logs of no step", "GET", "/api/v1/runs/1/logs?step=bake", "", "", 404, {"validate, train"}},
      {"cancel", "POST", "/api/v1/runs/1/cancel", "", "", 200, {"\"id\":1"}},
      {"retry of what has not ended", "POST", "/api/v1/runs/1/retry", "", "", 409, {}},
      {"pipeline knows its run", "GET", "/api/v1/pipelines/toys", "", "", 200, {"\"last_run\":1"}},
      {"audit", "GET", "/api/v1/audit?limit=500", "", "", 200, {"pipeline.apply", "\"actor\":\"loopback\""}},
  });
}

TEST_F(ApiTest, StartsRunsThatAreUrgentOrAnew) {
  ApplyToys();
  PushToys();
  RunAll({
      {"urgent", "POST", "/api/v1/pipelines/toys/runs", "application/json", R"({"priority":5,"fresh":true})", 201, {"\"priority\":5", "\"fresh\":true"}},
      {"too urgent", "POST", "/api/v1/pipelines/toys/runs", "application/json", R"({"priority":500})", 400, {"-100 to 100"}},
      {"no flag", "POST", "/api/v1/pipelines/toys/runs", "application/json", R"({"fresh":1})", 400, {"true or false"}},
      {"pause", "POST", "/api/v1/pipelines/toys/pause", "", "", 200, {"\"state\":\"paused\""}},
      {"why it waits", "GET", "/api/v1/runs/1", "", "", 200, {"\"waiting\":\"the pipeline is paused; `ratchet pipeline resume toys`"}},
      {"resume", "POST", "/api/v1/pipelines/toys/resume", "", "", 200, {"\"state\":\"active\""}},
      {"pause of none", "POST", "/api/v1/pipelines/none/pause", "", "", 404, {}},
      {"timeline", "GET", "/api/v1/runs/1/timeline", "", "", 200, {"\"for\":\"queue\""}},
      {"trials of no sweep", "GET", "/api/v1/runs/1/trials", "", "", 200, {"\"items\":[]"}},
      {"timeline of none", "GET", "/api/v1/runs/9/timeline", "", "", 404, {}},
  });
}

TEST_F(ApiTest, ReproducesOnlyWhatHasTrained) {
  ApplyToys();
  PushToys();
  Ok("POST", "/api/v1/pipelines/toys/runs", "application/json", R"({"set":{"train.params.epochs":7}})");
  RunAll({{"before", "POST", "/api/v1/runs/1/reproduce", "", "", 409, {"its training has not succeeded"}}});
  const auto trained = store_->Write([&](Db& db) -> Status {
    RATCHET_TRY(registry::StartRun(db, 1, 1));
    for (const char* step : {"validate", "train"})
      for (auto state : {registry::StepState::kRunning, registry::StepState::kSucceeded})
        RATCHET_TRY(registry::MoveStep(db, 1, 1, step, state));
    return {};
  });
  ASSERT_TRUE(trained) << trained.error().Message();
  PushToys();
  Ok("PUT", "/api/v1/pipelines/toys", "application/yaml", std::string(kToysSpec) + "gate: {confidence: 0.9}\n");
  const auto answer = Do("POST", "/api/v1/runs/1/reproduce", "application/json", R"({"reason":"audit"})", "Idempotency-Key: a\r\n");
  EXPECT_EQ(answer.status, 201) << answer.body;
  const Json run = Json::parse(answer.body, nullptr, false);
  EXPECT_EQ(run.at("reproduces"), 1);
  EXPECT_EQ(run.at("revision"), 1);
  EXPECT_EQ(run.at("dataset_version"), 1);
  EXPECT_EQ(run.at("fresh"), true);
  EXPECT_EQ(run.at("overrides").at("train.params.epochs"), 7);
  EXPECT_EQ(run.at("reason").dump(), R"({"detail":"run 1: audit","kind":"reproduce"})");
  ASSERT_EQ(run.at("steps").size(), 2u) << "it ends after training";
  EXPECT_EQ(run.at("steps").at(1).at("needs").dump(), R"(["validate"])");
  EXPECT_EQ(Do("POST", "/api/v1/runs/1/reproduce", "application/json", R"({"reason":"audit"})", "Idempotency-Key: a\r\n").status, 200);
  EXPECT_EQ(Do("POST", "/api/v1/runs/7/reproduce").status, 404);
}

TEST_F(ApiTest, StartsOneRunForEachIdempotencyKey) {
  ApplyToys();
  PushToys();
  const std::string key = "Idempotency-Key: run-1\r\n";
  const auto first = Do("POST", "/api/v1/pipelines/toys/runs", "application/json", "{}", key);
  const auto again = Do("POST", "/api/v1/pipelines/toys/runs", "application/json", "{}", key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(Json::parse(first.body).at("id"), Json::parse(again.body).at("id"));
  EXPECT_EQ(Ok("GET", "/api/v1/runs").at("items").size(), 1u);
}

TEST_F(ApiTest, RefusesQueryParametersThatAreNone) {
  RunAll({
      {"a slip", "GET", "/api/v1/runs?pipelin=toys", "", "", 400, {"\"field\":\"pipelin\"", "Did you mean pipeline?"}},
      {"another's", "GET", "/api/v1/models?state=live", "", "", 400, {"\"field\":\"state\"", "limit after"}},
      {"where none is", "GET", "/api/v1/status?verbose=1", "", "", 400, {"takes none"}},
      {"of a push", "POST", "/api/v1/datasets/d/versions?keys=id", "text/csv", "id\n1\n", 400, {"Did you mean key?"}},
      {"of the page", "GET", "/?from=bookmark", "", "", 200, {}},
  });
}

TEST_F(ApiTest, RefusesASecondPipelineForAModel) {
  ApplyToys();
  RunAll({
      {"same model", "PUT", "/api/v1/pipelines/again", "application/yaml", kToysSpec, 409,
       {"pipeline toys trains model toys already", "\"field\":\"model\""}},
      {"unchanged", "PUT", "/api/v1/pipelines/toys", "application/yaml", kToysSpec, 200, {"\"changed\":false"}},
      {"delete", "DELETE", "/api/v1/pipelines/toys", "", "", 204, {}},
      {"now it is free", "PUT", "/api/v1/pipelines/again", "application/yaml", kToysSpec, 201, {}},
  });
}

TEST_F(ApiTest, RefusesToRetryARunWhosePipelineIsGone) {
  ApplyToys();
  PushToys();
  Ok("POST", "/api/v1/pipelines/toys/runs");
  const auto cancelled = store_->Write([&](Db& db) {
    return registry::EndRun(db, clock_.WallUs(), 1, registry::RunState::kCancelled, {.outcome = "cancelled"});
  });
  ASSERT_TRUE(cancelled) << cancelled.error().Message();
  RunAll({
      {"delete", "DELETE", "/api/v1/pipelines/toys", "", "", 204, {}},
      {"retry", "POST", "/api/v1/runs/1/retry", "", "", 409, {"toys was deleted", "ratchet pipeline apply"}},
      {"bring back", "PUT", "/api/v1/pipelines/toys", "application/yaml", kToysSpec, 201, {}},
      {"retry again", "POST", "/api/v1/runs/1/retry", "", "", 200, {"\"state\":\"queued\""}},
  });
}

TEST_F(ApiTest, StreamsEventsFromWhereTheClientWas) {
  ApplyToys();
  PushToys();
  RawClient client(server_->port());
  client.Send(RequestText("GET", "/api/v1/events", "Last-Event-ID: 1\r\n"));
  EXPECT_TRUE(client.ReadUntil("event: dataset.version"));
  EXPECT_THAT(client.held(), Not(HasSubstr("event: pipeline.applied")));
  Ok("POST", "/api/v1/pipelines/toys/runs");
  EXPECT_TRUE(client.ReadUntil("event: run.created"));
  EXPECT_EQ(Do("GET", "/api/v1/events", "", "", "Last-Event-ID: x\r\n").status, 400);
}

TEST_F(ApiTest, ServesVersionsBundlesAndTheirFiles) {
  ApplyToys();
  PushToys();
  const std::int64_t version = MakePassedVersion("weights and such");
  ASSERT_EQ(version, 1);
  const Json one = Ok("GET", "/api/v1/models/toys/versions/1");
  const std::string model_file = one.at("manifest").at("files").at("model.pt").at("sha256");
  RunAll({
      {"models", "GET", "/api/v1/models", "", "", 200, {"\"latest_version\":1", "\"live\":null"}},
      {"versions",
       "GET",
       "/api/v1/models/toys/versions",
       "",
       "",
       200,
       {"\"state\":\"passed\"", "\"verdict\":\"better\""}},
      {"decision", "GET", "/api/v1/models/toys/versions/1/decision", "", "", 200, {"\"verdict\":\"better\""}},
      {"bundle",
       "GET",
       "/api/v1/models/toys/versions/1/bundle",
       "",
       "",
       200,
       {"manifest.json", "model.pt", "weights and such"}},
      {"manifest blob", "GET", "/api/v1/blobs/" + one.at("bundle").get<std::string>(), "", "", 200, {"format"}},
      {"model blob", "GET", "/api/v1/blobs/" + model_file, "", "", 200, {"weights and such"}},
      {"releases", "GET", "/api/v1/models/toys/releases", "", "", 200, {"\"items\":[]"}},
      {"route", "GET", "/api/v1/models/toys/route", "", "", 200, {"\"live\":null"}},
  });
  const std::string blob = "/api/v1/blobs/" + model_file;
  for (const char* range : {"bytes=-4", "bytes=5-4", "bytes=99-", "bytes=0-1,3-4", "lines=1-2", "nonsense"}) {
    const auto whole = Do("GET", blob, "", "", "Range: " + std::string(range) + "\r\n");
    EXPECT_EQ(whole.status, 200) << range;
    EXPECT_EQ(whole.body, "weights and such") << range;
  }
  const std::string tag = "If-Range: \"" + model_file + "\"\r\n";
  const struct {
    const char *range, *sent, *said;
  } parts[] = {{"bytes=8-10", "and", "bytes 8-10/16"}, {"bytes=12-", "such", "bytes 12-15/16"}, {"bytes=12-99", "such", "bytes 12-15/16"}};
  for (const auto& [range, sent, said] : parts) {
    const auto part = Do("GET", blob, "", "", tag + "Range: " + range + "\r\n");
    EXPECT_EQ(part.status, 206) << range;
    EXPECT_EQ(part.body, sent) << range;
    EXPECT_EQ(part.headers.at("content-range"), said);
  }
  EXPECT_EQ(Do("GET", blob, "", "", "If-Range: \"another\"\r\nRange: bytes=8-10\r\n").body, "weights and such");
  EXPECT_EQ(Do("GET", blob, "", "", "If-None-Match: \"" + model_file + "\"\r\n").status, 304);
  // Packs are blobs too, but not for replicas.
  const Json dataset = Ok("GET", "/api/v1/datasets/toys/versions/1");
  EXPECT_EQ(Do("GET", "/api/v1/blobs/" + dataset.at("manifest").get<std::string>()).status, 404);
}

}  // namespace
}  // namespace ratchet::daemon
