#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "base/digest.h"
#include "pipeline/step_log.h"
#include "tests/worker/worker_process.h"

// What a step's supervisor does for it and leaves of it.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Supervisor : public ::testing::Test {
 protected:
  std::string Class() const { return folder_.Result()["error"]["class"]; }
  std::string Message() const { return folder_.Result()["error"]["message"]; }

  WorkerProcess worker_{{}, "commands"};
  StepFolder folder_;
};

TEST_F(Supervisor, CollectsTheOutputsOfACommand) {
  folder_.RunScript(
      "printf abc > $RATCHET_OUT/a.txt; : > $RATCHET_OUT/empty; echo not asked for > $RATCHET_OUT/more\n");
  folder_.step["outputs"] = {"a.txt", "empty"};
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 0);
  const auto result = folder_.Result();
  EXPECT_EQ(result["outcome"], "succeeded");
  ASSERT_EQ(result["outputs"].size(), 2u);
  EXPECT_EQ(result["outputs"]["a.txt"]["sha256"], Sha256Hex("abc"));
  EXPECT_EQ(result["outputs"]["a.txt"]["bytes"], 3);
  EXPECT_EQ(folder_.Read(result["outputs"]["a.txt"]["path"]), "abc");
  EXPECT_EQ(result["outputs"]["empty"]["bytes"], 0);
}

TEST_F(Supervisor, BlamesTheUserForAMissingOutput) {
  folder_.RunScript("exit 0\n");
  folder_.step["outputs"] = {"a.txt"};
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("a.txt is missing"));
}

TEST_F(Supervisor, TakesNoLinkForAnOutput) {
  folder_.RunScript("ln -s /etc/passwd $RATCHET_OUT/a.txt\n");
  folder_.step["outputs"] = {"a.txt"};
  (void)folder_.Run(worker_);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("no regular file"));
}

TEST_F(Supervisor, TellsACommandItsInputsAndParameters) {
  folder_.RunScript(
      "cp $RATCHET_INPUTS $RATCHET_PARAMS $RATCHET_OUT/; cp $RATCHET_TRAIN $RATCHET_OUT/train; "
      "cat \"$(dirname $RATCHET_TRAIN)/joined\" > $RATCHET_OUT/joined; "
      "echo $RATCHET_SEED $RATCHET_THREADS $RATCHET_STEP_FOLDER $RATCHET_VALIDATION\n");
  const auto pack = folder_.AddPack("pack", ToySchema(), ToyRows(3));
  const auto joined = folder_.AddFile("blobs/joined", "id,x\n");
  folder_.step["sandbox"]["read"].push_back(joined);
  folder_.step["inputs"] = {{"train", {pack}}, {"validation", json::array()}, {"files", {{"join.joined.csv", joined}}}};
  folder_.step["params"] = {{"depth", 3}};
  folder_.step["outputs"] = {"inputs.json", "params.json", "train", "joined"};
  ASSERT_EQ(folder_.Run(worker_)["exit_code"], 0) << folder_.Read("log");
  EXPECT_EQ(json::parse(folder_.Read("work/out/inputs.json")),
            json({{"data.train", pack}, {"join.joined.csv", joined}}));
  EXPECT_EQ(json::parse(folder_.Read("work/out/params.json")), json({{"depth", 3}}));
  EXPECT_EQ(folder_.Read("work/out/joined"), "id,x\n");
  EXPECT_GT(folder_.Read("work/out/train").size(), 0u);
  EXPECT_EQ(folder_.Read("log"), "7 1 " + folder_.path() + "\n");
}

