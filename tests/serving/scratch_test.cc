#include "serving/scratch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/serving/fixtures.h"

// ratchet-serve for one bundle, with a model made up here; the program itself is tested by tests/worker.
namespace ratchet::serving {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe(pipe_), 0);
    const std::string digest = PutBundle(folder_ / "blobs", "the model", SmallSignature());
    options_.manifest = folder_ / ("blobs/sha256/" + digest.substr(0, 2) + "/" + digest);
    const std::string model = Sha256Hex("the model");
    options_.model = folder_ / ("blobs/sha256/" + model.substr(0, 2) + "/" + model);
    options_.told_fd = pipe_[1];
  }
  void TearDown() override {
    for (const int end : pipe_) close(end);
  }
  // The next line that was told.
  json Told() const {
    std::string line;
    for (char c = 0; read(pipe_[0], &c, 1) == 1 && c != '\n';) line += c;
    return json::parse(line, nullptr, false);
  }

  TemporaryFolder folder_;
  ScratchOptions options_;
  int pipe_[2] = {-1, -1};
};

TEST_F(Scratch, AnswersWithOneBundleUntilItIsToldToStop) {
  const ModelLoader load = [](const LocalBundle&) -> Result<std::shared_ptr<const ModelRunner>> {
    return std::make_shared<FakeRunner>(30);
  };
  const auto ask = [&] {
    const json listening = Told(), loaded = Told();
    EXPECT_EQ(listening["event"], "listening");
    EXPECT_GT(listening["memory_bytes"], 0);
    EXPECT_EQ(loaded["event"], "loaded");
    EXPECT_GE(loaded["load_us"], 0);
    const std::string address = listening["address"];
    ASSERT_THAT(address, testing::StartsWith("127.0.0.1:"));
    httplib::Client client("127.0.0.1", std::stoi(address.substr(10)));
    const auto answer = client.Post("/v2/models/candidate/infer",
                                    R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})", "application/json");
    ASSERT_TRUE(answer);
    const json body = json::parse(answer->body);
    EXPECT_EQ(body["model_version"], "1");
    EXPECT_NEAR(body["outputs"][0]["data"][0].get<double>(), 0.3, 1e-6);
    EXPECT_EQ(client.Get("/v2/models/another")->status, 404);
  };
  EXPECT_TRUE(ServeScratch(options_, load, ask));
}

TEST_F(Scratch, TellsWhyTheModelCannotBeLoaded) {
  const ModelLoader load = [](const LocalBundle&) -> Result<std::shared_ptr<const ModelRunner>> {
    return Fail(ErrorCode::kInvalid, "load model", "", "it has no forward");
  };
  const auto served = ServeScratch(options_, load, [] { FAIL() << "there is nothing to wait for"; });
  ASSERT_FALSE(served);
  EXPECT_EQ(Told()["event"], "listening");
  EXPECT_EQ(Told(), (json{{"event", "failed"}, {"why", "it has no forward"}}));
}

TEST_F(Scratch, RefusesAModelOfAnotherDigest) {
  options_.model = options_.manifest;
  const ModelLoader load = [](const LocalBundle&) -> Result<std::shared_ptr<const ModelRunner>> {
    return std::make_shared<FakeRunner>(30);
  };
  const auto served = ServeScratch(options_, load, [] { FAIL() << "there is nothing to wait for"; });
  ASSERT_FALSE(served);
  EXPECT_EQ(served.error().code, ErrorCode::kCorrupt);
  (void)Told();
  EXPECT_THAT(Told()["why"].get<std::string>(), HasSubstr("its SHA-256 is"));
}

}  // namespace
}  // namespace ratchet::serving
