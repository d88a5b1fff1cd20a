#include "worker/cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ratchet::worker {
namespace {

namespace fs = std::filesystem;

// A folder that looks like cgroup2 to those who only read and write files.
class FakeCgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/ratchet-cgroup-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    fs::create_directories(root_ + "/unit/ratchet-worker");
    Put("unit/cgroup.controllers", "cpu memory pids\n");
    for (const char* file : {"unit/cgroup.procs", "unit/cgroup.subtree_control", "unit/ratchet-worker/cgroup.procs"})
      Put(file, "");
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& name, const std::string& text) const { std::ofstream(root_ + "/" + name) << text; }
  std::string Get(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(root_ + "/" + name).rdbuf();
    return text.str();
  }

  std::string root_;
};

TEST_F(FakeCgroup, MovesIntoALeafAndEnablesMemoryWhenDelegated) {
  const auto parent = CgroupParent::Take(root_, "/unit", 42);
  ASSERT_TRUE(parent.has_value()) << parent.error().Message();
  EXPECT_EQ(Get("unit/ratchet-worker/cgroup.procs"), "42");
  EXPECT_EQ(Get("unit/cgroup.subtree_control"), "+memory");
}

TEST_F(FakeCgroup, DividesTheDelegatedGroupAboveItsOwnLeaf) {
  fs::create_directories(root_ + "/unit/ratchetd");
  if (setxattr((root_ + "/unit").c_str(), "user.delegate", "1", 1, 0) != 0)
    GTEST_SKIP() << "NOT TESTED: the temporary folder takes no user attributes";
  ASSERT_TRUE(CgroupParent::Take(root_, "/unit/ratchetd", 42).has_value());
  EXPECT_EQ(Get("unit/cgroup.subtree_control"), "+memory");
  EXPECT_EQ(Get("unit/ratchet-worker/cgroup.procs"), "") << "nobody has to move";
}

TEST_F(FakeCgroup, LeavesTheGroupAboveAloneWhereItIsNotDelegated) {
  fs::create_directories(root_ + "/unit/ratchetd");
  EXPECT_FALSE(CgroupParent::Take(root_, "/unit/ratchetd", 42).has_value());
  EXPECT_EQ(Get("unit/cgroup.subtree_control"), "");
}

TEST_F(FakeCgroup, IsRefusedWithoutTheMemoryController) {
  Put("unit/cgroup.controllers", "cpu pids\n");
  const auto parent = CgroupParent::Take(root_, "/unit", 42);
  ASSERT_FALSE(parent.has_value());
  EXPECT_EQ(parent.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Get("unit/ratchet-worker/cgroup.procs"), "");
}

TEST_F(FakeCgroup, MovesBackWhenMemoryCannotBeEnabled) {
  fs::remove(root_ + "/unit/cgroup.subtree_control");
  ASSERT_FALSE(CgroupParent::Take(root_, "/unit", 42).has_value());
  EXPECT_EQ(Get("unit/cgroup.procs"), "42");
}

TEST_F(FakeCgroup, TellsPeakAndOutOfMemoryKills) {
  fs::create_directories(root_ + "/step");
  Put("step/memory.peak", "123456\n");
  Put("step/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n");
  const StepCgroup step(root_ + "/step");
  EXPECT_EQ(step.PeakBytes(), 123456u);
  EXPECT_FALSE(step.OutOfMemoryKilled());
  Put("step/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n");
  EXPECT_TRUE(step.OutOfMemoryKilled());
}

TEST_F(FakeCgroup, GivesZeroPeakWhereTheKernelTellsNone) { EXPECT_EQ(StepCgroup(root_ + "/nothing").PeakBytes(), 0u); }

TEST_F(FakeCgroup, FailsToMakeAStepWhereNoControlFilesAppear) {
  const auto parent = CgroupParent::Take(root_, "/unit", 42);
  ASSERT_TRUE(parent.has_value());
  const auto step = parent->Make("step-1", 1 << 20);
  ASSERT_FALSE(step.has_value());
  EXPECT_FALSE(fs::exists(root_ + "/unit/step-1"));
}

}  // namespace
}  // namespace ratchet::worker
