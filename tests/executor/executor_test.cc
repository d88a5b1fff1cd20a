#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "pipeline/fork_server.h"
#include "tests/worker/worker_process.h"
#include "worker/process_watch.h"

// ratchetd's side: pipeline::ForkServer with real workers.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using pipeline::StepHost;
using pipeline::StepStatus;
using ::testing::HasSubstr;
using Kind = StepStatus::Kind;

constexpr int kDeadlineMs = 60'000;

class Executor : public ::testing::Test {
 protected:
  void SetUp() override { Restart(); }

  // As when ratchetd is started anew: nothing but the folders is left of what was known.
  void Restart(StepHost host = StepHost::kCommands) {
    server_.reset();
    server_ = std::make_unique<pipeline::ForkServer>(
        pipeline::ForkServerOptions{
            .program = RATCHET_WORKER, .plugins = RATCHET_PROBE_PLUGINS, .log_path = folder_.root() + "/worker.log"},
        clock_);
    EXPECT_TRUE(Until([&] { return server_->Ready(host); }));
  }

  // Pumps as the control loop does, until it is so.
  template <typename Condition>
  bool Until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
    for (server_->Pump(); !condition(); server_->Pump()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      pollfd polled{server_->fd(), POLLIN, 0};
      poll(&polled, 1, 1000);
    }
    return true;
  }

  bool UntilExited() {
    return Until([&] { return server_->Poll(step_).kind != Kind::kRunning; });
  }

  void Start(const std::string& script) {
    folder_.MakeFifo();
    folder_.RunScript(script);
    folder_.Write();
    step_ = {"5/train-1", folder_.path(), StepHost::kCommands};
    ASSERT_TRUE(server_->Start(step_).has_value());
  }

  SystemClock clock_;
  StepFolder folder_;
  std::unique_ptr<pipeline::ForkServer> server_;
  pipeline::StepRef step_;
};

TEST_F(Executor, SeesAStepRunAndEnd) {
  Start("echo here > ready.fifo; while [ ! -e go ]; do :; done; exit 3\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  ASSERT_TRUE(Until([&] { return server_->Poll(step_).pid.has_value(); }));
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kRunning);
  folder_.AddFile(folder_.path() + "/work/go", "");
  ASSERT_TRUE(UntilExited());
  const auto status = server_->Poll(step_);
  EXPECT_EQ(status.kind, Kind::kExited);
  EXPECT_EQ(status.exit.exit_code, 3);
  EXPECT_EQ(status.exit.error_class, "");
  EXPECT_GT(status.exit.cpu_s, 0);
  EXPECT_GT(status.exit.max_rss_bytes, 0);
  EXPECT_GT(status.exit.read_bytes, 0);
  server_->Forget(step_.id);
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kExited) << "the folder still tells";
}

TEST_F(Executor, TakesAStepOnAgainAfterARestart) {
  Start("echo here > ready.fifo; while [ ! -e go ]; do :; done\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  Restart();
  const auto status = server_->Poll(step_);
  ASSERT_EQ(status.kind, Kind::kRunning);
  EXPECT_EQ(status.pid, json::parse(folder_.Read("process.json"))["pid"].get<std::int64_t>());
  folder_.AddFile(folder_.path() + "/work/go", "");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).exit.exit_code, 0);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded");
}

TEST_F(Executor, SeesAStepThatEndedWhileNobodyWatched) {
  Start("exit 0\n");
  server_.reset();
  ASSERT_TRUE(folder_.AwaitFile("exit.json"));
  Restart();
  const auto status = server_->Poll(step_);
  EXPECT_EQ(status.kind, Kind::kExited);
  EXPECT_EQ(status.exit.exit_code, 0);
}

TEST_F(Executor, GivesUpForGoodWhatHasNotBegun) {
  folder_.RunScript("echo ran > ran\n");
  folder_.Write();
  step_ = {"5/train-1", folder_.path(), StepHost::kCommands};
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
  EXPECT_EQ(json::parse(folder_.Read("process.json")), json({{"abandoned", true}}));
  ASSERT_TRUE(server_->Start(step_).has_value());
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
  EXPECT_FALSE(folder_.Has("work"));
}

