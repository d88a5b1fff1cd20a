#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lake/pack.h"
#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"
#include "worker/sandbox.h"
#include "worker/sandbox_means.h"

// Models that attack the process which runs them, in real steps: what they reach for stays as it was, and they are
// refused with a reason.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kTakeOver[] = "cp made.pt $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n";

bool Available(const std::string& means) {
  if (means == "none") return true;
  return means == "landlock" ? LandlockAbi() > 0 : MountNamespacesWork();
}

class HostileModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!Available(GetParam())) GTEST_SKIP() << "NOT TESTED: this machine does not give the sandbox by " << GetParam();
    folder_.step["sandbox"]["required"] = !unconfined();
    folder_.step["limits"]["cpus"] = 2;
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", ToySchema(), ToyRows(20))};
  }
  bool unconfined() const { return std::string(GetParam()) == "none"; }

  // What the models try to make, in the folder where result.json comes to lie.
  std::string target() const { return folder_.path() + "/made-by-the-model"; }
  // What a call gives has to be used, or LibTorch leaves the call out.
  std::string Mapping() const { return "torch.manual_seed(int(torch.from_file(\"" + target() + "\", True, 8).sum()))"; }
  std::string Saving() const { return "torch.save(1, \"" + target() + "\")"; }

  json Train(const std::string& body, const std::string& methods = "") {
    SaveToyModel(folder_.root() + "/model.pt", body, methods);
    folder_.step["command_files"]["made.pt"] = folder_.root() + "/model.pt";
    folder_.step["command_files"]["made.json"] = folder_.AddFile(folder_.root() + "/signature.json", ToySignature());
    folder_.TrainBy(kTakeOver);
    (void)folder_.Run(worker_);
    return folder_.Result();
  }
  json Test(const std::string& body, const std::string& methods = "") {
    const auto model = folder_.data_dir() + "/blobs/model.pt";
    SaveToyModel(model, body, methods);
    const auto manifest = folder_.AddFile("blobs/manifest.json", ToyManifest(ToySignature(), "accuracy", model));
    folder_.step["kind"] = "test";
    folder_.step["command"] = nullptr;
    folder_.step["metric"] = "accuracy";
    folder_.step["inputs"]["holdout"] = {folder_.AddPack("holdout", ToySchema(), ToyRows(20))};
    folder_.step["candidate"] = {{"manifest", manifest}, {"model", model}};
    for (const auto& path : {model, manifest}) folder_.step["sandbox"]["read"].push_back(path);
    (void)folder_.Run(worker_);
    return folder_.Result();
  }
  static void ExpectRefused(const json& result, const std::string& call) {
    ASSERT_EQ(result["outcome"], "failed") << result;
    EXPECT_EQ(result["error"]["class"], "user") << result;
    EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr(call));
    EXPECT_THAT(result["error"]["hint"].get<std::string>(), HasSubstr("Take that call out")) << result;
  }
  bool Made() const { return std::filesystem::exists(target()); }

  StepFolder folder_;
  WorkerProcess worker_{{"--sandbox", GetParam()}};
};

std::string Also(const std::string& call) { return call + "\n  " + kRightAnswers; }

TEST_P(HostileModel, MapsNoFileWhenItIsTriedOut) {
  ExpectRefused(Train(Also(Mapping())), "aten::from_file");
  EXPECT_FALSE(Made());
  EXPECT_FALSE(folder_.Has("bundle/manifest.json"));
}

TEST_P(HostileModel, SavesNoFileWhenItIsTriedOut) {
  ExpectRefused(Train(Also(Saving())), "aten::save");
  EXPECT_FALSE(Made());
}

TEST_P(HostileModel, IsRefusedForAMethodThatForwardDoesNotCall) {
  ExpectRefused(Train(kRightAnswers, "def later(self, x):\n  if x.dim() > 0:\n    for i in range(3):\n      " +
                                         Saving() + "\n  return x\n"),
                "later calls aten::save");
}

// The call runs before anybody can look at it. Nothing but the process that it runs in keeps it from its aim.
TEST_P(HostileModel, MakesNoFileWhileItIsLoaded) {
  ExpectRefused(Train(kRightAnswers, WhileLoaded(Saving())), "aten::save");
  EXPECT_EQ(Made(), unconfined()) << "with no sandbox it reaches its aim: so the attack is one";
  EXPECT_FALSE(folder_.Has("bundle/manifest.json"));
}

TEST_P(HostileModel, MapsNoFileWhileItIsLoaded) {
  const auto result = Train(kRightAnswers, WhileLoaded(Mapping()));
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr("__setstate__"));
  EXPECT_NE(result["error"]["hint"], "");
  EXPECT_EQ(Made(), unconfined());
}

TEST_P(HostileModel, MakesNoFileWhenItIsTested) {
  ExpectRefused(Test(Also(Mapping())), "aten::from_file");
  EXPECT_FALSE(Made());
  EXPECT_FALSE(folder_.Has("scores.pack"));
}

TEST_P(HostileModel, MakesNoFileWhileItIsLoadedForTheTest) {
  ExpectRefused(Test(kRightAnswers, WhileLoaded(Saving())), "aten::save");
  EXPECT_EQ(Made(), unconfined());
  EXPECT_FALSE(folder_.Has("scores.pack"));
}

TEST_P(HostileModel, ForgesNoResult) {
  (void)folder_.AddFile(folder_.path() + "/progress.jsonl", "the truth");
  const auto result = Test(kRightAnswers, WhileLoaded("torch.save(1, \"" + folder_.path() + "/progress.jsonl\")"));
  EXPECT_EQ(result["outcome"], "failed");
  if (!unconfined()) {
    EXPECT_EQ(folder_.Read("progress.jsonl"), "the truth");
  }
}

TEST_P(HostileModel, GoesNoOtherWayToTheFolderOfItsStep) {
  const auto relative = Train(kRightAnswers, WhileLoaded("torch.save(1, \"made-by-the-model\")"));
  EXPECT_EQ(relative["outcome"], "failed");
  EXPECT_EQ(Made(), unconfined());
}

TEST_P(HostileModel, FailsItsStepWhenItsProcessDies) {
  // No C++ exception guards a division of integers by zero in a TorchScript module.
  const auto result = Train("return torch.stack([(x <= 0).float(), (x > 0).float()], 1) + x.size(0) % (x.dim() - 1)");
  ASSERT_EQ(result["outcome"], "failed") << result;
  EXPECT_EQ(result["error"]["class"], "signal") << result;
  EXPECT_FALSE(folder_.Has("bundle/manifest.json"));
}

TEST_P(HostileModel, IsTakenWhenItIsNoneAtAll) {
  const auto trained = Train(kRightAnswers, WhileLoaded("torch.zeros([1])"));
  EXPECT_EQ(trained["outcome"], "succeeded") << trained;
  std::filesystem::remove(folder_.path() + "/result.json");
  const auto tested = Test(kRightAnswers, WhileLoaded("torch.zeros([1])"));
  EXPECT_EQ(tested["outcome"], "succeeded") << tested;
  const auto scores = lake::PackReader::Open({folder_.path() + "/scores.pack"}, {"test:target", "candidate:predicted"});
  ASSERT_TRUE(scores) << scores.error().Message();
  std::int64_t rows = 0;
  for (auto row = (*scores)->NextRow(); row && *row; row = (*scores)->NextRow(), ++rows) EXPECT_EQ((**row)[0], (**row)[1]);
  EXPECT_GT(rows, 0);
}

INSTANTIATE_TEST_SUITE_P(Means, HostileModel, ::testing::Values("landlock", "mount", "none"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace ratchet::worker::testing
