#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "tests/worker/worker_process.h"
#include "worker/sandbox.h"

namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

TEST(ForkServer, TellsRecipesSandboxAndTorchWhenReady) {
  const WorkerProcess worker;
  const auto ready = worker.Next();
  ASSERT_EQ(ready["event"], "ready");
  EXPECT_EQ(ready["pid"], worker.pid());
  EXPECT_EQ(ready["role"], "recipes");
  EXPECT_EQ(ready["sandbox"], SandboxMeansName(DetectSandbox()));
  EXPECT_TRUE(ready["torch"].is_string());
  ASSERT_EQ(ready["recipes"].size(), 3u);
  EXPECT_THAT(ready["recipes"][0]["build"].get<std::string>(), MatchesRegex("[0-9a-f]{64}"));
  EXPECT_EQ(ready["recipes"][2]["name"], "probe.step");
  EXPECT_EQ(ready["recipes"][2]["task"], "step");
  EXPECT_EQ(ready["recipes"][0]["name"], "probe.opener");
  EXPECT_EQ(ready["recipes"][0]["params"][0]["type"], "text");
}

TEST(ForkServer, StaysSingleThreaded) {
  const WorkerProcess worker;
  ASSERT_EQ(worker.Next()["event"], "ready");
  const auto tasks = std::filesystem::directory_iterator("/proc/" + std::to_string(worker.pid()) + "/task");
  EXPECT_EQ(std::distance(begin(tasks), end(tasks)), 1);
}

TEST(ForkServer, LinksNoLibTorchInItsProgram) {
  FILE* listing = popen("readelf -d '" RATCHET_WORKER "'", "r");
  ASSERT_NE(listing, nullptr);
  std::string needed;
  for (std::array<char, 4096> piece; fgets(piece.data(), piece.size(), listing) != nullptr;) needed += piece.data();
  ASSERT_EQ(pclose(listing), 0);
  EXPECT_THAT(needed, HasSubstr("NEEDED"));
  EXPECT_THAT(needed, Not(HasSubstr("torch")));
  EXPECT_THAT(needed, Not(HasSubstr("c10")));
}

TEST(ForkServer, TrainsNothingWhereItServesCommands) {
  const WorkerProcess worker({}, "commands");
  const auto ready = worker.Next();
  EXPECT_EQ(ready["role"], "commands");
  EXPECT_TRUE(ready["recipes"].empty()) << "the tests' plugin needs LibTorch, by its name";
  StepFolder folder;
  folder.TrainBy("exit 0\n");
  EXPECT_EQ(folder.Run(worker)["class"], "internal");
  EXPECT_FALSE(folder.Has("work"));
}

