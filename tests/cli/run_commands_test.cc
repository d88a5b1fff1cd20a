#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "cli/json_fields.h"
#include "cli/run_errors.h"
#include "cli/run_view.h"
#include "cli/terminal_text.h"
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

TEST(RunChanges, TellsAStepsLinesInOrderAndTheRunsEndLast) {
  const Json before = ParseJson(R"({"id":1,"state":"running","steps":[
      {"name":"train","state":"running","progress":{"epoch":5,"of":6}},{"name":"test","state":"pending"},
      {"name":"release","state":"pending"}]})");
  const Json now = ParseJson(R"({"id":1,"state":"succeeded","steps":[
      {"name":"train","state":"succeeded","progress":{"phase":"save","epoch":6,"of":6}},
      {"name":"test","state":"succeeded","progress":{"phase":"test"}},
      {"name":"release","state":"succeeded"}]})");
  EXPECT_THAT(RunChanges(before, now),
              testing::ElementsAre("run 1: train: save · epoch 6/6", "run 1: train: succeeded", "run 1: test: succeeded",
                                   "run 1: release: succeeded", "run 1: succeeded"));
  EXPECT_THAT(RunChanges(Json(), before),
              testing::ElementsAre("run 1: running", "run 1: train: running", "run 1: train: epoch 5/6"));
}

TEST(RunChanges, GathersWhatWasPassedOver) {
  const Json now = ParseJson(R"({"id":2,"state":"failed","steps":[
      {"name":"join","state":"failed","attempts":[{"error":{"message":"it broke"}}]},
      {"name":"trial-1","kind":"trial","state":"skipped","attempts":[]},{"name":"trial-2","kind":"trial","state":"skipped","attempts":[]},
      {"name":"train","kind":"select","state":"skipped","attempts":[]}]})");
  EXPECT_THAT(RunChanges(Json(), now),
              testing::ElementsAre("run 2: join: failed, it broke", "run 2: skipped: 2 trials, train", "run 2: failed"));
  EXPECT_THAT(RunChanges(now, now), testing::ElementsAre());
}

TEST(ErrorCause, NamesTheLastLineOfTheLogAndTellsNothingTwice) {
  const Json error = ParseJson(R"({"class":"user","message":"the step ended with exit code 1; its last lines: a\nKeyError: 'b'",
      "log_tail":["a","KeyError: 'b'","user: the step ended with exit code 1; its last lines: a","KeyError: 'b'"]})");
  EXPECT_EQ(ErrorCause(error), "the step ended with exit code 1: KeyError: 'b'");
  EXPECT_EQ(ErrorHead(error), "the step ended with exit code 1");
  EXPECT_THAT(OwnTail(error), testing::ElementsAre("a", "KeyError: 'b'"));
  EXPECT_EQ(ErrorCause(ParseJson(R"({"class":"lost","message":"it vanished"})")), "it vanished");
}

TEST(RunLines, CutsAFailureToTheScreenAndSaysOnceWhyTheRunWaits) {
  const Json failed = ParseJson(R"({"id":2,"state":"failed","steps":[
      {"name":"join","state":"failed","attempts":[{"error":{"message":"a message that is a good deal wider than forty columns"}}]},
      {"name":"trial-1","kind":"trial","state":"skipped","attempts":[]}]})");
  EXPECT_THAT(RunLines(failed, 0, {.columns = 40}),
              testing::ElementsAre("run 2 · failed", "  ✗ join      failed: a message that is…", "  - trials    1 skipped"));
  const Json waits = ParseJson(R"({"id":2,"state":"queued","waiting":"it is paused","steps":[
      {"name":"validate","state":"pending","waiting":"it is paused"},{"name":"train","state":"pending","waiting":"no room"}]})");
  EXPECT_THAT(RunLines(waits, 0, {}), testing::ElementsAre("run 2 · queued", "  waits: it is paused", "    validate  pending",
                                                           "    train     pending, waits: no room"));
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