TEST_F(Executor, IsUnknownWhereThereIsNoFolder) {
  step_ = {"9/train-1", folder_.root() + "/none", StepHost::kCommands};
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
}

TEST_F(Executor, TakesNoOtherProcessForTheSupervisor) {
  folder_.AddFile(folder_.path() + "/process.json",
                  json{{"pid", getpid()}, {"start_time", 1}, {"boot_id", "another"}}.dump());
  step_ = {"5/train-1", folder_.path(), StepHost::kCommands};
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
}

TEST_F(Executor, TrustsNoLastWordOfAnEarlierBoot) {
  folder_.AddFile(folder_.path() + "/process.json", json{{"pid", 1}, {"start_time", 1}, {"boot_id", "another"}}.dump());
  folder_.AddFile(folder_.path() + "/exit.json", json{{"exit_code", 0}}.dump());
  step_ = {"5/train-1", folder_.path(), StepHost::kCommands};
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown) << "it may not have been synced";
}

TEST_F(Executor, GoesOnWhenAWorkerIsKilled) {
  Start("echo here > ready.fifo; while [ ! -e go ]; do :; done\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  ASSERT_TRUE(Until([&] { return server_->Poll(step_).pid.has_value(); }));
  const int first = server_->pid(StepHost::kCommands);
  kill(first, SIGKILL);
  ASSERT_TRUE(Until([&] { return server_->Ready(StepHost::kCommands) && server_->pid(StepHost::kCommands) != first; }));
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kRunning);
  folder_.AddFile(folder_.path() + "/work/go", "");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).exit.exit_code, 0);
}

bool Runs(pid_t pid) {
  return std::ranges::count(ListProcesses(), pid, &ProcessEntry::pid) > 0;
}

TEST_F(Executor, ForksAheadOfAStart) {
  const pid_t worker = server_->pid(StepHost::kCommands);
  // A supervisor and the process of its step.
  ASSERT_TRUE(Until([&] { return Family(worker).size() == 2; }));
  const auto spares = Family(worker);
  Start("exit 0\n");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(json::parse(folder_.Read("process.json"))["pid"].get<pid_t>(), spares[0]);
}

TEST_F(Executor, DoesWithoutASupervisorThatDiedBeforeItHadAStep) {
  const pid_t worker = server_->pid(StepHost::kCommands);
  ASSERT_TRUE(Until([&] { return Family(worker).size() == 2; }));
  const auto spares = Family(worker);
  kill(spares[0], SIGKILL);
  Start("exit 0\n");
  ASSERT_TRUE(UntilExited());
  // Where the order was quicker than the death, the step is lost and would be tried again.
  const auto status = server_->Poll(step_);
  EXPECT_TRUE(status.kind == Kind::kUnknown || status.exit.exit_code == 0);
  EXPECT_TRUE(Until([&] { return !Runs(spares[1]); })) << "it dies with its supervisor";
}

TEST_F(Executor, DoesWithoutAProcessThatDiedBeforeItHadAStep) {
  const pid_t worker = server_->pid(StepHost::kCommands);
  ASSERT_TRUE(Until([&] { return Family(worker).size() == 2; }));
  const auto spares = Family(worker);
  kill(spares[1], SIGKILL);
  ASSERT_TRUE(Until([&] { return !Runs(spares[0]); })) << "its supervisor ends as well, and another pair is forked";
  Start("exit 0\n");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).exit.exit_code, 0);
}

TEST_F(Executor, KillsAWorkerThatDoesNotAnswer) {
  server_ = std::make_unique<pipeline::ForkServer>(
      pipeline::ForkServerOptions{.program = RATCHET_WORKER, .plugins = RATCHET_PROBE_PLUGINS,
                                  .log_path = folder_.root() + "/worker.log", .answer_time_us = 100'000},
      clock_);
  ASSERT_TRUE(Until([&] { return server_->Ready(StepHost::kCommands); }));
  const pid_t worker = server_->pid(StepHost::kCommands);
  kill(worker, SIGSTOP);
  Start("exit 0\n");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown) << "the step is lost, and may be tried again";
  ASSERT_TRUE(Until([&] { return server_->Ready(StepHost::kCommands); }));
  EXPECT_NE(server_->pid(StepHost::kCommands), worker);
}

