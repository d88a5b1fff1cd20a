#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/digest.h"
#include "lake/pack.h"
#include "registry/bundle_manifest.h"
#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"

// `train` by a command and `validate`, in real processes. The trainers are shell scripts that hand over a model which
// the test has made.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class CommandTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", ToySchema(), ToyRows(20))};
    GiveModel(kRightAnswers);
    GiveSignature(ToySignature());
  }
  void GiveModel(const std::string& body) {
    SaveToyModel(folder_.root() + "/model.pt", body);
    folder_.step["command_files"]["made.pt"] = folder_.root() + "/model.pt";
  }
  void GiveSignature(const std::string& text) {
    folder_.step["command_files"]["made.json"] = folder_.AddFile(folder_.root() + "/signature.json", text);
  }
  void Run(
      const std::string& script = "cp made.pt $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n") {
    folder_.TrainBy(script);
    exited_ = folder_.Run(worker_);
  }
  // The run failed by the trainer's fault, for a reason that says this.
  void ExpectBlamed(const std::string& reason) const {
    const auto result = folder_.Result();
    ASSERT_EQ(result["outcome"], "failed") << result;
    EXPECT_EQ(result["error"]["class"], "user") << result;
    EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr(reason));
    EXPECT_FALSE(folder_.Has("bundle/manifest.json"));
  }

  WorkerProcess worker_;
  StepFolder folder_;
  json exited_;
};

TEST_F(CommandTraining, LeavesABundleWhenTheTrainerIsGood) {
  folder_.step["params"] = {{"depth", 3}};
  Run();
  ASSERT_EQ(folder_.Result()["outcome"], "succeeded") << folder_.Result();
  EXPECT_EQ(exited_["exit_code"], 0);
  EXPECT_GT(exited_["cpu_s"], 0);
  const auto manifest = registry::ParseManifest(folder_.Read("bundle/manifest.json"));
  ASSERT_TRUE(manifest.has_value()) << manifest.error().Message();
  EXPECT_EQ(manifest->model().sha256, Sha256File(folder_.path() + "/bundle/model.pt").value());
  EXPECT_EQ(manifest->target, "label");
  EXPECT_EQ(manifest->metric, "accuracy");
  EXPECT_EQ(manifest->training["rows"], 20);
  EXPECT_EQ(manifest->lineage.params["depth"], 3);
  EXPECT_EQ(manifest->lineage.run, 5);
  EXPECT_EQ(manifest->lineage.trainer_files.at("made.json"), Sha256Hex(ToySignature()));
}

TEST_F(CommandTraining, GivesTheTrainerWhatTheContractSays) {
  auto second = folder_.AddPack("train2", ToySchema(), ToyRows(5));
  folder_.step["inputs"]["train"].push_back(second);
  folder_.step["inputs"]["validation"] = {folder_.AddPack("validation", ToySchema(), ToyRows(3))};
  folder_.step["params"] = {{"depth", 3}};
  Run("env > environment; cat $RATCHET_PARAMS > params.seen; ls -l $RATCHET_VALIDATION >/dev/null || exit 9; exit 1\n");
  const auto environment = folder_.Read("work/environment");
  EXPECT_THAT(environment, HasSubstr("RATCHET_TRAIN=" + folder_.path() + "/train.pack"));
  EXPECT_THAT(environment, HasSubstr("RATCHET_VALIDATION=" + folder_.data_dir() + "/blobs/validation"));
  EXPECT_THAT(environment, HasSubstr("\nPATH="));
  EXPECT_EQ(json::parse(folder_.Read("work/params.seen"))["depth"], 3);
  EXPECT_THAT(folder_.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 1"));
  const auto merged = lake::PackReader::Open({folder_.path() + "/train.pack"});
  ASSERT_TRUE(merged.has_value()) << merged.error().Message();
  EXPECT_EQ((*merged)->rows(), 25);
}

TEST_F(CommandTraining, TakesProgressFromTheFifo) {
  Run("echo '{\"epoch\":1,\"of\":2,\"loss\":0.5}' > $RATCHET_PROGRESS\n"
      "echo garbage > $RATCHET_PROGRESS\n"
      "echo '{\"epoch\":2,\"metrics\":{\"validation_accuracy\":0.75}}' > $RATCHET_PROGRESS\n"
      "cp made.pt $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n");
  std::istringstream lines(folder_.Read("progress.jsonl"));
  std::vector<json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(json::parse(line));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0]["epoch"], 1);
  EXPECT_TRUE(read[1]["at"].is_number_integer());
  EXPECT_EQ(folder_.Result()["training_metrics"]["validation_accuracy"], 0.75);
  EXPECT_THAT(folder_.Read("log"), HasSubstr("garbage"));
}

