#include "serving/model_host.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Loads whatever the host wants, as the watcher does.
void LoadAll(ModelHost& host) {
  ModelHost::Wanted wanted;
  while (host.NextToLoad(0, wanted)) {
    host.Add(wanted, FakeBundle(wanted.ref), std::make_shared<FakeRunner>(wanted.ref.version));
  }
}

std::int64_t LiveVersion(const ModelHost& host) {
  const auto snapshot = host.Snapshot();
  auto model = snapshot->models.find("m");
  return model == snapshot->models.end() || !model->second.live ? 0 : model->second.live->ref.version;
}

TEST(RouteTable, SurvivesTheWayToTextAndBack) {
  const RouteTable table = OneRoute(13, {.model = "m", .epoch = 4, .live = Ref(2), .previous = Ref(1)});
  EXPECT_EQ(*ParseRouteTable(SerialiseRouteTable(table)), table);
}

TEST(RouteTable, RefusesWhatTheFormatDoesNotSay) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"revision":1})", R"({"revision":-1,"routes":[]})", R"({"revision":1,"routes":{}})",
        R"({"revision":1,"routes":[7]})", R"({"revision":1,"routes":[{"model":"../x","epoch":1}]})",
        R"({"revision":1,"routes":[{"model":"m"}]})",
        R"({"revision":1,"routes":[{"model":"m","epoch":1,"live":{"version":1,"bundle":"../../x"}}]})",
        R"({"revision":1,"routes":[{"model":"m","epoch":1},{"model":"m","epoch":2}]})"}) {
    auto table = ParseRouteTable(text);
    ASSERT_FALSE(table) << text;
    EXPECT_EQ(table.error().code, ErrorCode::kCorrupt);
  }
}

TEST(RouteTable, SyncRequestTellsWhatIsReadyAndWhatFailed) {
  EXPECT_EQ(SyncRequestJson(12, {{"m", {.epoch = 4, .ready = {1, 2}, .failed = {{3, "why"}}}}}),
            R"({"models":{"m":{"epoch":4,"failed":{"3":"why"},"ready":[1,2]}},"revision":12})");
}

class ModelHostTest : public ::testing::Test {
 protected:
  ServeMetrics metrics_;
  ModelHost host_{metrics_};
};

TEST_F(ModelHostTest, ServesALiveVersionOnlyOnceItIsLoaded) {
  EXPECT_FALSE(host_.Snapshot()->settled);
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  EXPECT_EQ(LiveVersion(host_), 0);
  EXPECT_FALSE(host_.Snapshot()->settled);
  LoadAll(host_);
  EXPECT_EQ(LiveVersion(host_), 1);
  EXPECT_TRUE(host_.Snapshot()->settled);
  EXPECT_EQ(host_.State().at("m").epoch, 1);
}

TEST_F(ModelHostTest, GoesOnWithTheOldVersionWhileTheNewOneLoadsOrFails) {
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  LoadAll(host_);
  host_.Adopt(OneRoute(2, {.model = "m", .epoch = 2, .live = Ref(2), .previous = Ref(1)}));
  EXPECT_EQ(LiveVersion(host_), 1);
  EXPECT_EQ(host_.State().at("m").epoch, 1);
  ModelHost::Wanted wanted;
  ASSERT_TRUE(host_.NextToLoad(0, wanted));
  EXPECT_EQ(wanted.ref, Ref(2));
  host_.Fail(wanted, "broken", 100);
  EXPECT_EQ(LiveVersion(host_), 1);
  EXPECT_EQ(host_.State().at("m").failed.at(2), "broken");
  EXPECT_EQ(host_.Table().routes.at("m").epoch, 1) << "a restart must begin with what is served";
  EXPECT_FALSE(host_.NextToLoad(100, wanted)) << "not again at once";
  EXPECT_TRUE(host_.NextToLoad(101, wanted));
}

