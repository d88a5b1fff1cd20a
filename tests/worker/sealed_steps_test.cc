#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "tests/worker/worker_process.h"
#include "worker/sandbox_means.h"

// The table of step kinds: each tries to open the holdout's pack by its path, and none but the test may.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Kind {
  const char* name;
  const char* role;  // of the fork server that runs it
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

const Kind kKinds[] = {{"validate", "recipes"},     {"train_recipe", "recipes"}, {"train_command", "recipes"}, {"trial", "recipes"},
                       {"command_step", "commands"}, {"recipe_step", "recipes"},  {"test", "recipes"}};

class SealedStep : public ::testing::TestWithParam<std::tuple<const char*, Kind>> {
 protected:
  const std::string means_ = std::get<0>(GetParam());
  const std::string kind_ = std::get<1>(GetParam()).name;

  void SetUp() override {
    if (means_ == "landlock" ? LandlockAbi() <= 0 : !MountNamespacesWork())
      GTEST_SKIP() << "NOT TESTED: this machine does not give the sandbox by " << means_;
    train_ = folder_.AddPack("train", ToySchema(), ToyRows(20));
    sealed_ = folder_.AddPack("sealed", ToySchema(), ToyRows(20), false);
    folder_.step["inputs"]["train"] = {train_};
  }

  // The step, as ratchetd would write it, but that its code looks for the pack at `path`.
  void LookFor(const std::string& path) {
    json& step = folder_.step;
    if (kind_ == "validate") return step["kind"] = "validate", step["inputs"]["train"] = {path}, void();
    if (kind_ == "test") {
      step["kind"] = "test";
      step["inputs"]["holdout"] = {path};
      step["candidate"] = {{"manifest", path}, {"model", path}};
      return;
    }
    if (kind_ == "command_step" || kind_ == "train_command") {
      const std::string script = "cat '" + path + "' > seen && test -s seen && echo yes > opened; exit 1\n";
      return kind_ == "command_step" ? folder_.RunScript(script) : folder_.TrainBy(script);
    }
    step["command"] = nullptr;
    step["kind"] = kind_ == "recipe_step" ? "recipe" : "train";
    step["recipe"] = kind_ == "recipe_step" ? "probe.step" : "probe.opener";
    step["params"] = {{"paths", path}};
    if (kind_ == "recipe_step") step["outputs"] = {"given.json"};
    if (kind_ == "trial") step["step"] = "trial-3";
  }

  // Whether the step's code has read of it.
  bool Opened(const std::string& path) {
    for (const char* left : {"/result.json", "/opened.txt", "/work"}) std::filesystem::remove_all(folder_.path() + left);
    LookFor(path);
    WorkerProcess worker({"--sandbox", means_}, std::get<1>(GetParam()).role);
    (void)folder_.Run(worker);
    if (kind_ == "command_step" || kind_ == "train_command") return folder_.Read("work/opened") == "yes\n";
    if (kind_ == "train_recipe" || kind_ == "trial") return folder_.Read("opened.txt") == "open " + path + "\n";
    if (kind_ == "recipe_step") return json::parse(folder_.Read("work/out/given.json"))["opened"] == json{path};
    if (kind_ == "validate") return folder_.Result()["outcome"] == "succeeded";
    // The test reads the candidate's manifest first: a pack is none, which only one who has read it can say.
    return folder_.Result()["error"]["class"] == "user";
  }

  StepFolder folder_;
  std::string train_, sealed_;
};

TEST_P(SealedStep, OpensItsInputsAndNotTheHoldout) {
  EXPECT_TRUE(Opened(train_)) << "so that a refusal below means something: " << folder_.Result() << folder_.Read("log");
  EXPECT_FALSE(Opened(sealed_)) << folder_.Result();
}

// That a step.json names it helps no step but a test: the worker refuses such a file.
TEST_P(SealedStep, IsRefusedWhereItsFileNamesAHoldout) {
  if (kind_ == "test") GTEST_SKIP() << "the one kind that may";
  LookFor(train_);
  folder_.step["inputs"]["holdout"] = {sealed_};
  folder_.step["sandbox"]["read"].push_back(sealed_);
  WorkerProcess worker({"--sandbox", means_}, std::get<1>(GetParam()).role);
  (void)folder_.Run(worker);
  const json result = folder_.Result();  // null: it did not even begin
  EXPECT_FALSE(result.is_object() && result.value("outcome", "") == "succeeded") << result;
  EXPECT_FALSE(folder_.Has("work/out/given.json"));
  EXPECT_FALSE(folder_.Has("work/opened"));
  EXPECT_FALSE(folder_.Has("opened.txt"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SealedStep, ::testing::Combine(::testing::Values("landlock", "mount"), ::testing::ValuesIn(kKinds)),
                         [](const auto& info) { return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name; });

}  // namespace
}  // namespace ratchet::worker::testing