TEST_F(Executor, LeavesNoSpareBehind) {
  const pid_t worker = server_->pid(StepHost::kCommands);
  ASSERT_TRUE(Until([&] { return Family(worker).size() == 2; }));
  const auto spares = Family(worker);
  kill(worker, SIGKILL);
  for (const pid_t pid : spares) EXPECT_TRUE(Until([&] { return !Runs(pid); }));
}

TEST_F(Executor, KnowsWhatBecameOfAStartThatTheWorkerDidNotAnswer) {
  kill(server_->pid(StepHost::kCommands), SIGSTOP);
  Start("exit 0\n");
  kill(server_->pid(StepHost::kCommands), SIGKILL);
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
  EXPECT_FALSE(folder_.Has("result.json"));
}

TEST_F(Executor, KillsWithTheClassThatItIsTold) {
  Start("echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  server_->Kill(step_, "pruned", "trial 3 was stopped early");
  ASSERT_TRUE(UntilExited());
  const auto status = server_->Poll(step_);
  EXPECT_EQ(status.kind, Kind::kExited);
  EXPECT_EQ(status.exit.error_class, "pruned");
  EXPECT_EQ(status.exit.message, "trial 3 was stopped early");
}

TEST_F(Executor, KillsAStepBeforeItHasHeardOfItsStart) {
  Start("exec sleep 1000\n");
  server_->Kill(step_, "cancelled", "at once");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).exit.error_class, "cancelled");
}

TEST_F(Executor, KillsAStepOfAnEarlierOne) {
  Start("echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  Restart();
  server_->Kill(step_, "cancelled", "by a user");
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).exit.message, "by a user");
}

TEST_F(Executor, EndsAStepWhoseSupervisorDoesNotAnswer) {
  Start("(setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &)\necho $$ > ready.fifo\nexec sleep 1000\n");
  const pid_t one = std::stoi(folder_.AwaitLine()), other = std::stoi(folder_.AwaitLine());
  ASSERT_TRUE(Until([&] { return server_->Poll(step_).pid.has_value(); }));
  kill(static_cast<pid_t>(*server_->Poll(step_).pid), SIGSTOP);
  const auto start = std::chrono::steady_clock::now();
  server_->Kill(step_, "cancelled", "by a user");
  ASSERT_TRUE(UntilExited());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kExited);
  EXPECT_EQ(server_->Poll(step_).exit.error_class, "cancelled");
  EXPECT_TRUE(AwaitDeath(one));
  EXPECT_TRUE(AwaitDeath(other));
}

TEST_F(Executor, SweepsWhatAKilledSupervisorLeft) {
  Start("(setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &)\nexec sleep 1000\n");
  const pid_t daemon = std::stoi(folder_.AwaitLine());
  ASSERT_TRUE(Until([&] { return server_->Poll(step_).pid.has_value(); }));
  // The worker would end it too; without it the sweep has to do.
  kill(server_->pid(StepHost::kCommands), SIGKILL);
  kill(static_cast<pid_t>(*server_->Poll(step_).pid), SIGKILL);
  ASSERT_TRUE(UntilExited());
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kUnknown);
  EXPECT_TRUE(AwaitDeath(daemon));
}

TEST_F(Executor, EndsAllThatRuns) {
  Start("echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  server_->EndAll("ratchetd ends");
  EXPECT_EQ(folder_.Exit()["message"], "ratchetd ends");
  EXPECT_EQ(server_->Poll(step_).kind, Kind::kExited);
}

TEST_F(Executor, DescribesTheRecipes) {
  Restart(StepHost::kRecipes);
  EXPECT_EQ(server_->Describe()["recipes"].size(), 3u);
  EXPECT_EQ(server_->State(StepHost::kRecipes), "ready");
}

}  // namespace
}  // namespace ratchet::worker::testing