TEST_F(ModelHostTest, SwapsAtOnceToWhatIsLoadedAlready) {
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1), .loading = Ref(2)}));
  LoadAll(host_);
  EXPECT_TRUE(host_.Adopt(OneRoute(2, {.model = "m", .epoch = 2, .live = Ref(2), .previous = Ref(1)})).changed);
  EXPECT_EQ(LiveVersion(host_), 2);
  EXPECT_TRUE(host_.Adopt(OneRoute(3, {.model = "m", .epoch = 3, .live = Ref(1), .previous = Ref(2)})).changed);
  EXPECT_EQ(LiveVersion(host_), 1);
  EXPECT_THAT(host_.State().at("m").ready, ElementsAre(1, 2));
}

TEST_F(ModelHostTest, RefusesARouteOfAnOlderEpoch) {
  host_.Adopt(OneRoute(5, {.model = "m", .epoch = 4, .live = Ref(2), .previous = Ref(1)}));
  LoadAll(host_);
  EXPECT_THAT(host_.Adopt(OneRoute(6, {.model = "m", .epoch = 3, .live = Ref(1)})).refused, ElementsAre("m"));
  EXPECT_EQ(LiveVersion(host_), 2);
}

TEST_F(ModelHostTest, LetsGoOfAVersionWithTheLastRequestThatHoldsIt) {
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  LoadAll(host_);
  ServedVersionPtr held = host_.Snapshot()->models.at("m").live;
  std::weak_ptr<const ModelRunner> runner = held->runner;
  host_.Adopt(OneRoute(2, {.model = "m", .epoch = 2, .live = Ref(2)}));
  LoadAll(host_);
  EXPECT_FALSE(runner.expired());
  held.reset();
  EXPECT_TRUE(runner.expired());
}

TEST_F(ModelHostTest, ForgetsAModelThatHasNoRouteAnyMore) {
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  LoadAll(host_);
  host_.Adopt({.revision = 2});
  EXPECT_TRUE(host_.Snapshot()->models.empty());
  EXPECT_TRUE(host_.BundlesInUse().empty());
}

TEST_F(ModelHostTest, NeverShowsAHalfLoadedOrMissingVersionWhileRoutesSwapUnderLoad) {
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  LoadAll(host_);
  std::atomic<bool> done{false};
  std::atomic<int> answered{0}, wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const auto version = host_.Snapshot()->models.at("m").live;
        Tensor input{.name = "x", .shape = {1, 3}, .data = std::vector<std::byte>(12)};
        auto outputs = version ? version->runner->Run({input}) : Fail(ErrorCode::kInternal, "", "", "no live version");
        const float expected = version ? static_cast<float>(version->ref.version) / 100 : 0;
        if (!outputs || (*outputs)[0].As<float>()[0] != expected) ++wrong;
        ++answered;
      }
    });
  }
  for (std::int64_t epoch = 2; epoch < 300; ++epoch) {
    host_.Adopt(OneRoute(epoch, {.model = "m", .epoch = epoch, .live = Ref(epoch), .previous = Ref(epoch - 1)}));
    LoadAll(host_);
  }
  Eventually([&] { return answered > 1000; });
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(answered, 1000);
  EXPECT_EQ(LiveVersion(host_), 299);
}

TEST(ServeMetrics, WritesPrometheusTextPerVersion) {
  ServeMetrics metrics;
  metrics.Of("m", 2)->Count(200, 700);
  metrics.Of("m", 2)->Count(400, 99'000'000);
  const std::string text = metrics.PrometheusText();
  EXPECT_THAT(text, HasSubstr("ratchet_serve_requests_total{model=\"m\",version=\"2\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("ratchet_serve_errors_total{model=\"m\",version=\"2\",fault=\"client\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{model=\"m\",version=\"2\",le=\"0.0005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{model=\"m\",version=\"2\",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{model=\"m\",version=\"2\",le=\"+Inf\"} 2\n"));
}

}  // namespace
}  // namespace ratchet::serving