TEST_F(Supervisor, MakesOneFileOfSeveralPacks) {
  folder_.RunScript("cp $RATCHET_TRAIN $RATCHET_OUT/train.pack\n");
  folder_.step["inputs"] = {
      {"train", {folder_.AddPack("one", ToySchema(), ToyRows(3)), folder_.AddPack("two", ToySchema(), ToyRows(4))}}};
  folder_.step["outputs"] = {"train.pack"};
  ASSERT_EQ(folder_.Run(worker_)["exit_code"], 0) << folder_.Read("log");
  const auto reader = lake::PackReader::Open({folder_.path() + "/work/out/train.pack"});
  ASSERT_TRUE(reader.has_value()) << reader.error().Message();
  EXPECT_EQ((*reader)->rows(), 7);
}

TEST_F(Supervisor, PassesACommandsProgressOn) {
  folder_.RunScript("echo '{\"epoch\":2,\"metrics\":{\"rows\":5}}' > $RATCHET_PROGRESS\n");
  ASSERT_EQ(folder_.Run(worker_)["exit_code"], 0);
  EXPECT_EQ(json::parse(folder_.Read("progress.jsonl"))["epoch"], 2);
  EXPECT_EQ(folder_.Result()["metrics"]["rows"], 5);
}

TEST_F(Supervisor, BlamesTheUserForAProgramThatIsNotThere) {
  folder_.step["kind"] = "command";
  folder_.step["command"] = {"./no-such-program"};
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 127);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("No such file"));
}

TEST_F(Supervisor, NamesTheExitCodeAndTheLastLinesOfACommand) {
  folder_.RunScript("echo first; echo 'no such column' >&2; exit 3\n");
  EXPECT_EQ(folder_.Run(worker_)["exit_code"], 3);
  EXPECT_EQ(Class(), "user");
  EXPECT_THAT(Message(), HasSubstr("exit code 3"));
  EXPECT_THAT(Message(), HasSubstr("no such column"));
}

TEST_F(Supervisor, KeepsACommandFromTheDataDirectoryAndTheStepFolder) {
  const auto secret = folder_.AddFile("blobs/holdout", "sealed");
  folder_.RunScript("cat '" + secret +
                    "' && echo opened\necho x > ../result.json && echo wrote\n: > ../process.json\nexit 1\n");
  (void)folder_.Run(worker_);
  EXPECT_EQ(folder_.Read("log").find("opened"), std::string::npos);
  EXPECT_EQ(folder_.Read("log").find("wrote"), std::string::npos);
  EXPECT_EQ(json::parse(folder_.Read("process.json"))["pid"], folder_.supervisor());
  EXPECT_EQ(Class(), "user");
}

TEST_F(Supervisor, EndsACommandThatTakesTooLong) {
  folder_.RunScript("trap '' TERM HUP INT\nwhile :; do :; done\n");
  folder_.step["limits"]["time_s"] = 1;
  const auto exit = folder_.Run(worker_);
  EXPECT_EQ(exit["class"], "timeout");
  EXPECT_GT(exit["cpu_s"], 0.02);  // of one second, on a machine that may be busy
  EXPECT_TRUE(folder_.Result().is_null());
}

TEST_F(Supervisor, EndsACommandThatUsesTooMuchMemory) {
  folder_.RunScript("exec /usr/bin/python3 -c 'import time; x = b\"1\" * (600 << 20); time.sleep(1000)'\n");
  folder_.step["limits"]["memory_bytes"] = 256 << 20;
  EXPECT_EQ(folder_.Run(worker_)["class"], "out_of_memory");
}

TEST_F(Supervisor, TellsWhatACommandUsed) {
  folder_.RunScript(
      "exec /usr/bin/python3 -c '\n"
      "import time\n"
      "read = sum(len(open(\"/dev/zero\", \"rb\", buffering=0).read(1 << 20)) for _ in range(10))\n"
      "held = b\"1\" * (100 << 20)\n"
      "while time.process_time() < 0.3: pass\n'\n");
  const auto exit = folder_.Run(worker_);
  ASSERT_EQ(exit["exit_code"], 0) << folder_.Read("log");
  EXPECT_GE(exit["read_bytes"], 10 << 20);
  EXPECT_LT(exit["read_bytes"], 30 << 20);
  EXPECT_GE(exit["cpu_s"], 0.3);
  EXPECT_LT(exit["cpu_s"], 10);
  EXPECT_GE(exit["max_rss_bytes"], 100 << 20);
  EXPECT_LT(exit["max_rss_bytes"], 300 << 20);
}

