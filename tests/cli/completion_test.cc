#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Complete, OffersCommandsOptionsAndValues) {
  EXPECT_EQ(Ratchet("http://127.0.0.1:1", {"__complete", "p"}).out, "pipeline\npromote\npredict\n");
  EXPECT_EQ(Ratchet("http://127.0.0.1:1", {"__complete", "run", "s"}).out, "start\nshow\n");
  EXPECT_THAT(Ratchet("http://127.0.0.1:1", {"__complete", "run", "start", "--"}).out, HasSubstr("--set\n"));
  EXPECT_EQ(Ratchet("http://127.0.0.1:1", {"__complete", "status", "-o", ""}).out, "table\njson\n");
  EXPECT_EQ(Ratchet("http://127.0.0.1:1", {"__complete", "completion", "z"}).out, "zsh\n");
}

TEST(Complete, AsksTheServerForNamesSilently) {
  FakeServer server;
  server.On("GET /api/v1/models",
            R"({"items":[{"name":"sorter","latest_version":2},{"name":"churn","latest_version":1}],"next":null})");
  server.On("GET /api/v1/runs", R"({"items":[{"id":12},{"id":5}],"next":null})");
  EXPECT_EQ(Ratchet(server.Url(), {"__complete", "rollback", ""}).out, "sorter\nchurn\n");
  EXPECT_EQ(Ratchet(server.Url(), {"__complete", "model", "diff", "sorter@1", "s"}).out, "sorter@1\nsorter@2\n");
  EXPECT_EQ(Ratchet("x", {"__complete", "--server", server.Url(), "run", "logs", "1"}).out, "12\n");
  ProgramEnd silent = Ratchet("http://127.0.0.1:1", {"__complete", "rollback", ""});
  EXPECT_EQ(silent.out + silent.err, "");
  EXPECT_EQ(silent.code, 0);
}

std::string InBash(const FakeServer& server, const std::string& line) {
  std::string script = "set -eu\nPATH=$(dirname '" RATCHET_PROGRAM
                       "'):$PATH\neval \"$(ratchet completion bash)\"\n"
                       "COMP_LINE='" +
                       line + "' COMP_POINT=" + std::to_string(line.size()) +
                       "\n_ratchet\nprintf '%s\\n' ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}\n";
  ProgramEnd end = RunProcess({"bash", "--norc", "-c", script}, "", {"RATCHET_SERVER=" + server.Url()});
  EXPECT_EQ(end.err, "");
  return end.out;
}

TEST(BashCompletion, CompletesAsTyped) {
  FakeServer server;
  server.On("GET /api/v1/models", R"({"items":[{"name":"sorter","latest_version":2}],"next":null})");
  EXPECT_EQ(InBash(server, "ratchet pipe"), "pipeline\n");
  EXPECT_EQ(InBash(server, "ratchet run "), "start\nlist\nshow\nlogs\ncancel\nretry\nreproduce\n");
  EXPECT_EQ(InBash(server, "ratchet model show so"), "sorter\n");
  // bash takes what follows '@' for a word of its own.
  EXPECT_EQ(InBash(server, "ratchet promote sorter@"), "1\n2\n");
}

TEST(ZshCompletion, IsValidWhereZshIsThere) {
  if (RunProcess({"sh", "-c", "command -v zsh"}).code != 0) GTEST_SKIP() << "zsh is not installed";
  TemporaryFolder folder;
  WriteWhole(folder / "_ratchet", Ratchet("x", {"completion", "zsh"}).out);
  EXPECT_EQ(RunProcess({"zsh", "-n", folder / "_ratchet"}).code, 0);
}

}  // namespace
}  // namespace ratchet::cli
