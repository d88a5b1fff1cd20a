// ratchetd as a program: what it links, how fast and how small it is, what it says when it cannot start.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "tests/daemon/raw_client.h"

extern char** environ;

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// One ratchetd, killed with the object if it still runs.
class Program {
 public:
  Program(const std::vector<std::string>& words, const std::string& log) {
    std::vector<std::string> all = {RATCHETD};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<char*> arguments;
    for (std::string& word : all) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    EXPECT_EQ(posix_spawn(&pid_, RATCHETD, &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  int pid() const { return pid_; }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
};

class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ratchetd-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::vector<std::string> Arguments(const std::string& data) const {
    return {"--data", data, "--listen", "127.0.0.1:0", "--no-serve", "--worker-program", "/nonexistent/worker"};
  }
  // The port that the daemon has written down, once /healthz answers there; 0 after 10 s.
  static int WaitForPort(const std::string& data) {
    for (int i = 0; i < 10'000; ++i) {
      const std::string address = ReadText(data + "/address");
      if (address.ends_with('\n')) {
        const int port = std::atoi(address.substr(address.rfind(':') + 1).c_str());
        if (Ask(port, RequestText("GET", "/healthz")).status == 200) return port;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return 0;
  }
  // Runs one that cannot start; returns its exit code and what it said.
  std::pair<int, std::string> Refused(const std::vector<std::string>& words) {
    Program program(words, dir_ + "/log");
    const int code = program.Wait();
    return {code, ReadText(dir_ + "/log")};
  }

  std::string dir_;
};

TEST_F(ProgramTest, AnswersWithinMomentsAndStaysSmall) {
  double best_ms = 1e9;
  for (int round = 0; round < 5; ++round) {
    const std::string data = dir_ + "/data" + std::to_string(round);
    const auto began = std::chrono::steady_clock::now();
    Program program(Arguments(data), dir_ + "/log");
    ASSERT_GT(WaitForPort(data), 0) << ReadText(dir_ + "/log");
    best_ms =
        std::min(best_ms, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
    const std::string status = ReadText("/proc/" + std::to_string(program.pid()) + "/status");
    const int resident_kib = std::atoi(status.substr(status.find("VmRSS:") + 6).c_str());
    EXPECT_LT(resident_kib, 40 * 1024);
    EXPECT_THAT(ReadText("/proc/" + std::to_string(program.pid()) + "/maps"), Not(HasSubstr("libtorch")));
    RecordProperty("resident_kib", resident_kib);
  }
  RecordProperty("start_ms", static_cast<int>(best_ms));
  EXPECT_LT(best_ms, 100);
}

TEST_F(ProgramTest, SaysWhyNoWorkerComes) {
  Program program(Arguments(dir_ + "/data"), dir_ + "/log");
  const int port = WaitForPort(dir_ + "/data");
  ASSERT_GT(port, 0);
  std::string status;
  for (int i = 0; i < 10'000 && status.find("\"down\"") == std::string::npos; ++i)
    status = Ask(port, RequestText("GET", "/api/v1/status")).body;
  EXPECT_THAT(status, HasSubstr("cannot start /nonexistent/worker: No such file or directory"));
  EXPECT_THAT(status, HasSubstr("\"managed\":false"));
}

TEST_F(ProgramTest, StopsOnSigtermAndLeavesTheDirectoryToTheNext) {
  const std::string data = dir_ + "/data";
  for (int round = 0; round < 2; ++round) {
    std::filesystem::remove(data + "/address");
    Program program(Arguments(data), dir_ + "/log");
    ASSERT_GT(WaitForPort(data), 0) << ReadText(dir_ + "/log");
    kill(program.pid(), SIGTERM);
    EXPECT_EQ(program.Wait(), 0) << ReadText(dir_ + "/log");
  }
}

TEST_F(ProgramTest, RefusesADirectoryThatIsTakenAndNamesWhoHasIt) {
  const std::string data = dir_ + "/data";
  Program first(Arguments(data), dir_ + "/first-log");
  ASSERT_GT(WaitForPort(data), 0);
  const auto [code, said] = Refused(Arguments(data));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(said, HasSubstr("process " + std::to_string(first.pid())));
  EXPECT_THAT(said, HasSubstr("--data"));
}

TEST_F(ProgramTest, SaysWhenThePortIsTaken) {
  const std::string data = dir_ + "/data";
  Program first(Arguments(data), dir_ + "/first-log");
  const int port = WaitForPort(data);
  const auto [code, said] =
      Refused({"--data", dir_ + "/other", "--no-serve", "--listen", "127.0.0.1:" + std::to_string(port)});
  EXPECT_EQ(code, 1);
  EXPECT_THAT(said, HasSubstr("the port is taken"));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/other")) << "and leaves nothing behind";
}

TEST_F(ProgramTest, SaysWhenItCannotWriteItsDirectory) {
  const auto [code, said] = Refused(Arguments("/proc/ratchet-data"));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(said, HasSubstr("/proc/ratchet-data"));
}

TEST_F(ProgramTest, SaysWhenItsRegistryIsNone) {
  std::filesystem::create_directories(dir_ + "/data");
  std::ofstream(dir_ + "/data/registry.db") << std::string(8192, 'x');
  const auto [code, said] = Refused(Arguments(dir_ + "/data"));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(said, HasSubstr("open registry"));
}

TEST_F(ProgramTest, ExplainsItself) {
  const auto [code, said] = Refused({"--help"});
  EXPECT_EQ(code, 0);
  for (const char* part : {"SYNOPSIS", "--serve-listen", "RATCHET_", "EXIT CODES", "EXAMPLES"})
    EXPECT_THAT(said, HasSubstr(part));
  EXPECT_EQ(Refused({"--unknown"}).first, 2);
}

}  // namespace
}  // namespace ratchet::daemon
