#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/worker/worker_process.h"
#include "worker/sandbox.h"

namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(ForkServer, TellsRecipesSandboxAndTorchWhenReady) {
  const WorkerProcess worker;
  const auto ready = worker.Next();
  ASSERT_EQ(ready["event"], "ready");
  EXPECT_EQ(ready["pid"], worker.pid());
  EXPECT_EQ(ready["sandbox"], SandboxMeansName(DetectSandbox()));
  EXPECT_TRUE(ready["torch"].is_string());
  ASSERT_EQ(ready["recipes"].size(), 2u);
  EXPECT_EQ(ready["recipes"][0]["name"], "probe.opener");
  EXPECT_EQ(ready["recipes"][0]["params"][0]["type"], "text");
}

TEST(ForkServer, StaysSingleThreaded) {
  const WorkerProcess worker;
  ASSERT_EQ(worker.Next()["event"], "ready");
  const auto tasks = std::filesystem::directory_iterator("/proc/" + std::to_string(worker.pid()) + "/task");
  EXPECT_EQ(std::distance(begin(tasks), end(tasks)), 1);
}

TEST(ForkServer, RunsStepsSideBySideAndTellsEachOnesEnd) {
  const WorkerProcess worker;
  StepFolder first, second;
  first.TrainBy("exit 3\n");
  second.TrainBy("exit 4\n");
  for (auto* folder : {&first, &second}) {
    folder->Write();
    worker.Send({{"op", "start"}, {"id", folder->path()}, {"folder", folder->path()}});
  }
  const auto a = worker.Await("exited"), b = worker.Await("exited");
  EXPECT_NE(a["id"], b["id"]);
  EXPECT_THAT(first.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 3"));
  EXPECT_THAT(second.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 4"));
}

TEST(ForkServer, RefusesAFolderWithoutAStep) {
  const WorkerProcess worker;
  worker.Send({{"op", "start"}, {"id", "a"}, {"folder", "/nonexistent"}});
  const auto refused = worker.Await("refused");
  EXPECT_EQ(refused["id"], "a");
  EXPECT_EQ(refused["error"]["class"], "internal");
}

TEST(ForkServer, RefusesAStepThatRunsOrHasRun) {
  const WorkerProcess worker;
  StepFolder folder;
  folder.MakeFifo();
  folder.TrainBy("echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder.Start(worker)["event"], "started");
  EXPECT_EQ(folder.Start(worker)["event"], "refused");
  ASSERT_EQ(folder.AwaitLine(), "here");
  worker.Send({{"op", "kill"}, {"id", "5/train-1"}, {"class", "cancelled"}, {"message", "by a user"}});
  const auto exited = worker.Await("exited");
  EXPECT_EQ(exited["class"], "cancelled");
  EXPECT_EQ(exited["message"], "by a user");
  EXPECT_EQ(exited["signal"], SIGKILL);
  EXPECT_TRUE(exited["exit_code"].is_null());
  folder.AddFile(folder.path() + "/result.json", "{}");
  EXPECT_EQ(folder.Start(worker)["event"], "refused");
}

TEST(ForkServer, RefusesToTrainWithoutASandbox) {
  const WorkerProcess worker({"--sandbox", "none"});
  EXPECT_EQ(worker.Next()["sandbox"], "none");
  StepFolder folder;
  const auto refused = folder.Run(worker);
  ASSERT_EQ(refused["event"], "refused");
  EXPECT_THAT(refused["error"]["hint"].get<std::string>(), HasSubstr("--allow-unsandboxed"));
  folder.step["sandbox"]["required"] = false;
  EXPECT_EQ(folder.Run(worker)["event"], "exited");
}

TEST(ForkServer, SurvivesPacketsThatAreNone) {
  const WorkerProcess worker;
  worker.SendText("garbage");
  worker.Send({{"op", "dance"}, {"id", "x"}});
  worker.Send({{"op", "kill"}, {"id", "unknown"}});
  worker.Send(json::array());
  StepFolder folder;
  EXPECT_EQ(folder.Run(worker)["event"], "exited");
}

// Each trainer tells its pid, and leaves a daemon in a session of its own, whose pid is told too.
void ExpectNoSurvivors(void (*end)(WorkerProcess&)) {
  WorkerProcess worker;
  StepFolder folder;
  folder.MakeFifo();
  folder.TrainBy("(setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &)\necho $$ > ready.fifo\nexec sleep 1000\n");
  const auto started = folder.Start(worker);
  ASSERT_EQ(started["event"], "started");
  const pid_t one = std::stoi(folder.AwaitLine()), other = std::stoi(folder.AwaitLine());
  end(worker);
  EXPECT_TRUE(AwaitDeath(started["pid"]));
  EXPECT_TRUE(AwaitDeath(one));
  EXPECT_TRUE(AwaitDeath(other));
}

TEST(ForkServer, TakesItsChildrenWithItWhenItsSocketCloses) {
  ExpectNoSurvivors([](WorkerProcess& worker) { worker.CloseSocket(); });
}

TEST(ForkServer, TakesItsChildrenWithItWhenKilled) {
  ExpectNoSurvivors([](WorkerProcess& worker) { kill(worker.pid(), SIGKILL); });
}

TEST(ForkServer, EndsOnSigterm) {
  ExpectNoSurvivors([](WorkerProcess& worker) { kill(worker.pid(), SIGTERM); });
}

}  // namespace
}  // namespace ratchet::worker::testing
