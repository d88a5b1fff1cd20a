#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "tests/worker/toy_models.h"
#include "tests/worker/worker_process.h"
#include "worker/sandbox.h"
#include "worker/serving_probe.h"

// A test step that serves its candidate, in real processes; where something has to go wrong, a script stands in for
// ratchet-serve.
namespace ratchet::worker::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ServingProbe : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.step["kind"] = "test";
    folder_.step["command"] = nullptr;
    folder_.step["metric"] = "accuracy";
    folder_.step["limits"]["memory_bytes"] = 2ull << 30;
    folder_.step["inputs"]["train"] = {folder_.AddPack("train", ToySchema(), ToyRows(20))};
    folder_.step["inputs"]["holdout"] = {folder_.AddPack("holdout", ToySchema(), ToyRows(40))};
    folder_.step["serving"] = {{"program", RATCHET_SERVE}};
    Candidate(kRightAnswers, ToySignature());
  }

  void Candidate(const std::string& body, const std::string& signature) {
    const auto model = folder_.data_dir() + "/blobs/model.pt";
    SaveToyModel(model, body);
    const auto manifest = folder_.AddFile("blobs/manifest.json", ToyManifest(signature, "accuracy", model));
    folder_.step["candidate"] = {{"manifest", manifest}, {"model", model}};
    for (const auto& path : {model, manifest}) folder_.step["sandbox"]["read"].push_back(path);
  }

  // In place of ratchet-serve: Python, in which `tell(event, …)` says what the real one would.
  void ServeBy(const std::string& script) {
    const auto program = folder_.AddFile(folder_.root() + "/serve.py",
                                         "#!/usr/bin/python3\n"
                                         "import json, os, signal, socket, sys, time\n"
                                         "def tell(event, **more): os.write(3, (json.dumps({'event': event, **more}) + '\\n').encode())\n"
                                         "print('serves as', os.getpid(), flush=True)\n"
                                         "listener = socket.create_server(('127.0.0.1', 0))\n"
                                         "address = '127.0.0.1:%d' % listener.getsockname()[1]\n" +
                                             script);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    folder_.step["serving"]["program"] = program;
  }

  json Run() {
    (void)folder_.Run(worker_);
    return folder_.Result();
  }
  // Fails with these words as this class, and leaves no process and no scores.
  void ExpectFailure(const std::string& error_class, const std::string& words) {
    const auto result = Run();
    ASSERT_EQ(result["outcome"], "failed") << result;
    EXPECT_EQ(result["error"]["class"], error_class) << result;
    EXPECT_THAT(result["error"]["message"].get<std::string>(), HasSubstr(words));
    EXPECT_FALSE(folder_.Has("scores.pack"));
    const std::string log = folder_.Read("log"), said = "serves as ";
    if (const size_t at = log.find(said); at != std::string::npos)
      EXPECT_NE(kill(std::atoi(log.c_str() + at + said.size()), 0), 0) << log;
  }

  WorkerProcess worker_;
  StepFolder folder_;
};

TEST_F(ServingProbe, MeasuresTheCandidateAsItServes) {
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result << folder_.Read("log");
  const json& serving = result["serving"];
  EXPECT_EQ(serving["rows"], 40);
  EXPECT_EQ(serving["rounds"], kProbeRounds);
  EXPECT_GT(serving["p50_latency_us"], 0);
  EXPECT_GE(serving["p99_latency_us"], serving["p50_latency_us"]);
  EXPECT_GT(serving["load_us"], 0);
  EXPECT_GT(serving["memory_bytes"], 10 << 20);
  EXPECT_GT(serving["memory_growth_bytes"], 0);
  EXPECT_LT(serving["memory_growth_bytes"], serving["memory_bytes"]);
  const auto size = [](const json& path) { return std::filesystem::file_size(path.get<std::string>()); };
  EXPECT_EQ(serving["bundle_bytes"], size(folder_.step["candidate"]["manifest"]) + size(folder_.step["candidate"]["model"]));
  EXPECT_EQ(serving["largest_difference"], 0.0);
  EXPECT_EQ(serving["inputs_differ"], true);
}

TEST_F(ServingProbe, MeasuresARegressionAndAnswersThatAreNotFinite) {
  Candidate("return x / (x.abs() < 7).float()", ToyRegressionSignature());
  folder_.step["metric"] = "mae";
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result << folder_.Read("log");
  EXPECT_EQ(result["serving"]["rows"], 40);
  EXPECT_GT(result["metrics"]["non_finite_rows"], 0);
}

TEST_F(ServingProbe, MeasuresNothingWhereItIsNotAsked) {
  folder_.step["serving"] = nullptr;
  const auto result = Run();
  ASSERT_EQ(result["outcome"], "succeeded") << result;
  EXPECT_FALSE(result.contains("serving"));
}

TEST_F(ServingProbe, CatchesAModelWhoseAnswerDependsOnHowManyRowsComeTogether) {
  Candidate("y = torch.stack([(x <= 0).float(), (x > 0).float()], 1)\n  if x.size(0) == 1:\n    y = 1 - y\n  return y", ToySignature());
  ExpectFailure("user", "answers holdout row 1 otherwise alone than among others");
}

