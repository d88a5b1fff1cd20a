#include "worker/step_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "pipeline/step_log.h"

// Writer and reader of one format, together.
namespace ratchet::worker {
namespace {

using pipeline::ReadLog;

class StepLog : public ::testing::Test {
 protected:
  StepLog() {
    std::string name = std::filesystem::temp_directory_path().string() + "/ratchet-log-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~StepLog() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  LogCaps caps_{.head_bytes = 10, .segment_bytes = 4, .segments = 2};
};

TEST_F(StepLog, IsEmptyBeforeAnythingIsWritten) {
  StepLogWriter writer(folder_, caps_);
  EXPECT_EQ(ReadLog(folder_, 0, 100).bytes, "");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/log"));
}

TEST_F(StepLog, IsReadInPiecesFromAnyOffset) {
  StepLogWriter writer(folder_, caps_);
  writer.Write("0123");
  writer.Write("456789abc");
  EXPECT_EQ(ReadLog(folder_, 0, 100).bytes, "0123456789abc");
  EXPECT_EQ(ReadLog(folder_, 0, 3).bytes, "012");
  EXPECT_EQ(ReadLog(folder_, 0, 3).next_offset, 3u);
  EXPECT_EQ(ReadLog(folder_, 9, 3).bytes, "9ab");
  EXPECT_EQ(ReadLog(folder_, 12, 3).bytes, "c");
  EXPECT_EQ(ReadLog(folder_, 13, 3).bytes, "");
  writer.Write("d");
  EXPECT_EQ(ReadLog(folder_, 13, 3).bytes, "d");
}

TEST_F(StepLog, DropsTheMiddleAndSaysSoOnce) {
  StepLogWriter writer(folder_, caps_);
  writer.Write("0123456789abcdefghijklmnop");
  // Segments at 10, 14, 18, 22; the last two are kept.
  const auto piece = ReadLog(folder_, 0, 1000);
  EXPECT_EQ(piece.bytes, "0123456789\n… 8 bytes dropped …\nijklmnop");
  EXPECT_EQ(piece.dropped_bytes, 8u);
  EXPECT_EQ(piece.next_offset, 26u);
  EXPECT_EQ(ReadLog(folder_, 10, 2).bytes, "\n… 8 bytes dropped …\nij");
  EXPECT_EQ(ReadLog(folder_, 20, 1000).bytes, "klmnop");
  EXPECT_EQ(pipeline::LogTailOffset(folder_, 6), 20u);
}

TEST_F(StepLog, RemembersTheEndOfTheStream) {
  StepLogWriter writer(folder_, caps_);
  writer.Write("the first");
  writer.Write(std::string(5000, 'x') + "last");
  EXPECT_EQ(writer.tail().size(), 4096u);
  EXPECT_TRUE(writer.tail().ends_with("xlast"));
}

TEST_F(StepLog, FollowsNoLinkThatAStepLeft) {
  std::ofstream(folder_ + "/secret") << "secret";
  std::filesystem::create_symlink(folder_ + "/secret", folder_ + "/log");
  StepLogWriter writer(folder_, caps_);
  writer.Write("mine");
  EXPECT_EQ(ReadLog(folder_, 0, 100).bytes, "");
  std::string kept;
  std::ifstream(folder_ + "/secret") >> kept;
  EXPECT_EQ(kept, "secret");
}

}  // namespace
}  // namespace ratchet::worker
