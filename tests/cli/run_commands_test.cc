#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/json_fields.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;

std::string RunJson(const std::string& state, const std::string& outcome, const std::string& progress = "null") {
  return R"({"id":5,"pipeline":"sorter","model":"sorter","state":")" + state + R"(","outcome":)" + outcome +
         R"(,"candidate":2,"summary":"Said why.","steps":[{"name":"train","state":"running","attempts":[],"progress":)" +
         progress + "}]}";
}

TEST(RunStart, SendsTypedOverridesAndAnIdempotencyKey) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/sorter/runs", RunJson("queued", "null"), 201);
  ProgramEnd end = Ratchet(server.Url(), {"run", "start", "--set", "train.params.epochs=3", "--set", "a=x=y", "sorter",
                                          "--set", "b=true", "--reason", "try"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(end.out, "run 5 of sorter is queued\n");
  EXPECT_EQ(server.Seen().at(0).body, R"({"set":{"train.params.epochs":3,"a":"x=y","b":true},"reason":"try"})");
  EXPECT_EQ(server.Seen().at(0).idempotency_key.size(), 32u);
}

TEST(RunStart, WaitsToTheVerdictWithALineForEachChange) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/sorter/runs", RunJson("queued", "null"), 201);
  server.On("GET /api/v1/runs/5", RunJson("running", "null", R"({"epoch":1,"of":2,"loss":0.5})"));
  server.On("GET /api/v1/runs/5", RunJson("running", "null", R"({"epoch":2,"of":2,"loss":0.4})"));
  server.On("GET /api/v1/runs/5", RunJson("succeeded", "\"promoted\"", R"({"epoch":2,"of":2,"loss":0.4})"));
  ProgramEnd end = Ratchet(server.Url(), {"run", "start", "sorter", "--wait"});
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.out, "run 5: promoted sorter@2. Said why.\n");
  EXPECT_EQ(end.err,
            "run 5: running\nrun 5: train: running\nrun 5: train: epoch 1/2 · loss 0.5\n"
            "run 5: train: epoch 2/2 · loss 0.4\nrun 5: succeeded\n");
}

TEST(RunShow, WaitEndsWithOneWhenTheCandidateWasRejected) {
  FakeServer server;
  server.On("GET /api/v1/runs/5", RunJson("succeeded", "\"rejected\""));
  ProgramEnd end = Ratchet(server.Url(), {"run", "show", "5", "--wait", "--quiet"});
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.out, "run 5: rejected sorter@2. Said why.\n");
  EXPECT_EQ(end.err, "");
  EXPECT_EQ(Ratchet(server.Url(), {"run", "show", "5"}).code, 0);
}

TEST(RunList, FiltersAndPagesIntoOneArray) {
  FakeServer server;
  server.On("GET /api/v1/runs?pipeline=sorter&state=failed&limit=2", R"({"items":[{"id":7},{"id":6}],"next":"6"})");
  ProgramEnd end =
      Ratchet(server.Url(), {"run", "list", "--pipeline", "sorter", "--state", "failed", "--limit", "2", "-o", "json"});
  EXPECT_EQ(end.out, "[\n{\"id\":7},\n{\"id\":6}\n]\n");
}

TEST(RunLogs, PassesTheStreamThrough) {
  FakeServer server;
  server.On("GET /api/v1/runs/5/logs?follow=1&step=train", "line 1\nline 2\n", 200, "text/plain");
  ProgramEnd end = Ratchet(server.Url(), {"run", "logs", "5", "-f", "--step", "train"});
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.out, "line 1\nline 2\n");
}

TEST(RunCancel, SaysWhatBecameOfTheRun) {
  FakeServer server;
  server.On("POST /api/v1/runs/5/cancel", RunJson("cancelled", "\"cancelled\""));
  EXPECT_EQ(Ratchet(server.Url(), {"run", "cancel", "5"}).out, "run 5: cancelled\n");
}

TEST(RunRetry, PrintsTheNewRunsNumberAloneWhenQuiet) {
  FakeServer server;
  server.On("POST /api/v1/runs/4/retry", RunJson("queued", "null"));
  EXPECT_EQ(Ratchet(server.Url(), {"run", "retry", "4", "-q"}).out, "5\n");
}

}  // namespace
}  // namespace ratchet::cli
