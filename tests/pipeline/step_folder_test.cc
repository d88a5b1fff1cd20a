#include "pipeline/step_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace ratchet::pipeline {
namespace {

using registry::Json;

// Files of which each holds the same.
class OneText final : public Files {
 public:
  explicit OneText(std::string text) : text_(std::move(text)) {}
  Result<std::string> Read(const std::string&, std::uint64_t) override { return text_; }
  Status WriteAtomic(const std::string&, std::string_view) override { return {}; }
  Status Sync(const std::string&) override { return {}; }
  Status Rename(const std::string&, const std::string&) override { return {}; }
  Status Link(const std::string&, const std::string&) override { return {}; }
  Status MakeFolders(const std::string&) override { return {}; }
  Status RemoveAll(const std::string&) override { return {}; }

 private:
  const std::string text_;
};

bool IsRead(const std::string& text) {
  OneText files(text);
  return ReadResult(files, "folder").has_value();
}

TEST(StepResult, IsReadOnlyWhereItsPartsHaveTheirTypes) {
  EXPECT_TRUE(IsRead(R"({"outcome":"succeeded","outputs":{"x":{"path":"x","sha256":"ab","bytes":3}},"training_metrics":{}})"));
  EXPECT_TRUE(IsRead(R"({"outcome":"failed","error":{"class":"user"}})"));
  for (const char* text : {R"({"outcome":)", R"([])", R"({"outcome":7})", R"({"outcome":"failed","error":"no"})",
                           R"({"outcome":"succeeded","outputs":3})", R"({"outcome":"succeeded","outputs":{"x":3}})",
                           R"({"outcome":"succeeded","outputs":{"x":{"path":1,"sha256":"ab","bytes":3}}})",
                           R"({"outcome":"succeeded","training_metrics":[1]})"})
    EXPECT_FALSE(IsRead(text)) << text;
}

TEST(StepResult, OfATestSaysWhatTheGateAsksFor) {
  const Json good = {{"metric", "accuracy"}, {"per_row", "correct"}, {"opponent_kind", "live"}, {"candidate", 0.9}, {"opponent", 0.5}};
  EXPECT_TRUE(IsTestResult(good));
  for (const auto& [name, value] : good.items()) {
    Json other = good;
    other[name] = Json::array();
    EXPECT_FALSE(IsTestResult(other)) << name;
    other.erase(name);
    EXPECT_FALSE(IsTestResult(other)) << name;
  }
}

TEST(StepResult, OfATestThatKeptEvidenceNeedsNoFigures) {
  const Json classes = {{"metric", "roc_auc"}, {"evidence", "classes"}, {"opponent_kind", "live"}, {"classes", 2}, {"class_names", {"no", "yes"}}};
  const Json numbers = {{"metric", "wape"}, {"evidence", "numbers"}, {"opponent_kind", "mean"}};
  EXPECT_TRUE(IsTestResult(classes));
  EXPECT_TRUE(IsTestResult(numbers));
  for (const auto& [name, value] : classes.items()) {
    Json other = classes;
    other[name] = Json::object();
    EXPECT_FALSE(IsTestResult(other)) << name;
  }
  Json other = classes;
  other["class_names"] = {1, 2};
  EXPECT_FALSE(IsTestResult(other));
}

TEST(LogTail, IsTextWhateverAStepPrints) {
  std::string name = testing::TempDir() + "ratchet-log-XXXXXX";
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  std::ofstream(name + "/log") << "fine\n\xff\xfe bytes\n" << std::string(499, 'x') << "\u00e9 cut in two\n";
  const Json lines = LogTail(name);
  EXPECT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "?? bytes");
  EXPECT_NO_THROW((void)lines.dump());
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace ratchet::pipeline
