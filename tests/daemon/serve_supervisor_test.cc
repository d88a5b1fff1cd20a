#include "daemon/serve_supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace ratchet::daemon {
namespace {

// A stand-in for ratchet-serve: holds the lock file as it does, and writes down its arguments.
constexpr char kStandIn[] = R"(#!/bin/sh
dir="$6"
exec 9<>"$dir/lock"
flock -n 9 || exit 1
printf %s "$$" > "$dir/lock"
echo "$@" >> "$dir/arguments"
exec sleep 1000
)";

class ServeSupervisorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ratchet-serve-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    for (const char* folder : {"/serve", "/logs"}) std::filesystem::create_directories(dir_ + folder);
    program_ = dir_ + "/stand-in";
    std::ofstream(program_) << kStandIn;
    chmod(program_.c_str(), 0755);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  ServeOptions Options(const std::string& url) const { return {program_, dir_, "127.0.0.1:0", url}; }
  // Waits until the stand-in holds its lock.
  bool IsUp(int pid) const {
    for (int i = 0; i < 1000; ++i) {
      if (LockHolder(dir_ + "/serve/lock") == pid && std::filesystem::exists(dir_ + "/serve/arguments")) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  // Waits until a stand-in has written down such arguments.
  bool WasTold(const std::string& words) const {
    for (int i = 0; i < 1000; ++i) {
      std::ifstream file(dir_ + "/serve/arguments");
      const std::string all((std::istreambuf_iterator<char>(file)), {});
      if (all.find(words) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::string dir_, program_;
  SystemFiles files_;
  ManualClock clock_;
};

TEST_F(ServeSupervisorTest, StartsAgainAfterADeathWithAGrowingPause) {
  ServeSupervisor supervisor(Options("http://a"), files_, clock_);
  supervisor.Tick();
  const int first = supervisor.pid();
  ASSERT_GT(first, 0);
  ASSERT_TRUE(IsUp(first));
  kill(first, SIGKILL);
  siginfo_t ended;
  waitid(P_PID, static_cast<id_t>(first), &ended, WEXITED | WNOWAIT);
  const std::int64_t again_us = supervisor.Tick();
  EXPECT_EQ(supervisor.pid(), 0);
  EXPECT_GT(again_us, clock_.MonotonicUs());
  clock_.AdvanceUs(again_us - clock_.MonotonicUs());
  supervisor.Tick();
  EXPECT_GT(supervisor.pid(), 0);
  EXPECT_EQ(supervisor.starts(), 2);
  supervisor.Stop(5000);
  EXPECT_EQ(supervisor.pid(), 0);
}

TEST_F(ServeSupervisorTest, TakesOnOneThatRunsAlready) {
  ServeSupervisor before(Options("http://a"), files_, clock_);
  before.Tick();
  const int pid = before.pid();
  ASSERT_TRUE(IsUp(pid));
  ServeSupervisor after(Options("http://a"), files_, clock_);
  after.Tick();
  EXPECT_EQ(after.pid(), pid);
  EXPECT_EQ(after.starts(), 0);
  EXPECT_EQ(getsid(pid), pid) << "a session of its own";
  after.Stop(5000);
  EXPECT_EQ(LockHolder(dir_ + "/serve/lock"), 0);
}

TEST_F(ServeSupervisorTest, ReplacesOneThatFollowsAnotherAddress) {
  ServeSupervisor before(Options("http://a"), files_, clock_);
  before.Tick();
  ASSERT_TRUE(IsUp(before.pid()));
  ServeSupervisor after(Options("http://b"), files_, clock_);
  after.Tick();
  EXPECT_NE(after.pid(), before.pid());
  EXPECT_EQ(after.starts(), 1);
  after.Stop(5000);
  before.Stop(100);
}

TEST_F(ServeSupervisorTest, TellsItWhatToLogAndReplacesOneThatWasToldOtherwise) {
  ServeSupervisor before(Options("http://a"), files_, clock_);
  before.Tick();
  ASSERT_TRUE(IsUp(before.pid()));
  ServeOptions options = Options("http://a");
  options.logging = {"--log-sample", "0.5"};
  ServeSupervisor after(options, files_, clock_);
  after.Tick();
  ASSERT_NE(after.pid(), before.pid());
  EXPECT_TRUE(WasTold("--log-sample 0.5\n"));
  after.Stop(5000);
  before.Stop(100);
}

TEST_F(ServeSupervisorTest, GoesOnWithoutAProgram) {
  ServeOptions options = Options("http://a");
  options.program = dir_ + "/none";
  ServeSupervisor supervisor(options, files_, clock_);
  const std::int64_t again_us = supervisor.Tick();
  EXPECT_EQ(supervisor.pid(), 0);
  EXPECT_GE(again_us - clock_.MonotonicUs(), 1'000'000);
}

}  // namespace
}  // namespace ratchet::daemon
