#include "worker/sandbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
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

bool Available(const std::string& means) { return means == "landlock" ? LandlockAbi() > 0 : MountNamespacesWork(); }

// How the worker keeps steps away: by which means, and whether it knew the data directory ahead (PrepareSandbox).
struct Way {
  std::string means;
  bool ahead = false;
};

class Sandbox : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (!Available(means())) GTEST_SKIP() << "NOT TESTED: this machine does not give the sandbox by " << means();
    train_ = folder_.AddPack("train", ToySchema(), ToyRows(20));
    holdout_ = folder_.AddPack("holdout", ToySchema(), ToyRows(20), false);
    other_run_ = folder_.AddFile("runs/4/train-1/result.json", "{}");
    (void)folder_.AddFile("registry.db", "the registry");
    outside_ = folder_.AddFile(folder_.root() + "/outside.txt", "outside");
    folder_.step["inputs"]["train"] = {train_};
  }

  const std::string& means() const { return GetParam().means; }
  std::vector<std::string> Flags() const {
    std::vector<std::string> flags{"--sandbox", means()};
    if (GetParam().ahead) flags.insert(flags.end(), {"--data", folder_.data_dir()});
    return flags;
  }

  StepFolder folder_;
  WorkerProcess worker_{Flags()};
  std::string train_, holdout_, other_run_, outside_;
};

TEST_P(Sandbox, KeepsACommandFromTheHoldout) {
  folder_.step["command"] = {"/usr/bin/python3", "intruder.py"};
  folder_.step["command_files"]["intruder.py"] = std::string(RATCHET_TRAINERS) + "/intruder.py";
  folder_.step["params"] = {{"data_dir", folder_.data_dir()}, {"holdout", holdout_},
                            {"other_run", other_run_},        {"outside", outside_},
                            {"worker", worker_.pid()},        {"gently", false}};
  (void)folder_.Run(worker_);
  ASSERT_TRUE(folder_.Has("work/attempts.json")) << folder_.Read("log");
  const auto report = json::parse(folder_.Read("work/attempts.json"));
  EXPECT_GE(report["attempts"].size(), 25u);
  for (const auto& [name, outcome] : report["attempts"].items()) {
    // A mount namespace shows a data directory that is empty but for what is allowed.
    const bool listing = name.find("list") == 0 && means() == "mount";
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
  if (means() != "landlock") return;
  EXPECT_EQ(report["outside"]["write outside"], "refused");
  if (LandlockAbi() >= 6) {
    EXPECT_EQ(report["outside"]["signal the worker"], "refused");
  }
}

// What an earlier attempt of a hostile trainer could leave: a link in the place of its checkpoint.
TEST_P(Sandbox, RefusesACheckpointThatIsALink) {
  const auto earlier = folder_.data_dir() + "/runs/5/train-0";
  std::filesystem::create_directories(earlier);
  std::filesystem::create_directory_symlink(folder_.data_dir() + "/blobs", earlier + "/checkpoint");
  folder_.step["resume"] = earlier + "/checkpoint";
  folder_.TrainBy("cat $RATCHET_RESUME/holdout > stolen\n");
  for (const bool granted : {false, true}) {
    if (granted) folder_.step["sandbox"]["read"].push_back(earlier + "/checkpoint");
    EXPECT_EQ(folder_.Run(worker_)["exit_code"], 1);
    EXPECT_EQ(folder_.Result()["error"]["class"], "internal") << folder_.Result();
    EXPECT_THAT(folder_.Result()["error"]["message"].get<std::string>(), HasSubstr("symbolic link"));
    EXPECT_FALSE(folder_.Has("work/stolen"));
    std::filesystem::remove(folder_.path() + "/result.json");
  }
}

TEST_P(Sandbox, RefusesAnInputBehindALink) {
  std::filesystem::create_directory_symlink(folder_.data_dir() + "/blobs", folder_.data_dir() + "/runs/5/link");
  std::filesystem::create_directory_symlink(folder_.data_dir() + "/blobs", folder_.root() + "/link");
  folder_.TrainBy("exit 1\n");
  for (const auto& path : {folder_.data_dir() + "/runs/5/link/holdout", folder_.root() + "/link/holdout"}) {
    folder_.step["sandbox"]["read"] = {path};
    (void)folder_.Run(worker_);
    EXPECT_EQ(folder_.Result()["error"]["class"], "internal") << path << folder_.Result();
    std::filesystem::remove(folder_.path() + "/result.json");
  }
}

TEST_P(Sandbox, FollowsNoLinkWithinACheckpoint) {
  const auto checkpoint = folder_.data_dir() + "/runs/5/train-0/checkpoint";
  (void)folder_.AddFile("runs/5/train-0/checkpoint/state", "epoch 3");
  std::filesystem::create_directory_symlink(folder_.data_dir() + "/blobs", checkpoint + "/blobs");
  std::filesystem::create_symlink(holdout_, checkpoint + "/holdout");
  folder_.step["resume"] = checkpoint;
  folder_.step["sandbox"]["read"].push_back(checkpoint);
  folder_.TrainBy(
      "cat $RATCHET_RESUME/state > state; cat $RATCHET_RESUME/holdout > stolen1; cat $RATCHET_RESUME/blobs/holdout > "
      "stolen2; exit 1\n");
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Read("work/state"), "epoch 3") << folder_.Read("log");
  EXPECT_EQ(folder_.Read("work/stolen1"), "");
  EXPECT_EQ(folder_.Read("work/stolen2"), "");
}