TEST_F(CommandTraining, BlamesAMissingModel) {
  Run("cp made.json $RATCHET_OUT/signature.json\n");
  ExpectBlamed("model.pt");
}

TEST_F(CommandTraining, BlamesAMissingSignature) {
  Run("cp made.pt $RATCHET_OUT/model.pt\n");
  ExpectBlamed("signature.json");
}

TEST_F(CommandTraining, BlamesAGarbageModel) {
  Run("head -c 5000 /dev/urandom > $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n");
  ExpectBlamed("model.pt");
}

TEST_F(CommandTraining, BlamesAModelThatIsALink) {
  Run("ln -s /etc/passwd $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n");
  ExpectBlamed("model.pt");
}

TEST_F(CommandTraining, BlamesAModelThatIsAFifo) {
  Run("mkfifo $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n");
  ExpectBlamed("model.pt");
}

TEST_F(CommandTraining, BlamesASignatureThatIsAFifo) {
  Run("mkfifo $RATCHET_OUT/signature.json && cp made.pt $RATCHET_OUT/model.pt\n");
  ExpectBlamed("signature.json");
}

TEST_F(CommandTraining, BlamesAModelWithASecondName) {
  Run("ln made.pt $RATCHET_OUT/model.pt && cp made.json $RATCHET_OUT/signature.json\n");
  ExpectBlamed("hard link");
}

TEST_F(CommandTraining, BlamesAnOutputFolderThatIsALink) {
  Run("mkdir else && cp made.pt else/model.pt && cp made.json else/signature.json\n"
      "rmdir $RATCHET_OUT && ln -s $PWD/else $RATCHET_OUT\n");
  ExpectBlamed("RATCHET_OUT");
}

// The first thread ends, which makes the process look like a zombie, while another writes on.
TEST_F(CommandTraining, EndsAProcessWhoseFirstThreadHasEnded) {
  Run("cat > late.py <<'END'\n"
      "import ctypes, os, threading, time\n"
      "def late():\n"
      "    open('late.ready', 'w').close()\n"
      "    while True:\n"
      "        open(os.environ['RATCHET_OUT'] + '/model.pt', 'w').close()\n"
      "threading.Thread(target=late).start()\n"
      "ctypes.CDLL(None).syscall(60, 0)\n"
      "END\n"
      "setsid /usr/bin/python3 late.py &\n"
      "while [ ! -e late.ready ]; do :; done; exit 1\n");
  const auto before = std::filesystem::last_write_time(folder_.path() + "/work/out/model.pt");
  EXPECT_EQ(exited_["exit_code"], 1) << folder_.Result();
  EXPECT_THAT(folder_.Result()["error"]["message"].get<std::string>(), HasSubstr("exit code 1"));
  EXPECT_EQ(std::filesystem::last_write_time(folder_.path() + "/work/out/model.pt"), before);
}

TEST_F(CommandTraining, BlamesAGarbageSignature) {
  GiveSignature("{\"task\":");
  Run();
  ExpectBlamed("not usable");
}

TEST_F(CommandTraining, BlamesAShapeThatIsNotTheDeclaredOne) {
  GiveModel("return torch.stack([x, x, x], 1)");
  Run();
  ExpectBlamed("[2, 3]");
}

TEST_F(CommandTraining, BlamesADatatypeThatIsNotTheDeclaredOne) {
  GiveModel("return torch.stack([x, x], 1).double()");
  Run();
  ExpectBlamed("FP32");
}

TEST_F(CommandTraining, BlamesNumbersThatAreNoProbabilities) {
  GiveModel("return torch.stack([x * 5, x], 1)");
  Run();
  ExpectBlamed("no probabilities");
}

TEST_F(CommandTraining, BlamesAModelThatThrows) {
  GiveModel("return torch.reshape(x, [1000000, 7])");
  Run();
  ExpectBlamed("forward");
}

TEST_F(CommandTraining, BlamesAColumnThatTheDataLack) {
  GiveSignature(R"({"task":"classification","inputs":[{"name":"price","datatype":"FP32","shape":[-1]}],
                    "outputs":[{"name":"p","datatype":"FP32","shape":[-1,2]}],"classes":[0,1]})");
  Run();
  ExpectBlamed("price");
}

TEST_F(CommandTraining, KeepsItsFilesInItsFolder) {
  folder_.step["command_files"]["../escaped"] = folder_.AddFile(folder_.root() + "/x", "x");
  Run();
  EXPECT_EQ(folder_.Result()["outcome"], "failed");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/escaped"));
}