TEST(RunShow, TellsFailingChecksAndWhatAStepWaitsFor) {
  FakeServer server;
  server.On("GET /api/v1/runs/5", R"({"id":5,"pipeline":"sorter","state":"failed","outcome":"failed","steps":[
      {"name":"validate","state":"failed","attempts":[],"checks":[
        {"expect":{"column":"price","min":0,"missing_at_most":0.01},"passed":false,"failing_rows":1200,
         "examples":[{"row":3,"values":{"price":-1}},{"values":{"price":null}}],"message":"1,200 of 9 rows"},
        {"expect":{"column":"id","unique":true},"passed":true,"failing_rows":0,"examples":[]}]}]})");
  EXPECT_THAT(Ratchet(server.Url(), {"run", "show", "5"}).out,
              HasSubstr("COLUMN  EXPECTED                     FAILING ROWS  EXAMPLES                  FOUND\n"
                        "price   min 0, missing_at_most 0.01         1,200  row 3: price -1; price –  1,200 of 9 rows\n"));
  server.On("GET /api/v1/runs/6", R"({"id":6,"pipeline":"sorter","state":"running","steps":[
      {"name":"validate","state":"pending","attempts":[],"waiting":"the worker is down: no\u001b[31m library"}]})");
  ProgramEnd end = Ratchet(server.Url(), {"run", "show", "6"});
  EXPECT_THAT(end.out, HasSubstr("validate  pending, waits: the worker is down: no"));
  EXPECT_THAT(end.out, testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(end.out, testing::Not(HasSubstr("COLUMN")));
}

TEST(RunList, FiltersAndPagesIntoOnePage) {
  FakeServer server;
  server.On("GET /api/v1/runs?pipeline=sorter&state=failed&limit=2", R"({"items":[{"id":7},{"id":6}],"next":"6"})");
  ProgramEnd end =
      Ratchet(server.Url(), {"run", "list", "--pipeline", "sorter", "--state", "failed", "--limit", "2", "-o", "json"});
  EXPECT_EQ(end.out, "{\"items\":[\n{\"id\":7},\n{\"id\":6}\n],\"next\":\"6\"}\n") << "the cursor is kept";
}

TEST(RunList, HasAColumnOfPrioritiesWhereThereAreAny) {
  FakeServer server;
  server.On("GET /api/v1/runs", R"({"items":[{"id":7,"priority":0}],"next":null})");
  server.On("GET /api/v1/runs", R"({"items":[{"id":8,"priority":5},{"id":7,"priority":0}],"next":null})");
  EXPECT_THAT(Ratchet(server.Url(), {"run", "list"}).out, testing::Not(HasSubstr("PRIORITY")));
  EXPECT_THAT(Ratchet(server.Url(), {"run", "list"}).out, HasSubstr("OUTCOME  PRIORITY  CANDIDATE"));
}

TEST(RunList, GoesOnBehindACursorToTheEnd) {
  FakeServer server;
  server.On("GET /api/v1/runs?limit=200&after=6", R"({"items":[{"id":5}],"next":5})");
  server.On("GET /api/v1/runs?limit=200&after=5", R"({"items":[{"id":4}],"next":null})");
  EXPECT_EQ(Ratchet(server.Url(), {"run", "list", "--after", "6", "-o", "json"}).out,
            "{\"items\":[\n{\"id\":5},\n{\"id\":4}\n],\"next\":null}\n");
  server.On("GET /api/v1/runs?limit=1", R"({"items":[{"id":7}],"next":"7"})");
  EXPECT_THAT(Ratchet(server.Url(), {"run", "list", "--limit", "1"}).err, HasSubstr("--after 7"));
}

TEST(RunLogs, PassesTheLogThrough) {
  FakeServer server;
  server.On("GET /api/v1/runs/5/logs?step=train&attempt=2", "line 1\nline 2\n", 200, "text/plain");
  ProgramEnd end = Ratchet(server.Url(), {"run", "logs", "5", "--step", "train", "--attempt", "2"});
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.out, "line 1\nline 2\n");
}

std::string LogEvent(const std::string& id, const std::string& data, const std::string& type = "log") {
  return "id: " + id + "\nevent: " + type + "\ndata: " + data + "\n\n";
}

