#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/json_fields.h"
#include "cli/pipeline_files.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

using testing::HasSubstr;

constexpr const char* kProblem =
    R"({"type":"https://ratchet.dev/problems/invalid","title":"Invalid","status":422,"detail":"The spec has 2 faults.",)"
    R"("errors":[{"field":"data.splt","line":3,"detail":"unknown key; did you mean 'split'?"},{"field":"train","detail":"is missing"}]})";

TEST(Base64, PadsAsTheRfcSays) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (auto [bytes, text] : cases) EXPECT_EQ(Base64(bytes), text);
}

TEST(ReadSpecFile, TakesAlongTheCommandsOwnFilesOnly) {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  WriteWhole(folder / "sub/train.py", "print()");
  WriteWhole(folder / "secret", "x");
  std::filesystem::create_symlink(folder / "secret", folder / "link.py");
  WriteWhole(folder / "sub/spec.yaml",
             "model: m\ntrain: {command: [python3, train.py, ../secret, /etc/hostname, missing.py, .]}\n");
  auto spec = ReadSpecFile(folder / "sub/spec.yaml");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->model, "m");
  EXPECT_EQ(spec->files, (std::map<std::string, std::string>{{"train.py", "print()"}}));
  WriteWhole(folder / "spec.yaml", "model: m\ntrain: {command: [python3, link.py]}\n");
  EXPECT_TRUE(ReadSpecFile(folder / "spec.yaml")->files.empty());
}

TEST(ReadSpecFile, TakesAlongTheFilesOfEveryStep) {
  TemporaryFolder folder;
  for (const char* name : {"join.py", "train.py", "other.py"}) WriteWhole(folder / name, name);
  WriteWhole(folder / "spec.yaml",
             "model: m\nsteps:\n  join: {command: [python3, join.py]}\n  sql: {recipe: flow.sql}\n"
             "train: {command: [python3, train.py]}\n");
  EXPECT_EQ(ReadSpecFile(folder / "spec.yaml")->files,
            (std::map<std::string, std::string>{{"join.py", "join.py"}, {"train.py", "train.py"}}));
}

TEST(ReadSpecFile, TellsOfScriptsThatAreNotThere) {
  TemporaryFolder folder;
  WriteWhole(folder / "spec.yaml", "model: m\ntrain: {command: [python3, train.py, --mode, fast, /opt/other.py, '../up.sh']}\n");
  EXPECT_EQ(ReadSpecFile(folder / "spec.yaml")->missing, std::vector<std::string>{"train.py"});
}

TEST(ReadSpecFile, RefusesAnOverlargeFileAndKeepsWhatIsNoYaml) {
  TemporaryFolder folder;
  WriteWhole(folder / "big.py", std::string(kCommandFileLimitBytes + 1, '#'));
  WriteWhole(folder / "spec.yaml", "model: m\ntrain: {command: [python3, big.py]}\n");
  auto spec = ReadSpecFile(folder / "spec.yaml");
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code, ErrorCode::kTooLarge);
  WriteWhole(folder / "bad.yaml", "a: [b\n");
  EXPECT_EQ(ReadSpecFile(folder / "bad.yaml")->text, "a: [b\n");
  WriteWhole(folder / "deep.yaml", std::string(200'000, '['));
  EXPECT_TRUE(ReadSpecFile(folder / "deep.yaml"));
}

TEST(PipelineApply, PutsTheSpecUnderItsModelsName) {
  FakeServer server;
  server.On("PUT /api/v1/pipelines/m", R"({"name":"m","revision":1,"changed":true})", 201);
  TemporaryFolder folder;
  WriteWhole(folder / "s.yaml", "model: m\n");
  ProgramEnd end = Ratchet(server.Url(), {"pipeline", "apply", folder / "s.yaml"});
  EXPECT_EQ(end.out, "pipeline m: applied as revision 1\n") << end.err;
  EXPECT_EQ(server.Seen().at(0).content_type, "application/yaml");
  EXPECT_EQ(server.Seen().at(0).body, "model: m\n");
}

TEST(PipelineApply, SendsTheTrainerAlong) {
  FakeServer server;
  server.On("PUT /api/v1/pipelines/other", R"({"name":"other","revision":2,"changed":false})");
  TemporaryFolder folder;
  std::string spec = "model: m\ntrain:\n  command: [python3, train.py]\n";
  WriteWhole(folder / "s.yaml", spec);
  WriteWhole(folder / "train.py", "foobar");
  ProgramEnd end = Ratchet(server.Url(), {"pipeline", "apply", folder / "s.yaml", "--name", "other"});
  EXPECT_EQ(end.out, "pipeline other: unchanged, revision 2, with train.py\n") << end.err;
  Json body = ParseJson(server.Seen().at(0).body);
  EXPECT_EQ(TextField(body, "spec"), spec);
  EXPECT_EQ(TextField(Field(body, "files"), "train.py"), "Zm9vYmFy");
}

TEST(PipelineValidate, PrintsEveryFaultWithFileLineAndField) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/validate", kProblem, 422, "application/problem+json");
  TemporaryFolder folder;
  std::string path = folder / "s.yaml";
  WriteWhole(path, "model: m\n");
  ProgramEnd end = Ratchet(server.Url(), {"pipeline", "validate", path});
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.err, path + ":3: data.splt: unknown key; did you mean 'split'?\n" + path + ": train: is missing\n");
}

TEST(PipelineValidate, PutsEveryFaultIntoOneObjectForPrograms) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/validate", kProblem, 422, "application/problem+json");
  TemporaryFolder folder;
  WriteWhole(folder / "s.yaml", "model: m\n");
  ProgramEnd end = Ratchet(server.Url(), {"-o", "json", "pipeline", "validate", folder / "s.yaml"});
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err,
            R"({"code":"invalid","message":"The spec has 2 faults.","hint":null,"errors":[)"
            R"({"field":"data.splt","line":3,"detail":"unknown key; did you mean 'split'?"},)"
            R"({"field":"train","line":null,"detail":"is missing"}]})" "\n");
}

TEST(PipelineApply, PrintsTheServersFaultsWhenTheSpecNamesNoModel) {
  FakeServer server;
  server.On("POST /api/v1/pipelines/validate", kProblem, 422, "application/problem+json");
  TemporaryFolder folder;
  WriteWhole(folder / "s.yaml", "data: {}\n");
  ProgramEnd end = Ratchet(server.Url(), {"pipeline", "apply", folder / "s.yaml"});
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.err, HasSubstr("s.yaml:3: data.splt: unknown key"));
}

TEST(PipelineValidate, TellsOfAFileThatIsNotThere) {
  ProgramEnd end = Ratchet("http://127.0.0.1:1", {"pipeline", "validate", "/no/such.yaml"});
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.err, HasSubstr("/no/such.yaml"));
}

}  // namespace
}  // namespace ratchet::cli