TEST_F(ServingProbe, CatchesAModelThatAnswersByChance) {
  Candidate("return torch.softmax(torch.rand([x.size(0), 2]) + 0 * x.unsqueeze(1), 1)", ToySignature());
  ExpectFailure("user", "otherwise alone than among others");
}

TEST_F(ServingProbe, CatchesAModelWhoseAnswerDependsOnTheCallsBefore) {
  Candidate("self.training = not self.training\n  y = torch.stack([(x <= 0).float(), (x > 0).float()], 1)\n"
            "  if self.training:\n    y = 1 - y\n  return y", ToySignature());
  ExpectFailure("user", "answers holdout row");
}

// The test runs a model without gradients, ratchet-serve in inference mode; that is all a module can tell them apart by.
TEST_F(ServingProbe, CatchesAModelThatKnowsThatItServes) {
  Candidate("y = torch.stack([(x <= 0).float(), (x > 0).float()], 1)\n  z = y + 0.25\n  if z.is_inference():\n    y = 1 - y\n  return y",
            ToySignature());
  ExpectFailure("user", "answers holdout row 1 otherwise than the test scored it: the test scored [0, 1], served it is [1, 0]");
}

TEST_F(ServingProbe, SaysWhyTheProgramDoesNotStart) {
  folder_.step["serving"]["program"] = "/nowhere/ratchet-serve";
  ExpectFailure("internal", "/nowhere/ratchet-serve cannot be started: No such file");
}

TEST_F(ServingProbe, SaysWhyTheModelIsNotServed) {
  ServeBy("tell('listening', address=address)\ntell('failed', why='it has no forward')\n");
  ExpectFailure("user", "the candidate cannot be served: it has no forward");
}

TEST_F(ServingProbe, EndsWhenTheProcessCrashesWhileItLoads) {
  ServeBy("tell('listening', address=address)\nos.kill(os.getpid(), signal.SIGSEGV)\n");
  ExpectFailure("user", "the candidate crashes what serves it: the scratch ratchet-serve ended by signal 11 (Segmentation fault) before it had loaded");
}

TEST_F(ServingProbe, EndsWhenTheModelIsNeverLoaded) {
  folder_.step["serving"]["load_ms"] = 200;
  ServeBy("tell('listening', address=address)\nsignal.pause()\n");
  ExpectFailure("timeout", "has not loaded the candidate in time");
}

TEST_F(ServingProbe, EndsWhenARowIsNeverAnswered) {
  folder_.step["serving"]["answer_ms"] = 200;
  ServeBy("tell('listening', address=address)\ntell('loaded', load_us=1)\nfriend = listener.accept()\nsignal.pause()\n");
  ExpectFailure("timeout", "has not answered holdout row 1 within 200 ms");
}

TEST_F(ServingProbe, EndsWhenTheProcessCrashesOverARow) {
  ServeBy("tell('listening', address=address)\ntell('loaded', load_us=1)\nfriend = listener.accept()\nos.kill(os.getpid(), signal.SIGSEGV)\n");
  ExpectFailure("user", "the candidate crashes what serves it: the scratch ratchet-serve ended by signal 11 (Segmentation fault) over holdout row 1");
}

// As the kernel does where memory is short.
TEST_F(ServingProbe, DoesNotBlameTheCandidateForASignalFromOutside) {
  ServeBy("tell('listening', address=address)\ntell('loaded', load_us=1)\nfriend = listener.accept()\nos.kill(os.getpid(), signal.SIGKILL)\n");
  ExpectFailure("signal", "the scratch ratchet-serve ended by signal 9 (Killed) over holdout row 1");
}

TEST_F(ServingProbe, TakesNothingButAnAnswerForOne) {
  ServeBy("tell('listening', address=address)\ntell('loaded', load_us=1)\nfriend = listener.accept()[0]\nfriend.recv(65536)\n"
          "friend.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}')\nsignal.pause()\n");
  ExpectFailure("internal", "answer to holdout row 1 is not understood");
}

// With what the program starts on the way, and though that would rather stay.
TEST_F(ServingProbe, EndsWhatTheProcessLeavesBehind) {
  ServeBy("if os.fork() == 0:\n  os.setsid()\n  print('serves as', os.getpid(), flush=True)\n  signal.pause()\n"
          "tell('listening', address=address)\ntell('failed', why='enough')\n");
  ExpectFailure("user", "enough");
  const std::string log = folder_.Read("log");
  std::set<int> told;
  for (size_t at = 0; (at = log.find("serves as ", at)) != std::string::npos; ++at) told.insert(std::atoi(log.c_str() + at + 10));
  for (const int pid : told) EXPECT_NE(kill(pid, 0), 0) << pid;
}

TEST_F(ServingProbe, WritesNoFile) {
  if (DetectSandbox() == SandboxMeans::kNone) GTEST_SKIP() << "NOT TESTED: this machine gives no sandbox";
  const std::string paths = "['" + folder_.path() + "/made', '" + folder_.path() + "/tmp/made', '" + folder_.data_dir() + "/made']";
  ServeBy("made = []\nfor path in " + paths + ":\n  try:\n    open(path, 'w')\n    made.append(path)\n  except OSError:\n    pass\n"
          "tell('listening', address=address)\ntell('failed', why='made %s' % made)\n");
  ExpectFailure("user", "made []");
}

}  // namespace
}  // namespace ratchet::worker::testing