TEST_F(Supervisor, CountsWhatChildrenOfACommandUse) {
  folder_.RunScript("head -c 5000000 /dev/zero > /dev/null; (head -c 5000000 /dev/zero > /dev/null)\n");
  EXPECT_GE(folder_.Run(worker_)["read_bytes"], 10'000'000);
}

TEST_F(Supervisor, KeepsHeadAndTailOfALogThatIsTooLong) {
  folder_.RunScript("echo the first line; yes 0123456789abcde | head -c 209715200; echo the last line\n");
  folder_.step["limits"]["disk_bytes"] = 1ll << 30;
  ASSERT_EQ(folder_.Run(worker_)["exit_code"], 0);
  EXPECT_EQ(folder_.Result()["outcome"], "succeeded");
  std::string log;
  std::uint64_t offset = 0, dropped = 0;
  for (;;) {
    const auto piece = pipeline::ReadLog(folder_.path(), offset, 1 << 20);
    if (piece.bytes.empty()) break;
    log += piece.bytes;
    offset = piece.next_offset;
    dropped += piece.dropped_bytes;
  }
  EXPECT_THAT(log, StartsWith("the first line\n0123456789abcde\n"));
  EXPECT_THAT(log, EndsWith("0123456789abcde\nthe last line\n"));
  EXPECT_EQ(offset, 209715200u + 15 + 14);
  EXPECT_LE(log.size(), (64u << 20) + 100);
  EXPECT_GE(log.size(), 56u << 20);
  const auto said = "\n… " + std::to_string(dropped) + " bytes dropped …\n";
  EXPECT_EQ(log.find(said), 32u << 20);
  EXPECT_EQ(log.size(), offset - dropped + said.size());
}