TEST_P(Sandbox, KeepsACommandFromReplacingItsCheckpointFolder) {
  folder_.TrainBy("rm -rf $RATCHET_CHECKPOINT; ln -s " + folder_.data_dir() + "/blobs $RATCHET_CHECKPOINT; exit 1\n");
  (void)folder_.Run(worker_);
  EXPECT_TRUE(std::filesystem::is_directory(std::filesystem::symlink_status(folder_.path() + "/checkpoint")));
}

// The forger writes what a step writes that has succeeded, and ends the one process that could write otherwise.
TEST_P(Sandbox, KeepsACommandFromForgingAResult) {
  folder_.TrainBy(
      "echo '{\"format\":1,\"outcome\":\"succeeded\"}' > ../result.json\n"
      "mkdir -p ../bundle; echo '{}' > ../bundle/manifest.json; echo x > ../bundle/model.pt\n"
      "kill -9 $PPID\n"
      "echo '{\"format\":1,\"outcome\":\"succeeded\"}' > ../result.json; exit 1\n");
  const auto exited = folder_.Run(worker_);
  if (exited["signal"].is_null()) {
    EXPECT_EQ(folder_.Result()["outcome"], "failed") << folder_.Result();
  } else {
    EXPECT_EQ(exited["signal"], 9);
    EXPECT_TRUE(folder_.Result().is_null()) << folder_.Result();
  }
  EXPECT_FALSE(folder_.Has("bundle/manifest.json"));
  EXPECT_FALSE(folder_.Has("bundle/model.pt"));
  if (means() == "landlock" && LandlockAbi() >= 6) {
    EXPECT_TRUE(exited["signal"].is_null()) << "the command could signal its step";
  }
}

TEST_P(Sandbox, TakesNoFifoForAResult) {
  folder_.TrainBy(
      "mkfifo ../result.json; mkfifo $RATCHET_OUT/model.pt $RATCHET_OUT/signature.json; rm -f $RATCHET_PROGRESS\n");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 1);
  EXPECT_TRUE(std::filesystem::is_regular_file(folder_.path() + "/result.json"));
  EXPECT_EQ(folder_.Result()["error"]["class"], "user") << folder_.Result();
}