TEST(RunLogs, FollowsThroughABrokenConnectionByteForByte) {
  FakeServer server;
  const std::string first = "retry: 1000\n\n: alive\n\n" + LogEvent("1-4", R"({"step":"join","attempt":1,"text":"one\n"})") +
                            "id: 1-9\nevent: log\ndata: {\"step\":\"join\",\"te";  // the connection breaks within an event
  const std::string second = LogEvent("1-9", R"({"step":"join","attempt":1,"text":"two ü\n"})") +
                             LogEvent("1-12", R"({"step":"join","attempt":1,"base64":"//4K"})") +
                             LogEvent("2-0", R"({"step":"join","attempt":2})", "attempt") +
                             LogEvent("2-4", R"({"step":"join","attempt":2,"text":"end\n"})") +
                             LogEvent("2-4", R"({"step":"join","attempt":2,"state":"succeeded"})", "end");
  server.On("GET /api/v1/runs/5/logs", first, 200, "text/event-stream");
  server.On("GET /api/v1/runs/5/logs", second, 200, "text/event-stream");
  ProgramEnd end = Ratchet(server.Url(), {"run", "logs", "5", "-f"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(end.out, "one\ntwo ü\n\xff\xfe\n--- attempt 2 ---\nend\n");
  ASSERT_EQ(server.Seen().size(), 2u);
  EXPECT_EQ(server.Seen()[1].last_event_id, "1-4");
  EXPECT_EQ(server.Seen()[1].target, "/api/v1/runs/5/logs?follow=1&step=join") << "the step that the first answer chose";
}

// What `ratchet` writes when its standard output is a terminal.
std::string OnTerminal(const std::string& server, std::vector<std::string> words) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_EQ(grantpt(terminal) + unlockpt(terminal), 0);
  const std::string name = ptsname(terminal);
  words.insert(words.begin(), {"sh", "-c", "exec \"$0\" \"$@\" > " + name, RATCHET_PROGRAM});
  const int held = open(name.c_str(), O_RDWR | O_NOCTTY);  // so that the end of the program is not the end of the data
  EXPECT_EQ(RunProcess(words, "", {"RATCHET_SERVER=" + server}).code, 0);
  std::string seen;
  char buffer[4096];
  pollfd more{terminal, POLLIN, 0};
  while (poll(&more, 1, 0) > 0 && (more.revents & POLLIN) != 0) {
    const ssize_t got = read(terminal, buffer, sizeof buffer);
    if (got <= 0) break;
    seen.append(buffer, static_cast<size_t>(got));
  }
  close(held);
  close(terminal);
  return seen;
}

TEST(RunLogs, SteersNoTerminalButLeavesAPipeItsBytes) {
  FakeServer server;
  const std::string log = "a\x1b[2Jb\tc\x1b]0;title\x07" "d\n\rü\n";
  server.On("GET /api/v1/runs/5/logs", log, 200, "text/plain");
  EXPECT_EQ(OnTerminal(server.Url(), {"run", "logs", "5"}), "ab\tcd\r\nü\r\n");
  EXPECT_EQ(Ratchet(server.Url(), {"run", "logs", "5"}).out, log);
}

TEST(TerminalText, LeavesOutWhatSteersATerminalHoweverItIsCut) {
  const std::pair<std::string, std::string> cases[] = {
      {"plain ü € 𝄞\ttab\n", "plain ü € 𝄞\ttab\n"},
      {"\x1b[1;31mred\x1b[0m", "red"},
      {"\x1b]52;c;AAAA\x1b\\after", "after"},
      {"\x1bPq#0\x1b\\after", "after"},
      {"\x1b(Bx\x1b=y\x1b" "cz", "xyz"},
      {"open\x1b]0;never closed\nnext line\n", "open\nnext line\n"},
      {"cut\x1b[12\nnext\n", "cut\nnext\n"},
      {"a\bb\rc\x7f" "d", "abcd"},
      {"\xc2\x9b" "31mx \x9b \xc2\xa0|\xc2|", "31mx  \xc2\xa0|\xc2|"},
  };
  for (const auto& [given, wanted] : cases) {
    EXPECT_EQ(TerminalText().Feed(given), wanted) << testing::PrintToString(given);
    TerminalText cut;
    std::string pieces;
    for (const char c : given) pieces += cut.Feed({&c, 1});
    EXPECT_EQ(pieces, wanted) << testing::PrintToString(given);
  }
}

TEST(RunStart, AsksForUrgencyAndNoCache) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/sorter/runs", RunJson("queued", "null"), 201);
  EXPECT_EQ(Ratchet(server.Url(), {"run", "start", "sorter", "--no-cache", "--priority", "-5", "-q"}).code, 0);
  EXPECT_EQ(server.Seen().at(0).body, R"({"priority":-5,"fresh":true})");
  EXPECT_EQ(Ratchet(server.Url(), {"run", "start", "sorter", "--priority", "101"}).code, 2);
}

TEST(RunReproduce, EndsWithOneWhenTheWeightsDiffer) {
  for (const auto& [outcome, code] : {std::pair("reproduced", 0), std::pair("differs", 1)}) {
    FakeServer server;
    server.On("POST /api/v1/runs/4/reproduce", RunJson("queued", "null"), 201);
    server.On("GET /api/v1/runs/5", RunJson("succeeded", "\"" + std::string(outcome) + "\""));
    ProgramEnd end = Ratchet(server.Url(), {"run", "reproduce", "4", "--wait", "-q"});
    EXPECT_EQ(end.code, code);
    EXPECT_THAT(end.out, HasSubstr(std::string("run 5: ") + outcome));
  }
}

TEST(PipelinePause, SaysWhatItMeans) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/sorter/pause", R"({"name":"sorter","state":"paused"})");
  server.On("POST /api/v1/pipelines/sorter/resume", R"({"name":"sorter","state":"active"})");
  EXPECT_EQ(Ratchet(server.Url(), {"pipeline", "pause", "sorter"}).out, "pipeline sorter: paused; no run of it is begun, what runs goes on\n");
  EXPECT_EQ(Ratchet(server.Url(), {"pipeline", "resume", "sorter"}).out, "pipeline sorter: active; its runs are begun again\n");
}