TEST_F(Supervisor, EndsAllThatAStepHasStartedInLessThanASecond) {
  folder_.MakeFifo();
  folder_.RunScript(
      "trap '' TERM\n"
      "for i in 1 2 3 4 5; do (setsid sh -c 'trap \"\" TERM; (sleep 1000 & echo $$ > ready.fifo; wait) &' &) ; done\n"
      "exec sleep 1000\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  std::vector<pid_t> daemons;
  for (int i = 0; i < 5; ++i) daemons.push_back(std::stoi(folder_.AwaitLine()));
  const auto start = std::chrono::steady_clock::now();
  KillStep(folder_.supervisor(), folder_.path(), "cancelled", "by a user");
  const auto exit = folder_.AwaitExit();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(exit["class"], "cancelled");
  for (const pid_t daemon : daemons) EXPECT_NE(kill(daemon, 0), 0);
}

TEST_F(Supervisor, TakesItsCommandWithItWhenKilled) {
  folder_.MakeFifo();
  folder_.RunScript(
      "(setsid sh -c 'echo $$ > ready.fifo; exec sleep 1000' &)\necho $$ > ready.fifo\nexec sleep 1000\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  const pid_t one = std::stoi(folder_.AwaitLine()), other = std::stoi(folder_.AwaitLine());
  kill(folder_.supervisor(), SIGKILL);
  EXPECT_TRUE(AwaitDeath(folder_.supervisor()));
  EXPECT_TRUE(AwaitDeath(one));
  EXPECT_TRUE(AwaitDeath(other));
  EXPECT_TRUE(folder_.Exit().is_null());
  EXPECT_TRUE(folder_.Result().is_null());
}

TEST_F(Supervisor, HasANameOfItsOwn) {
  folder_.MakeFifo();
  folder_.RunScript("echo here > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder_.Start(worker_)["event"], "started");
  ASSERT_EQ(folder_.AwaitLine(), "here");
  std::string name;
  std::ifstream("/proc/" + std::to_string(folder_.supervisor()) + "/comm") >> name;
  EXPECT_EQ(name, "ratchet-step");
  KillStep(folder_.supervisor(), folder_.path(), "cancelled", "");
  (void)folder_.AwaitExit();
}

TEST(RecipeStep, GetsItsInputsInTheirOrderAndLeavesItsOutputs) {
  const WorkerProcess worker;
  StepFolder folder;
  const auto joined = folder.AddFile("blobs/joined", "x");
  folder.step["sandbox"]["read"].push_back(joined);
  folder.step["kind"] = folder.step["recipe"] = "recipe";
  folder.step["recipe"] = "probe.step";
  folder.step["command"] = nullptr;
  folder.step["inputs"] = {
      {"train", {folder.AddPack("one", ToySchema(), ToyRows(3)), folder.AddPack("two", ToySchema(), ToyRows(4))}},
      {"files", {{"a.joined", joined}}}};
  folder.step["input_names"] = {"data.train", "a.joined"};
  folder.step["outputs"] = {"given.json"};
  ASSERT_EQ(folder.Run(worker)["exit_code"], 0) << folder.Read("log");
  const auto result = folder.Result();
  EXPECT_EQ(result["metrics"]["inputs"], 2);
  const auto text = folder.Read("work/out/given.json");
  EXPECT_EQ(result["outputs"]["given.json"]["sha256"], Sha256Hex(text));
  const auto given = json::parse(text);
  EXPECT_EQ(given["inputs"][0], json::array({"data.train", folder.path() + "/work/train.pack"}));
  EXPECT_EQ(given["inputs"][1], json::array({"a.joined", joined}));
  EXPECT_EQ(given["params"]["word"], "none");
}

TEST(RecipeStep, RunsWithoutLibTorchWhereItNeedsNone) {
  const WorkerProcess worker({"--plugins", RATCHET_PLUGINS}, "commands");
  EXPECT_EQ(worker.Await("ready")["recipes"][0]["name"], "flow.pass");
  std::ifstream maps("/proc/" + std::to_string(worker.pid()) + "/maps");
  const std::string mapped((std::istreambuf_iterator<char>(maps)), std::istreambuf_iterator<char>());
  EXPECT_THAT(mapped, ::testing::HasSubstr("libratchet_steps_flow"));
  EXPECT_THAT(mapped, ::testing::Not(::testing::HasSubstr("libtorch")));
  StepFolder folder;
  const auto given = folder.AddFile("blobs/given", "x");
  folder.step["sandbox"]["read"].push_back(given);
  folder.step["kind"] = "recipe";
  folder.step["recipe"] = "flow.pass";
  folder.step["command"] = nullptr;
  folder.step["inputs"] = {{"files", {{"a.given", given}}}};
  folder.step["input_names"] = {"a.given"};
  folder.step["outputs"] = {"copy"};
  ASSERT_EQ(folder.Run(worker)["exit_code"], 0) << folder.Read("log");
  EXPECT_EQ(folder.Result()["outputs"]["copy"]["sha256"], Sha256Hex("x"));
}

TEST(RecipeStep, TakesItsCodeWithItWhenTheSupervisorIsKilled) {
  const WorkerProcess worker;
  StepFolder folder;
  folder.MakeFifo();
  folder.TrainBy("echo $PPID > ready.fifo; echo $$ > ready.fifo; exec sleep 1000\n");
  ASSERT_EQ(folder.Start(worker)["event"], "started");
  const pid_t code = std::stoi(folder.AwaitLine()), command = std::stoi(folder.AwaitLine());
  kill(folder.supervisor(), SIGKILL);
  EXPECT_TRUE(AwaitDeath(code));
  EXPECT_TRUE(AwaitDeath(command));
}

}  // namespace
}  // namespace ratchet::worker::testing
