#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "tests/worker/worker_process.h"

// What each way of a trainer to end badly becomes.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Limits : public ::testing::Test {
 protected:
  void Ender(const char* how) {
    folder_.step["command"] = nullptr;
    folder_.step["recipe"] = "probe.ender";
    folder_.step["params"] = {{"how", how}};
  }
  std::string Class() const { return folder_.Result()["error"]["class"]; }
  std::string Message() const { return folder_.Result()["error"]["message"]; }

  WorkerProcess worker_;
  StepFolder folder_;
};

TEST_F(Limits, IsTheUsersFaultWhenTheTrainerExitsWithOne) {
  folder_.TrainBy("echo first; echo 'no such column: price' >&2; exit 1\n");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 1);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("exit code 1"));
  EXPECT_THAT(Message(), HasSubstr("no such column: price"));
  EXPECT_THAT(folder_.Read("log"), HasSubstr("first\n"));
}

TEST_F(Limits, NamesTheSignalWhenTheTrainerIsKilledByOne) {
  folder_.TrainBy("kill -SEGV $$\n");
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "signal");
  EXPECT_THAT(Message(), HasSubstr("signal 11"));
}

TEST_F(Limits, TellsTheSignalWhenARecipeCrashes) {
  Ender("crash");
  const auto exited = folder_.Run(worker_);
  EXPECT_EQ(exited["signal"], SIGSEGV);
  EXPECT_TRUE(exited["exit_code"].is_null());
  EXPECT_TRUE(folder_.Result().is_null());
}

TEST_F(Limits, IsInternalWhenARecipeThrows) {
  Ender("throw");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 1);
  EXPECT_EQ(Class(), "internal");
  EXPECT_THAT(Message(), HasSubstr("thrown by the probe"));
}

TEST_F(Limits, SaysWhenTheProgramIsNotThere) {
  folder_.step["command"] = {"no-such-program-here"};
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("no-such-program-here"));
}

TEST_F(Limits, IsOutOfMemoryWhenARecipeAsksForTooMuchAtOnce) {
  Ender("one_malloc");
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "out_of_memory");
  EXPECT_THAT(Message(), HasSubstr("1.0 GiB"));
}

TEST_F(Limits, IsOutOfMemoryWhenARecipeEatsItPageByPage) {
  Ender("page_by_page");
  folder_.step["limits"]["memory_bytes"] = 256 << 20;
  const auto exited = folder_.Run(worker_);
  EXPECT_EQ(exited["class"], "out_of_memory");
  EXPECT_THAT(exited["message"].get<std::string>(), HasSubstr("256 MiB"));
  EXPECT_GT(exited["max_rss_bytes"], 256 << 20);
}

TEST_F(Limits, IsOutOfMemoryWhenACommandAsksForTooMuchAtOnce) {
  folder_.TrainBy("exec /usr/bin/python3 -c 'x = bytearray(100 << 30)'\n");
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "out_of_memory");
}

TEST_F(Limits, CountsTheMemoryOfEveryProcessOfACommand) {
  // Three children of 100 MiB each; none alone is over the limit.
  folder_.TrainBy(
      "for i in 1 2 3; do /usr/bin/python3 -c 'import time; x = b\"1\" * (100 << 20); time.sleep(1000)' & "
      "done\nwait\n");
  folder_.step["limits"]["memory_bytes"] = 256 << 20;
  EXPECT_EQ(folder_.Run(worker_)["class"], "out_of_memory");
}

TEST_F(Limits, IsOverItsQuotaWhenATrainerFillsTheDisk) {
  folder_.TrainBy("for i in 1 2 3 4 5 6 7 8; do head -c 8000000 /dev/zero > big$i; done; exec sleep 1000\n");
  folder_.step["limits"]["disk_bytes"] = 32 << 20;
  const auto exited = folder_.Run(worker_);
  EXPECT_EQ(exited["class"], "disk_quota");
  EXPECT_THAT(exited["message"].get<std::string>(), HasSubstr("32 MiB"));
}