class Validation : public ::testing::Test {
 protected:
  void Run(int rows) {
    folder_.step["kind"] = "validate";
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", ToySchema(), ToyRows(rows))};
    (void)folder_.Run(worker_);
  }
  std::string Message() const { return folder_.Result()["error"].value("message", ""); }
  WorkerProcess worker_;
  StepFolder folder_;
};

TEST_F(Validation, PassesSoundData) {
  folder_.step["data"]["expect"] = json::parse(R"([{"column":"label","in":[0,1]}])");
  Run(20);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded") << folder_.Result();
  EXPECT_EQ(folder_.Result()["checks"][0]["passed"], true);
}

TEST_F(Validation, TellsEveryCheckWhenOneFails) {
  folder_.step["data"]["expect"] = json::parse(R"([{"column":"label","in":[0,1]},{"column":"x","min":0}])");
  Run(20);
  const auto result = folder_.Result();
  EXPECT_EQ(result["error"]["class"], "user");
  EXPECT_THAT(Message(), HasSubstr("x"));
  ASSERT_EQ(result["checks"].size(), 2u) << result;
  EXPECT_EQ(result["checks"][0]["passed"], true);
  EXPECT_EQ(result["checks"][1]["passed"], false);
  EXPECT_EQ(result["checks"][1]["failing_rows"], 10);
}

TEST_F(Validation, FailsWhenTheRowsAreUnlikeThoseOfTheLiveVersion) {
  folder_.step["data"]["expect"] = json::parse(R"([{"like":"live","columns":["x"]}])");
  std::vector<lake::Row> elsewhere;
  for (int i = 0; i < 300; ++i) elsewhere.push_back({100.0 + i, std::int64_t{i % 2}});
  folder_.step["inputs"]["reference"] = {folder_.AddPack("before", ToySchema(), elsewhere),
                                         folder_.AddPack("before2", ToySchema(), elsewhere)};
  Run(300);
  const auto result = folder_.Result();
  EXPECT_EQ(result["error"]["class"], "user") << result;
  EXPECT_THAT(Message(), HasSubstr("like live"));
  ASSERT_EQ(result["checks"].size(), 1u) << result;
  EXPECT_EQ(result["checks"][0]["drift"][0]["column"], "x");
}

TEST_F(Validation, PassesWhenTheRowsAreLikeThoseOfTheLiveVersion) {
  folder_.step["data"]["expect"] = json::parse(R"([{"like":"live"}])");
  folder_.step["inputs"]["reference"] = {folder_.AddPack("before", ToySchema(), ToyRows(300))};
  Run(300);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded") << folder_.Result();
}

TEST_F(Validation, SaysSoWhenThereIsNoLiveVersionToBeLike) {
  folder_.step["data"]["expect"] = json::parse(R"([{"like":"live"}])");
  Run(20);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded") << folder_.Result();
  EXPECT_THAT(folder_.Result()["checks"][0]["message"].get<std::string>(), HasSubstr("no live version"));
}

TEST_F(Validation, SuggestsTheNearestColumnForAMistypedTarget) {
  folder_.step["data"]["target"] = "labels";
  Run(20);
  EXPECT_EQ(folder_.Result()["error"]["class"], "user");
  EXPECT_EQ(folder_.Result()["error"]["hint"], "Did you mean label?");
}

TEST_F(Validation, AsksForEnoughRows) {
  Run(4);
  EXPECT_THAT(Message(), HasSubstr("4 training rows"));
}

TEST_F(Validation, AsksForTwoClassesWhenTheRecipeClassifies) {
  folder_.step["command"] = nullptr;
  folder_.step["recipe"] = "probe.ender";
  folder_.step["data"]["target"] = "one";
  folder_.step["kind"] = "validate";
  const lake::Schema schema{{{"one", lake::ColumnType::kInteger, {}}}};
  folder_.step["inputs"]["train"] = {
      folder_.AddPack("train", schema, std::vector<lake::Row>(20, lake::Row{std::int64_t{1}}))};
  (void)folder_.Run(worker_);
  EXPECT_THAT(Message(), HasSubstr("same value"));
}

TEST_F(Validation, RefusesParametersThatTheRecipeDoesNotKnow) {
  folder_.step["command"] = nullptr;
  folder_.step["recipe"] = "probe.ender";
  folder_.step["params"] = {{"hwo", "crash"}};
  Run(20);
  EXPECT_EQ(folder_.Result()["error"]["class"], "user");
  EXPECT_THAT(Message(), HasSubstr("hwo"));
}

}  // namespace
}  // namespace ratchet::worker::testing