TEST(RunShow, TellsTrialsCachedStepsAndTheErrorWithWhatToDo) {
  FakeServer server;
  server.On("GET /api/v1/runs/5", R"({"id":5,"pipeline":"sorter","state":"failed","outcome":"failed","priority":7,
      "error":{"class":"out_of_memory","message":"it asked for more than 2 GiB","hint":"Raise limits.memory","log_tail":["batch 7","bad\u001b[2J alloc"]},
      "steps":[{"name":"join","kind":"command","state":"succeeded","cached_from":3,"attempts":[]},
        {"name":"trial-1","kind":"trial","state":"succeeded","attempts":[{"number":1}]},
        {"name":"trial-2","kind":"trial","state":"skipped","attempts":[{"number":1,"error":{"class":"pruned","message":"worse"}}]},
        {"name":"train","kind":"select","state":"failed","attempts":[
          {"number":1,"error":{"class":"out_of_memory","message":"it asked for more than 2 GiB"},"cpu_s":1.5,"max_rss_bytes":2147483648,"read_bytes":1048576}]},
        {"name":"test","kind":"test","state":"pending","needs":["train"],"attempts":[]}]})");
  server.On("GET /api/v1/runs/5/trials", R"({"run":5,"metric":"validation_accuracy","best":"trial-1","items":[
      {"name":"trial-1","state":"succeeded","params":{"lr":0.01},"epochs":4,"of":4,"best":0.91,"rank":1,"reason":null},
      {"name":"trial-2","state":"pruned","params":{"lr":0.5},"epochs":1,"of":4,"best":0.4,"rank":2,"reason":"last of 3 after epoch 1"}]})");
  const std::string out = Ratchet(server.Url(), {"run", "show", "5"}).out;
  EXPECT_THAT(out, HasSubstr("join      cached, from run 3\n"));
  EXPECT_THAT(out, HasSubstr("trials    2 of 2 ended · 1 succeeded · 1 pruned\n"));
  EXPECT_THAT(out, HasSubstr("★  trial-1  succeeded     4/4               0.9100     1  lr=0.01"));
  EXPECT_THAT(out, HasSubstr("   trial-2  pruned        1/4               0.4000     2  lr=0.5   last of 3 after epoch 1"));
  EXPECT_THAT(out, HasSubstr("train        1  out_of_memory  1.5 s      2.0 GiB  1.0 MiB  it asked for more than 2 GiB"));
  EXPECT_THAT(out, HasSubstr("Error: out_of_memory in train: it asked for more than 2 GiB\nWhat to do: Raise limits.memory\nLast lines of the log:\n  | batch 7\n"));
  EXPECT_THAT(out, testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(out, HasSubstr("Priority  7"));
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
