#include "worker/progress_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace ratchet::worker {
namespace {

using nlohmann::json;

class ProgressLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/ratchet-progress-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<json> Lines() const {
    std::vector<json> lines;
    std::ifstream file(folder_ + "/progress.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
    return lines;
  }

  std::string folder_;
  ManualClock clock_{1000};
};

TEST_F(ProgressLogTest, AddsTheTimeWhenALineComesInPieces) {
  ProgressLog log(folder_, clock_);
  log.Feed("{\"epoch\":1,");
  log.Feed("\"of\":3}\n{\"epoch\":2}\n");
  EXPECT_EQ(Lines(), (std::vector<json>{{{"at", 1000}, {"epoch", 1}, {"of", 3}}, {{"at", 1000}, {"epoch", 2}}}));
}

TEST_F(ProgressLogTest, PassesOverALineThatIsNoObject) {
  ProgressLog log(folder_, clock_);
  log.Feed("garbage\n[1,2]\n\n{\"epoch\":1}\n");
  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(ProgressLogTest, PassesOverALineThatIsTooLongAndReadsTheNext) {
  ProgressLog log(folder_, clock_);
  for (int i = 0; i < 100; ++i) log.Feed(std::string(kMaxProgressLineBytes / 10, 'x'));
  log.Feed("\n{\"epoch\":4}\n");
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Lines()[0]["epoch"], 4);
}

TEST_F(ProgressLogTest, LeavesUnknownFieldsOutOfAReport) {
  ProgressLog log(folder_, clock_);
  log.Report({.phase = "train", .epoch = 2, .of = 3, .loss = 0.25, .metrics = {{"validation_accuracy", 0.5}}});
  EXPECT_EQ(Lines(), (std::vector<json>{{{"at", 1000},
                                         {"phase", "train"},
                                         {"epoch", 2},
                                         {"of", 3},
                                         {"loss", 0.25},
                                         {"metrics", {{"validation_accuracy", 0.5}}}}}));
  EXPECT_EQ(log.last_metrics(), (json{{"validation_accuracy", 0.5}}));
}

TEST_F(ProgressLogTest, WritesThroughNoLink) {
  std::ofstream(folder_ + "/elsewhere") << "";
  std::filesystem::create_symlink(folder_ + "/elsewhere", folder_ + "/progress.jsonl");
  ProgressLog log(folder_, clock_);
  log.Feed("{\"epoch\":1}\n");
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/elsewhere"), 0u);
}

}  // namespace
}  // namespace ratchet::worker
