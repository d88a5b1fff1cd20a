#include "daemon/worker_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace ratchet::daemon {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class WorkerStatusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ratchet-worker-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    std::ofstream(dir_ + "/log") << "of an earlier life\n";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
  SystemClock clock_;
};

TEST_F(WorkerStatusTest, NamesAProgramThatIsMissing) {
  pipeline::ForkServer worker({.program = dir_ + "/none", .plugins = dir_, .log_path = dir_ + "/log"}, clock_);
  EXPECT_TRUE(WorkerStatus(worker).at("error").is_null());
  worker.Pump();
  const auto status = WorkerStatus(worker);
  EXPECT_EQ(status.at("state"), "down");
  EXPECT_EQ(status.at("error"), "cannot start " + dir_ + "/none: No such file or directory");
}

TEST_F(WorkerStatusTest, QuotesWhatACrashedWorkerWroteLast) {
  const std::string program = dir_ + "/worker";
  std::ofstream(program) << "#!/bin/sh\necho one\necho 'no libtorch here' >&2\nexit 7\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  pipeline::ForkServer worker({.program = program, .plugins = dir_, .log_path = dir_ + "/log"}, clock_);
  worker.Pump();
  while (worker.pid(pipeline::StepHost::kRecipes) != 0) {  // it may have ended within the first turn
    pollfd ended{worker.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&ended, 1, 10'000), 1);
    worker.Pump();
  }
  const auto status = WorkerStatus(worker);
  EXPECT_EQ(status.at("state"), "starting");
  EXPECT_THAT(status.at("error").get<std::string>(), HasSubstr("ended "));
  EXPECT_THAT(status.at("error").get<std::string>(), EndsWith(": one\nno libtorch here"));
}

TEST_F(WorkerStatusTest, ReadsNoMoreThanTheLastLines) {
  std::ofstream log(dir_ + "/long");
  for (int i = 0; i < 100; ++i) log << "line " << i << "\n";
  log.close();
  EXPECT_EQ(LastLines(dir_ + "/long", 0), "line 95\nline 96\nline 97\nline 98\nline 99");
  std::ofstream(dir_ + "/wide") << std::string(5000, 'x');
  EXPECT_EQ(LastLines(dir_ + "/wide", 0).size(), 1000u);
  EXPECT_EQ(LastLines(dir_ + "/none", 0), "");
}

}  // namespace
}  // namespace ratchet::daemon
