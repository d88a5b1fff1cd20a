#include "daemon/settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace ratchet::daemon {
namespace {

class SettingsTest : public ::testing::Test {
 protected:
  void TearDown() override {
    unsetenv("RATCHET_LISTEN");
    unsetenv("RATCHET_LOG_LEVEL");
    std::filesystem::remove(config_);
  }
  void Config(const std::string& text) { std::ofstream(config_) << text; }
  Parsed Parse(std::vector<std::string> words) {
    words.insert(words.begin(), {"ratchetd", "--config", config_});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    return ParseSettings(static_cast<int>(arguments.size()), arguments.data());
  }

  const std::string config_ =
      (std::filesystem::temp_directory_path() / ("settings-" + std::to_string(getpid()) + ".yaml")).string();
};

TEST_F(SettingsTest, PutsFlagsOverEnvironmentOverFile) {
  Config("data: /from/file\nlisten: 127.0.0.1:1\nlog-level: warn\nno-serve: true\n");
  setenv("RATCHET_LISTEN", "127.0.0.1:2", 1);
  setenv("RATCHET_LOG_LEVEL", "error", 1);
  const Parsed parsed = Parse({"--listen", "127.0.0.1:3"});
  ASSERT_FALSE(parsed.exit_code);
  EXPECT_EQ(parsed.settings.listen, "127.0.0.1:3");
  EXPECT_EQ(parsed.settings.log_level, "error");
  EXPECT_EQ(parsed.settings.data, "/from/file");
  EXPECT_TRUE(parsed.settings.no_serve);
}

TEST_F(SettingsTest, RefusesWhatItDoesNotKnow) {
  for (const char* text :
       {"lisen: 127.0.0.1:1\n", "listen: [1, 2]\n", "listen: nowhere\n", "- listen\n", "listen: {\n", "help: true\n"}) {
    Config(text);
    EXPECT_EQ(Parse({}).exit_code, 2) << text;
  }
  Config("");
  EXPECT_EQ(Parse({"--listen", "127.0.0.1"}).exit_code, 2);
  EXPECT_EQ(Parse({"--listen", "127.0.0.1:99999"}).exit_code, 2);
  EXPECT_EQ(Parse({"--lisen", "127.0.0.1:1"}).exit_code, 2);
}

TEST_F(SettingsTest, SaysWhatOfThePredictionsIsKept) {
  Config("keep-predictions: 7d\nlog-redact: plan,spend\n");
  const Parsed parsed = Parse({"--log-sample", "0.25", "--spool-bytes", "1GiB"});
  ASSERT_FALSE(parsed.exit_code);
  EXPECT_EQ(parsed.settings.log_sample, 0.25);
  EXPECT_EQ(parsed.settings.log_redact, "plan,spend");
  EXPECT_EQ(parsed.settings.spool_bytes, "1GiB");
  EXPECT_EQ(parsed.settings.keep_predictions, "7d");
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"--log-sample", "1.5"}, {"--log-sample", "-1"}, {"--spool-bytes", "1KB"}, {"--spool-bytes", "much"},
           {"--keep-predictions", "10s"}, {"--keep-predictions", "for ever"}, {"--keep-events", "0"}})
    EXPECT_EQ(Parse(bad).exit_code, 2) << bad[0] << " " << bad[1];
}

TEST_F(SettingsTest, RefusesAConfigurationFileThatIsNotThere) { EXPECT_EQ(Parse({}).exit_code, 2); }

TEST(ParseHostPort, TakesAddressesWithPorts) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:7300")->port, 7300);
  EXPECT_EQ(ParseHostPort("[::1]:0")->host, "::1");
  EXPECT_EQ(ParseHostPort("localhost:65535")->host, "localhost");
  for (const char* bad : {"", ":", "7300", "host:", ":7300", "host:65536", "host:-1", "host:7x"})
    EXPECT_FALSE(ParseHostPort(bad)) << bad;
}

}  // namespace
}  // namespace ratchet::daemon