TEST_P(Sandbox, KeepsACommandFromTheSharedMemoryOfOthers) {
  const auto name = "/dev/shm/ratchet-test-" + std::to_string(worker_.pid());
  folder_.TrainBy("echo mine > " + name + "; ls /dev/shm > seen; head -c 100000000 /dev/zero >> " + name +
                  "; exit 1\n");
  (void)folder_.Run(worker_);
  EXPECT_FALSE(std::filesystem::exists(name));
  EXPECT_THAT(folder_.Read("log"),
              HasSubstr(means() == "mount" ? "No space left on device" : "Permission denied"));
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
  ASSERT_TRUE(folder.Has("work/attempts.json")) << folder.Read("log");
  const auto attempts = json::parse(folder.Read("work/attempts.json"))["attempts"];
  for (const char* name : {"open the holdout", "open it by a relative path", "open registry.db", "write registry.db",
                           "open another run's file", "list the data directory", "remove the holdout",
                           "write the step's result.json", "write the step's bundle/manifest.json"})
    EXPECT_THAT(attempts[name].get<std::string>(), StartsWith("done")) << name;
}

// Were the worker to report a means that is not tested here, all of the above would say nothing about it.
TEST(SandboxMeansTested, AreThoseThatTheWorkerReports) {
  const WorkerProcess worker;
  const std::string reported = worker.Next()["sandbox"];
  if (reported == "none") GTEST_SKIP() << "THE SANDBOX IS NOT TESTED: this kernel has neither Landlock nor namespaces";
  EXPECT_TRUE(Available(reported)) << reported << " is used, and its tests were skipped";
  const auto& all = *::testing::UnitTest::GetInstance();
  bool found = false;
  for (int suite = 0; suite < all.total_test_suite_count(); ++suite) {
    const auto& tests = *all.GetTestSuite(suite);
    for (int i = 0; i < tests.total_test_count() && std::string(tests.name()) == "Means/Sandbox"; ++i)
      found |= std::string(tests.GetTestInfo(i)->name()).ends_with("/" + reported);
  }
  EXPECT_TRUE(found) << reported << " is used, and there are no tests of it";
}

// The worker has a process waiting that knows what lies around the data directory: what has come since then counts, too.
TEST_P(Sandbox, SeesWhatCameAfterItWasMadeReady) {
  folder_.RunScript("true\n");
  ASSERT_EQ(folder_.Run(worker_)["exit_code"], 0) << folder_.Read("log");
  std::filesystem::remove_all(folder_.path());
  std::filesystem::create_directories(folder_.path());
  folder_.RunScript("cat " + folder_.AddFile(folder_.root() + "/late/tool.txt", "late") + "\n");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 0) << folder_.Read("log");
  EXPECT_EQ(folder_.Read("log"), "late");
}

// In a mount namespace of its own: 0 when what was mounted after the sandbox was made ready shows nothing of the data directory,
// 77 where nothing can be mounted.
int SecretsSeenThroughALateMount(const std::string& data_dir, const std::string& mirror) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  auto prepared = PrepareSandbox(SandboxMeans::kLandlock, data_dir);
  if (mount(data_dir.c_str(), mirror.c_str(), nullptr, MS_BIND, nullptr) != 0) return 77;
  if (access((mirror + "/registry.db").c_str(), R_OK) != 0) return 2;
  const SandboxPlan plan{.data_dir = data_dir, .own_folder = data_dir + "/runs", .read = {}};
  if (!EnterSandbox(SandboxMeans::kLandlock, plan, std::move(prepared))) return 3;
  return open((mirror + "/registry.db").c_str(), O_RDONLY) < 0 && errno == EACCES ? 0 : 1;
}

TEST(PreparedSandbox, SeesWhatWasMountedAfterItWasMade) {
  if (LandlockAbi() <= 0) GTEST_SKIP() << "NOT TESTED: this machine has no Landlock";
  StepFolder folder;
  (void)folder.AddFile("registry.db", "the registry");
  (void)folder.AddFile("runs/1/step.json", "{}");
  const std::string mirror = folder.root() + "/deep/mirror";
  std::filesystem::create_directories(mirror);
  const pid_t child = fork();
  if (child == 0) _exit(SecretsSeenThroughALateMount(folder.data_dir(), mirror));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "NOT TESTED: nothing can be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Means, Sandbox, ::testing::Values(Way{"landlock"}, Way{"landlock", true}, Way{"mount"}),
                         [](const auto& info) { return (info.param.ahead ? "ahead_" : "") + info.param.means; });

}  // namespace
}  // namespace ratchet::worker::testing
