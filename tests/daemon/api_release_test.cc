#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "registry/models.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

// A replica as ratchet-serve is one: takes the table, "loads" all of it, says so, waits for the next.
class FakeReplica {
 public:
  explicit FakeReplica(int port) : port_(port), thread_([this] { Loop(); }) {}
  ~FakeReplica() { thread_.join(); }  // ends when the server answers no more

 private:
  void Loop() {
    Json state = {{"revision", 0}, {"models", Json::object()}};
    for (;;) {
      const auto answer = Ask(
          port_, RequestText("POST", "/api/v1/replicas/one/sync", "Content-Type: application/json\r\n", state.dump()));
      if (answer.status != 200) return;
      const Json table = Json::parse(answer.body);
      state["revision"] = table.at("revision");
      for (const Json& route : table.at("routes")) {
        Json ready = Json::array();
        for (const char* slot : {"live", "previous", "loading"})
          if (!route.at(slot).is_null()) ready.push_back(route.at(slot).at("version"));
        state["models"][route.at("model").get<std::string>()] = {{"epoch", route.at("epoch")}, {"ready", ready}};
      }
    }
  }

  const int port_;
  std::thread thread_;
};

class ApiReleaseTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApplyToys();
    PushToys();
    MakePassedVersion("one");
    MakePassedVersion("two");
    replicas_.OnReport([this] { commits_.Raise(); });
    committer_ = std::thread([this] { CommitWhatIsLoaded(); });
  }
  void TearDown() override {
    stopping_ = true;
    commits_.Raise();
    committer_.join();
    server_ = nullptr;
    replica_ = nullptr;
  }
  void StartReplica() { replica_ = std::make_unique<FakeReplica>(server_->port()); }
  RawClient::Answer Promote(int version) {
    return Do("POST", "/api/v1/models/toys/promote", "application/json",
              Json{{"version", version}, {"reason", "it is better"}}.dump());
  }

 private:
  // The part of the orchestrator that matters here.
  void CommitWhatIsLoaded() {
    while (!stopping_) {
      const std::uint64_t seen = commits_.count();
      auto loading =
          store_->Read([](Db& db) -> Result<std::vector<registry::Release>> { return registry::LoadingReleases(db); });
      for (const registry::Release& release : *loading) {
        if (replicas_.Loaded(release.model, release.to).kind != pipeline::LoadState::Kind::kReady) continue;
        auto done = store_->Write([&](Db& db) { return registry::CommitRelease(db, clock_.WallUs(), release.id); });
        EXPECT_TRUE(done) << done.error().Message();
      }
      commits_.WaitPast(seen, std::chrono::milliseconds(1000));
    }
  }

  std::atomic<bool> stopping_{false};
  std::thread committer_;
  std::unique_ptr<FakeReplica> replica_;
};

TEST_F(ApiReleaseTest, PromotesAndRollsBackWhenTheReplicaHasConfirmed) {
  StartReplica();
  const auto first = Promote(1);
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_THAT(first.body, HasSubstr("\"state\":\"done\""));
  const auto second = Promote(2);
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(Json::parse(second.body).at("from"), 1);

  const auto back =
      Do("POST", "/api/v1/models/toys/rollback", "application/json", R"({"reason":"worse in the field"})");
  ASSERT_EQ(back.status, 200) << back.body;
  const Json release = Json::parse(back.body);
  EXPECT_EQ(release.at("to"), 1);
  EXPECT_EQ(release.at("kind"), "rollback");
  EXPECT_GT(release.at("took_ms").get<double>(), 0);
  const auto replicas = replicas_.List();
  ASSERT_EQ(replicas.size(), 1u);
  EXPECT_GE(replicas[0].models.at("toys").epoch, release.at("epoch").get<std::int64_t>());
  EXPECT_EQ(Ok("GET", "/api/v1/models/toys/route").at("live").at("version"), 1);
  EXPECT_EQ(Ok("GET", "/api/v1/models/toys/releases").at("items").size(), 3u);
  EXPECT_THAT(Ok("GET", "/api/v1/status").dump(), HasSubstr("\"id\":\"one\""));
}

TEST_F(ApiReleaseTest, RefusesWhatCannotBeReleased) {
  StartReplica();
  EXPECT_EQ(Do("POST", "/api/v1/models/toys/rollback", "application/json", "{}").status, 409);
  EXPECT_EQ(Promote(9).status, 404);
  ASSERT_EQ(Promote(1).status, 200);
  EXPECT_EQ(Promote(1).status, 409);
  EXPECT_EQ(Do("POST", "/api/v1/models/toys/promote", "application/json", R"({"version":2})").status, 400);
  EXPECT_EQ(Do("POST", "/api/v1/models/toys/promote", "application/json", R"({"reason":"x"})").status, 400);
  EXPECT_EQ(Do("POST", "/api/v1/models/toys/promote", "application/json", R"({"version":"2","reason":"x"})").status,
            400);
  EXPECT_EQ(Do("POST", "/api/v1/models/none/rollback", "application/json", "{}").status, 404);
  EXPECT_EQ(Do("POST", "/api/v1/replicas/x/sync", "application/json", R"({"models":{"toys":7}})").status, 400);
}

TEST_F(ApiReleaseTest, SaysInTheDecisionThatItWasOverridden) {
  StartReplica();
  EXPECT_FALSE(Ok("GET", "/api/v1/models/toys/versions/2/decision").contains("forced_by"));
  const Json release = Ok("POST", "/api/v1/models/toys/promote", "application/json",
                          R"({"version":2,"reason":"the test rows are stale","force":true})");
  const Json decision = Ok("GET", "/api/v1/models/toys/versions/2/decision");
  EXPECT_EQ(decision.at("forced"), true);
  EXPECT_EQ(decision.at("forced_by").at("release"), release.at("id"));
  EXPECT_EQ(decision.at("forced_by").at("actor"), "loopback");
  EXPECT_EQ(decision.at("forced_by").at("reason"), "the test rows are stale");
  EXPECT_EQ(decision.at("verdict"), "better");
  EXPECT_FALSE(Ok("GET", "/api/v1/models/toys/versions/1/decision").contains("forced_by"));
}

TEST_F(ApiReleaseTest, ReleasesOnceForEachIdempotencyKey) {
  StartReplica();
  const std::string body = R"({"version":1,"reason":"first"})";
  const auto first = Do("POST", "/api/v1/models/toys/promote", "application/json", body, "Idempotency-Key: k\r\n");
  const auto again = Do("POST", "/api/v1/models/toys/promote", "application/json", body, "Idempotency-Key: k\r\n");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(Json::parse(again.body).at("id"), Json::parse(first.body).at("id"));
}

}  // namespace
}  // namespace ratchet::daemon
