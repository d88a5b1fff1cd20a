#include "worker/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/worker/worker_process.h"
#include "worker/sandbox_means.h"

// The holdout stays sealed: for every kind of step, with every means.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Sandbox : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    train_ = folder_.AddPack("train", ToySchema(), ToyRows(20));
    holdout_ = folder_.AddPack("holdout", ToySchema(), ToyRows(20), false);
    other_run_ = folder_.AddFile("runs/4/train-1/result.json", "{}");
    (void)folder_.AddFile("registry.db", "the registry");
    outside_ = folder_.AddFile(folder_.root() + "/outside.txt", "outside");
    folder_.step["inputs"]["train"] = {train_};
  }

  StepFolder folder_;
  WorkerProcess worker_{{"--sandbox", GetParam()}};
  std::string train_, holdout_, other_run_, outside_;
};

TEST_P(Sandbox, KeepsACommandFromTheHoldout) {
  folder_.step["command"] = {"/usr/bin/python3", "intruder.py"};
  folder_.step["command_files"]["intruder.py"] = std::string(RATCHET_TRAINERS) + "/intruder.py";
  folder_.step["params"] = {{"data_dir", folder_.data_dir()}, {"holdout", holdout_},
                            {"other_run", other_run_},        {"outside", outside_},
                            {"worker", worker_.pid()},        {"gently", false}};
  (void)folder_.Run(worker_);
  ASSERT_TRUE(folder_.Has("attempts.json")) << folder_.Read("log");
  const auto report = json::parse(folder_.Read("attempts.json"));
  EXPECT_GE(report["attempts"].size(), 25u);
  for (const auto& [name, outcome] : report["attempts"].items()) {
    // A mount namespace shows a data directory that is empty but for what is allowed.
    const bool listing = name.find("list") == 0 && std::string(GetParam()) == "mount";
    if (!listing) {
      EXPECT_EQ(outcome, "refused") << name;
    }
    EXPECT_THAT(outcome.get<std::string>(), Not(HasSubstr("registry.db"))) << name;
    EXPECT_THAT(outcome.get<std::string>(), Not(HasSubstr("holdout"))) << name;
  }
  for (const auto& [name, outcome] : report["allowed"].items()) EXPECT_EQ(outcome, true) << name;
  EXPECT_EQ(report["environment"].count("RATCHET_TRAIN"), 1u);
  EXPECT_LE(report["descriptors"].size(), 4u) << report["descriptors"];  // three streams and the listing itself
  EXPECT_TRUE(std::filesystem::exists(holdout_));
  if (std::string(GetParam()) != "landlock") return;
  EXPECT_EQ(report["outside"]["write outside"], "refused");
  if (LandlockAbi() >= 6) {
    EXPECT_EQ(report["outside"]["signal the worker"], "refused");
  }
}

TEST_P(Sandbox, KeepsARecipeFromTheHoldout) {
  folder_.step["command"] = nullptr;
  folder_.step["recipe"] = "probe.opener";
  folder_.step["params"] = {
      {"paths", train_ + "\n" + holdout_ + "\n" + folder_.data_dir() + "/registry.db\n" + outside_}};
  (void)folder_.Run(worker_);
  const auto report = folder_.Read("opened.txt");
  EXPECT_THAT(report, HasSubstr("open " + train_));
  EXPECT_THAT(report, HasSubstr("open " + outside_));
  EXPECT_THAT(report, HasSubstr("shut " + holdout_));
  EXPECT_THAT(report, HasSubstr("shut " + folder_.data_dir() + "/registry.db"));
}

TEST_P(Sandbox, KeepsAValidateStepFromTheHoldout) {
  folder_.step["kind"] = "validate";
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded") << folder_.Result();
  std::filesystem::remove(folder_.path() + "/result.json");
  folder_.step["inputs"]["train"] = {holdout_};
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Result()["outcome"], "failed");
}