TEST(ForkServer, RunsStepsSideBySide) {
  const WorkerProcess worker;
  StepFolder first, second;
  first.TrainBy("exit 3\n");
  second.TrainBy("exit 4\n");
  ASSERT_EQ(first.Start(worker)["event"], "started");
  ASSERT_EQ(second.Start(worker)["event"], "started");
  EXPECT_EQ(first.AwaitExit()["exit_code"], 1);
  EXPECT_EQ(second.AwaitExit()["exit_code"], 1);
  EXPECT_THAT(first.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 3"));
  EXPECT_THAT(second.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 4"));
}

TEST(ForkServer, LeavesNothingWhereThereIsNoFolder) {
  const WorkerProcess worker;
  worker.Send({{"op", "start"}, {"id", "a"}, {"folder", "/nonexistent"}});
  const auto started = worker.Await("started");
  EXPECT_EQ(started["id"], "a");
  EXPECT_TRUE(AwaitDeath(started["pid"]));
}

TEST(ForkServer, DoesNotRunAStepTwice) {
  const WorkerProcess worker({}, "commands");
  StepFolder folder;
  folder.MakeFifo();
  folder.RunScript("echo $$ >> times; echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder.Start(worker)["event"], "started");
  ASSERT_EQ(folder.AwaitLine(), "here");
  const pid_t first = folder.supervisor();
  const auto record = folder.Read("process.json");
  EXPECT_EQ(json::parse(record)["pid"], first);
  ASSERT_EQ(folder.Start(worker)["event"], "started");
  EXPECT_TRUE(AwaitDeath(folder.supervisor()));
  EXPECT_EQ(folder.Read("process.json"), record);
  EXPECT_TRUE(folder.Exit().is_null());
  KillStep(first, folder.path(), "cancelled", "by a user");
  ASSERT_TRUE(AwaitDeath(first));
  const auto exit = folder.Exit();
  EXPECT_EQ(exit["class"], "cancelled");
  EXPECT_EQ(exit["message"], "by a user");
  EXPECT_EQ(exit["signal"], SIGKILL);
  EXPECT_TRUE(exit["exit_code"].is_null());
  EXPECT_TRUE(folder.Result().is_null());
  const auto times = folder.Read("work/times");
  EXPECT_EQ(std::count(times.begin(), times.end(), '\n'), 1);
}

TEST(ForkServer, NeverStartsAStepThatWasGivenUp) {
  const WorkerProcess worker({}, "commands");
  StepFolder folder;
  folder.RunScript("echo ran > ran\n");
  folder.AddFile(folder.path() + "/process.json", "{\"abandoned\":true}");
  (void)folder.Start(worker);
  EXPECT_TRUE(folder.AwaitExit().is_null());
  EXPECT_FALSE(folder.Has("work"));
  EXPECT_FALSE(folder.Has("result.json"));
}

TEST(ForkServer, RefusesToTrainWithoutASandbox) {
  const WorkerProcess worker({"--sandbox", "none"});
  EXPECT_EQ(worker.Next()["sandbox"], "none");
  StepFolder folder;
  const auto exit = folder.Run(worker);
  EXPECT_EQ(exit["class"], "internal");
  EXPECT_THAT(exit["hint"].get<std::string>(), HasSubstr("--allow-unsandboxed"));
  StepFolder allowed;
  allowed.step["sandbox"]["required"] = false;
  EXPECT_EQ(allowed.Run(worker)["exit_code"], 1);
}

TEST(ForkServer, SurvivesPacketsThatAreNone) {
  const WorkerProcess worker;
  worker.SendText("garbage");
  worker.Send({{"op", "dance"}, {"id", "x"}});
  worker.Send({{"op", "start"}, {"id", 7}});
  worker.Send(json::array());
  StepFolder folder;
  EXPECT_EQ(folder.Run(worker)["exit_code"], 1);
}

// The step goes on, ends well and leaves its word, whatever becomes of the fork server.
void ExpectStepToOutlive(void (*end)(WorkerProcess&), const char* role) {
  WorkerProcess worker({}, role);
  StepFolder folder;
  folder.MakeFifo();
  folder.RunScript("echo here > ready.fifo; while [ ! -e go ]; do :; done; echo done\n");
  ASSERT_EQ(folder.Start(worker)["event"], "started");
  ASSERT_EQ(folder.AwaitLine(), "here");
  end(worker);
  ASSERT_TRUE(AwaitDeath(worker.pid()));
  folder.AddFile(folder.path() + "/work/go", "");
  EXPECT_EQ(folder.AwaitExit()["exit_code"], 0);
  EXPECT_EQ(folder.Result()["outcome"], "succeeded");
  EXPECT_EQ(folder.Read("log"), "done\n");
}

TEST(ForkServer, IsOutlivedByItsStepsWhenItsSocketCloses) {
  ExpectStepToOutlive([](WorkerProcess& worker) { worker.CloseSocket(); }, "commands");
}

TEST(ForkServer, IsOutlivedByItsStepsWhenKilled) {
  ExpectStepToOutlive([](WorkerProcess& worker) { kill(worker.pid(), SIGKILL); }, "recipes");
}

TEST(ForkServer, IsOutlivedByItsStepsOnSigterm) {
  ExpectStepToOutlive([](WorkerProcess& worker) { kill(worker.pid(), SIGTERM); }, "commands");
}

}  // namespace
}  // namespace ratchet::worker::testing
