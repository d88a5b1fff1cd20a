#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace ratchet::cli {

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void WriteWhole(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A folder of this test's own, gone afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ratchet-cli-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct ProgramEnd {
  int code = -1;
  std::string out;
  std::string err;
};

// Runs a program to its end with the given words and, on top of this process's, environment.
inline ProgramEnd RunProcess(const std::vector<std::string>& words, const std::string& input = "",
                             const std::vector<std::string>& environment = {}) {
  TemporaryFolder folder;
  WriteWhole(folder / "in", input);
  pid_t child = fork();
  if (child == 0) {
    dup2(open((folder / "in").c_str(), O_RDONLY), 0);
    dup2(open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600), 1);
    dup2(open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600), 2);
    for (const std::string& setting : environment) putenv(strdup(setting.c_str()));
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(strdup(word.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadWhole(folder / "out"), ReadWhole(folder / "err")};
}

// Runs the real `ratchet` against a server.
inline ProgramEnd Ratchet(const std::string& server, std::vector<std::string> words, const std::string& input = "") {
  static const TemporaryFolder state;
  words.insert(words.begin(), RATCHET_PROGRAM);
  return RunProcess(words, input,
                    {"RATCHET_SERVER=" + server, "RATCHET_TOKEN=", "TZ=UTC", "LC_ALL=C.UTF-8",
                     "XDG_STATE_HOME=" + state / ""});
}

}  // namespace ratchet::cli