TEST_P(Sandbox, KeepsATestStepFromWhatItWasNotGiven) {
  const auto manifest = folder_.AddFile("blobs/manifest", "{}");
  folder_.step["kind"] = "test";
  folder_.step["inputs"]["holdout"] = {holdout_};
  folder_.step["candidate"] = {{"manifest", manifest}, {"model", manifest}};
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Result()["error"]["class"], "internal") << folder_.Result();
  EXPECT_THAT(folder_.Result()["error"]["message"].get<std::string>(), HasSubstr(manifest));
  std::filesystem::remove(folder_.path() + "/result.json");
  folder_.step["sandbox"]["read"].push_back(manifest);
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Result()["error"]["class"], "user") << "now it is read, and no manifest: " << folder_.Result();
}

TEST_P(Sandbox, HidesADataDirectoryThatIsNamedByALink) {
  std::filesystem::create_directory_symlink(folder_.data_dir(), folder_.root() + "/alias");
  folder_.step["sandbox"]["data_dir"] = folder_.root() + "/alias";
  folder_.step["command"] = nullptr;
  folder_.step["recipe"] = "probe.opener";
  folder_.step["params"] = {{"paths", holdout_ + "\n" + folder_.root() + "/alias/blobs/holdout\n" + train_}};
  (void)folder_.Run(worker_);
  const auto report = folder_.Read("opened.txt");
  EXPECT_THAT(report, HasSubstr("open " + train_));
  EXPECT_THAT(report, HasSubstr("shut " + holdout_));
  EXPECT_THAT(report, HasSubstr("shut " + folder_.root() + "/alias/blobs/holdout"));
}

TEST_P(Sandbox, FailsAStepWhoseInputIsNotThere) {
  folder_.step["sandbox"]["read"].push_back(folder_.data_dir() + "/blobs/gone");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 1);
  EXPECT_EQ(folder_.Result()["error"]["class"], "internal");
  EXPECT_THAT(folder_.Result()["error"]["message"].get<std::string>(), HasSubstr("blobs/gone"));
}

// What the intruder tries does get it in where nothing keeps it out: so its failures above mean something.
TEST(NoSandbox, LetsTheIntruderIn) {
  const WorkerProcess worker({"--sandbox", "none"});
  StepFolder folder;
  const auto holdout = folder.AddPack("holdout", ToySchema(), ToyRows(20), false);
  const auto other_run = folder.AddFile("runs/4/train-1/result.json", "{}");
  (void)folder.AddFile("registry.db", "the registry");
  folder.step["inputs"]["train"] = {folder.AddPack("train", ToySchema(), ToyRows(20))};
  folder.step["sandbox"]["required"] = false;
  folder.step["command"] = {"/usr/bin/python3", "intruder.py"};
  folder.step["command_files"]["intruder.py"] = std::string(RATCHET_TRAINERS) + "/intruder.py";
  folder.step["params"] = {
      {"data_dir", folder.data_dir()}, {"holdout", holdout},
      {"other_run", other_run},        {"outside", folder.AddFile(folder.root() + "/outside.txt", "outside")},
      {"worker", worker.pid()},        {"gently", true}};
  (void)folder.Run(worker);
  ASSERT_TRUE(folder.Has("attempts.json")) << folder.Read("log");
  const auto attempts = json::parse(folder.Read("attempts.json"))["attempts"];
  for (const char* name : {"open the holdout", "open it by a relative path", "open registry.db", "write registry.db",
                           "open another run's file", "list the data directory", "remove the holdout"})
    EXPECT_THAT(attempts[name].get<std::string>(), StartsWith("done")) << name;
}

std::vector<const char*> MeansOfThisKernel() {
  std::vector<const char*> means;
  if (DetectSandbox() == SandboxMeans::kLandlock) means.push_back("landlock");
  if (MountNamespacesWork()) means.push_back("mount");
  return means;
}

INSTANTIATE_TEST_SUITE_P(Means, Sandbox, ::testing::ValuesIn(MeansOfThisKernel()),
                         [](const auto& info) { return std::string(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Sandbox);

}  // namespace
}  // namespace ratchet::worker::testing