TEST_F(Limits, IsOverItsQuotaWhenOneFileGrowsTooLarge) {
  folder_.TrainBy("exec head -c 1000000000 /dev/zero > big\n");
  folder_.step["limits"]["disk_bytes"] = 32 << 20;
  const auto exited = folder_.Run(worker_);
  const auto told = exited["class"].is_null() ? Class() : exited["class"].get<std::string>();
  EXPECT_EQ(told, "disk_quota");
  EXPECT_LE(std::filesystem::file_size(folder_.path() + "/work/big"), 32u << 20);
}

TEST_F(Limits, CannotWriteBesideItsFolder) {
  folder_.TrainBy("echo x > /tmp/ratchet-escape-$$ && echo escaped; echo $TMPDIR; mktemp; exit 1\n");
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Read("log").find("escaped"), std::string::npos);
  EXPECT_THAT(folder_.Read("log"), HasSubstr(folder_.path() + "/work/tmp/tmp."));
}

TEST_F(Limits, TimesOutWhenATrainerNeverEnds) {
  folder_.TrainBy("exec sleep 1000\n");
  folder_.step["limits"]["time_s"] = 1;
  const auto exited = folder_.Run(worker_);
  EXPECT_EQ(exited["class"], "timeout");
  EXPECT_THAT(exited["message"].get<std::string>(), HasSubstr("1 s"));
}

TEST_F(Limits, TimesOutWhenATrainerIgnoresSigterm) {
  folder_.TrainBy("trap '' TERM HUP INT\nwhile :; do :; done\n");
  folder_.step["limits"]["time_s"] = 1;
  EXPECT_EQ(folder_.Run(worker_)["class"], "timeout");
}

TEST_F(Limits, EndsTheDaemonsThatATrainerLeavesBehind) {
  folder_.MakeFifo();
  folder_.TrainBy(
      "setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &\n"
      "while [ ! -e go ]; do :; done; exit 1\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  const pid_t daemon = std::stoi(folder_.AwaitLine());
  folder_.AddFile(folder_.path() + "/work/go", "");
  EXPECT_EQ(folder_.AwaitExit()["exit_code"], 1);
  EXPECT_TRUE(AwaitDeath(daemon));
}

TEST_F(Limits, EndsTheDaemonsOfAStepThatIsKilled) {
  folder_.MakeFifo();
  folder_.TrainBy("(setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &)\nexec sleep 1000\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  const pid_t daemon = std::stoi(folder_.AwaitLine());
  KillStep(folder_.supervisor(), folder_.path(), "timeout", "enough");
  EXPECT_EQ(folder_.AwaitExit()["class"], "timeout");
  EXPECT_TRUE(AwaitDeath(daemon));
}

TEST_F(Limits, ServesOtherStepsWhileOneFloodsItsLog) {
  folder_.TrainBy("exec yes 'a line of a trainer that has much to say'\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  StepFolder other;
  other.TrainBy("exit 5\n");
  (void)other.Run(worker_);
  EXPECT_THAT(other.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 5"));
  KillStep(folder_.supervisor(), folder_.path(), "cancelled", "enough");
  EXPECT_EQ(folder_.AwaitExit()["class"], "cancelled");
}

TEST_F(Limits, WritesProgressWhileARecipeTrains) {
  folder_.MakeFifo();
  Ender("progress");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  ASSERT_EQ(folder_.AwaitLine(), "reported");
  const auto line = json::parse(folder_.Read("progress.jsonl"));
  EXPECT_EQ(line["loss"], 0.5);
  EXPECT_GT(line["at"], 0);
  EXPECT_EQ(folder_.AwaitExit()["exit_code"], 1);
}

TEST_F(Limits, SuggestsTheNearestRecipe) {
  Ender("fail");
  folder_.step["recipe"] = "probe.enders";
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(folder_.Result()["error"]["hint"].get<std::string>(), HasSubstr("probe.ender?"));
}

}  // namespace
}  // namespace ratchet::worker::testing
