#include "serving/traffic.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "serving/shadow.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using ::testing::HasSubstr;

Route Shared(SplitMode mode, std::vector<SplitArm> arms, std::int64_t epoch = 4, std::int64_t step = 0) {
  return {.model = "m", .epoch = epoch, .live = Ref(1), .previous = {}, .loading = Ref(2),
          .split = RouteSplit{.release = 9, .step = step, .mode = mode, .arms = std::move(arms)}};
}

class TrafficTest : public ::testing::Test {
 protected:
  void Serve(const Route& route) {
    host_.Adopt(OneRoute(++revision_, route));
    ModelHost::Wanted wanted;
    while (host_.NextToLoad(0, wanted)) host_.Add(wanted, FakeBundle(wanted.ref), std::make_shared<FakeRunner>(wanted.ref.version));
  }
  Picked Pick(const std::string& key, bool given = false) {
    snapshot_ = host_.Snapshot();
    auto picked = PickVersion(snapshot_->models.at("m"), {}, {.text = key, .given = given});
    EXPECT_TRUE(picked);
    return *picked;
  }
  std::set<int> KeysOf(std::int64_t version, int keys = 4000) {
    std::set<int> found;
    for (int i = 0; i < keys; ++i)
      if (Pick(std::to_string(i)).version->ref.version == version) found.insert(i);
    return found;
  }

  ServeMetrics metrics_;
  ModelHost host_{metrics_};
  std::shared_ptr<const RouteSnapshot> snapshot_;
  std::int64_t revision_ = 0;
};

TEST_F(TrafficTest, ACanaryGetsItsShareAndSaysSo) {
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.25}}));
  const std::set<int> canary = KeysOf(2);
  EXPECT_NEAR(static_cast<double>(canary.size()) / 4000, 0.25, 0.03);
  const Picked one = Pick(std::to_string(*canary.begin()));
  EXPECT_EQ(one.role, "canary");
  EXPECT_EQ(one.share, 0.25);
  EXPECT_NE(one.counter, nullptr);
  for (int i = 0; i < 50; ++i) {
    const Picked picked = Pick(std::to_string(i));
    if (picked.version->ref.version != 1) continue;
    EXPECT_EQ(picked.role, "live");
    EXPECT_DOUBLE_EQ(picked.share, 0.75);
  }
}

TEST_F(TrafficTest, AKeyStaysWithItsVersionWhileTheShareGrows) {
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.1}}));
  const std::set<int> before = KeysOf(2);
  EXPECT_EQ(KeysOf(2), before);
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.5}}, 5, 1));
  const std::set<int> after = KeysOf(2);
  EXPECT_GT(after.size(), before.size());
  for (int key : before) EXPECT_TRUE(after.contains(key)) << key;
}

TEST_F(TrafficTest, SharesTrafficAmongSeveralVersions) {
  Route route = Shared(SplitMode::kAb, {{"ab", Ref(2), 0.3}, {"ab", Ref(3), 0.2}});
  Serve(route);
  EXPECT_NEAR(static_cast<double>(KeysOf(2).size()) / 4000, 0.3, 0.03);
  EXPECT_NEAR(static_cast<double>(KeysOf(3).size()) / 4000, 0.2, 0.03);
  EXPECT_NEAR(static_cast<double>(KeysOf(1).size()) / 4000, 0.5, 0.03);
}

TEST_F(TrafficTest, AShadowLeavesTheAnswerToTheLiveVersion) {
  Serve(Shared(SplitMode::kShadow, {{"shadow", Ref(2), 0.5}}));
  int copied = 0;
  for (int i = 0; i < 4000; ++i) {
    const Picked picked = Pick(std::to_string(i));
    EXPECT_EQ(picked.version->ref.version, 1);
    EXPECT_EQ(picked.role, "live");
    EXPECT_EQ(picked.share, 1);
    copied += picked.shadow ? 1 : 0;
  }
  EXPECT_NEAR(copied / 4000.0, 0.5, 0.03);
}

TEST_F(TrafficTest, WhileAnArmIsMissingAllIsTheLiveVersions) {
  host_.Adopt(OneRoute(1, Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.9}})));
  host_.Add({"m", Ref(1)}, FakeBundle(Ref(1)), std::make_shared<FakeRunner>(1));
  EXPECT_EQ(KeysOf(1, 50).size(), 50u);
  EXPECT_EQ(Pick("x").counter, nullptr) << "what is counted must have been shared";
  host_.Add({"m", Ref(2)}, FakeBundle(Ref(2)), std::make_shared<FakeRunner>(2));
  EXPECT_GT(KeysOf(2, 50).size(), 25u);
}

TEST_F(TrafficTest, ANamedVersionIsNoPartOfTheComparison) {
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.5}}));
  snapshot_ = host_.Snapshot();
  const auto picked = PickVersion(snapshot_->models.at("m"), 2, {.text = "x"});
  ASSERT_TRUE(picked);
  EXPECT_EQ(picked->role, "version");
  EXPECT_EQ(picked->counter, nullptr);
}

TEST_F(TrafficTest, CountsGoOnThroughTheStepAndBeginAnewWithTheNext) {
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.5}}));
  Pick("a").counter->Count(false, false, 100);
  host_.Adopt(OneRoute(++revision_, Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.5}})));
  const auto told = host_.State().at("m").arms;
  ASSERT_TRUE(told);
  EXPECT_EQ(told->release, 9);
  EXPECT_EQ(told->arms.at(1).requests + told->arms.at(2).requests, 1u);
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.6}}, 5, 1));
  const auto next = host_.State().at("m").arms;
  EXPECT_EQ(next->step, 1);
  EXPECT_NE(next->instance, told->instance);
  EXPECT_EQ(next->arms.at(1).requests + next->arms.at(2).requests, 0u);
  Serve({.model = "m", .epoch = 6, .live = Ref(2), .previous = Ref(1), .loading = {}});
  EXPECT_FALSE(host_.State().at("m").arms);
}

TEST_F(TrafficTest, LooksForTheKeyInHeaderParametersAndId) {
  Serve(Shared(SplitMode::kCanary, {{"canary", Ref(2), 0.5}}));
  snapshot_ = host_.Snapshot();
  const ServedModel& model = snapshot_->models.at("m");
  HttpRequest request{.method = "POST", .path = "/", .body = R"({"id":"order-1","parameters":{"sticky_key":"ann"},"inputs":[]})"};
  EXPECT_EQ(StickyKeyOf(model, request, "p").text, "ann");
  request.headers = {{"ratchet-sticky-key", "bob"}};
  EXPECT_EQ(StickyKeyOf(model, request, "p").text, "bob");
  EXPECT_TRUE(StickyKeyOf(model, request, "p").given);
  request.headers.clear();
  request.body = R"({"id":"order-1","inputs":[]})";
  EXPECT_EQ(StickyKeyOf(model, request, "p").text, "order-1");
  request.body = R"({"parameters":{"sticky_key":17},"inputs":[]})";
  EXPECT_EQ(StickyKeyOf(model, request, "p").text, "17");
  for (const char* body : {"", "{", "[]", R"({"inputs":[]})", R"({"parameters":7,"id":8})"}) {
    request.body = body;
    EXPECT_EQ(StickyKeyOf(model, request, "p").text, "p") << body;
    EXPECT_FALSE(StickyKeyOf(model, request, "p").given);
  }
  request.body = R"({"id":"order-1"}xxxxbinary)";
  request.headers = {{"inference-header-content-length", "16"}};
  EXPECT_EQ(StickyKeyOf(model, request, "p").text, "order-1");
}

TEST(PlaceOf, IsTheSameEverywhere) {
  // printf 'ratchet-split-1\0009\000order-1' | sha256sum, the first 8 bytes as a fraction of 2^64.
  EXPECT_NEAR(PlaceOf(9, "order-1"), 0.5683384643289461, 1e-12);
  EXPECT_NE(PlaceOf(9, "order-1"), PlaceOf(10, "order-1")) << "another release shuffles anew";
}

TEST(RouteSplit, SurvivesTheWayToTextAndBack) {
  for (SplitMode mode : {SplitMode::kShadow, SplitMode::kCanary, SplitMode::kAb}) {
    const RouteTable table = OneRoute(13, Shared(mode, {{"canary", Ref(2), 0.25}, {"ab", Ref(3), 0.5}}));
    EXPECT_EQ(*ParseRouteTable(SerialiseRouteTable(table)), table);
  }
}

TEST(RouteSplit, RefusesWhatTheFormatDoesNotSay) {
  const std::string bundle = Ref(2).bundle;
  const auto text = [](const std::string& split) { return R"({"revision":1,"routes":[{"model":"m","epoch":1,"split":)" + split + "}]}"; };
  const std::string arm = R"({"role":"canary","version":2,"share":0.7,"bundle":")" + bundle + "\"}";
  EXPECT_TRUE(ParseRouteTable(text(R"({"release":1,"step":0,"mode":"canary","arms":[)" + arm + "]}")));
  const std::vector<std::string> unsound = {
      "7", "[]", R"({"release":1,"step":0,"mode":"more","arms":[]})", R"({"release":1,"mode":"ab","arms":[]})",
      R"({"release":-1,"step":0,"mode":"ab","arms":[]})", R"({"release":1,"step":0,"mode":"ab","arms":[7]})",
      R"({"release":1,"step":0,"mode":"ab","arms":[)" + arm + "," + arm + "]}",
      R"({"release":1,"step":0,"mode":"ab","arms":[{"role":"ab","version":2,"share":0,"bundle":")" + bundle + "\"}]}",
      R"({"release":1,"step":0,"mode":"ab","arms":[{"role":"ab","version":2,"share":0.5,"bundle":"../x"}]})"};
  for (const std::string& split : unsound)
    EXPECT_FALSE(ParseRouteTable(text(split))) << split;
}

TEST(Latencies, LieWithinTheirBuckets) {
  std::int64_t before = -1;
  for (size_t bucket = 0; bucket + 1 < kLatencyBuckets; ++bucket) {
    const std::int64_t bound = LatencyBoundOf(bucket);
    ASSERT_GT(bound, before);
    EXPECT_EQ(LatencyBucketOf(bound), bucket);
    EXPECT_EQ(LatencyBucketOf(bound + 1), bucket + 1);
    if (bucket > 0) {
      EXPECT_LE(static_cast<double>(bound), 1.0626 * static_cast<double>(before + 1));
    }
    before = bound;
  }
  EXPECT_EQ(LatencyBucketOf(-5), 0u);
  EXPECT_EQ(LatencyBucketOf(INT64_MAX), kLatencyBuckets - 1);
}

std::vector<Tensor> FakeInputs() {
  Tensor tensor{.name = "x", .datatype = Datatype::kFp32, .shape = {1, 3}};
  tensor.data.resize(3 * sizeof(float));
  return {tensor};
}

Tensor Numbers(std::vector<float> values) {
  Tensor tensor{.name = "probabilities", .datatype = Datatype::kFp32, .shape = {1, static_cast<std::int64_t>(values.size())}};
  tensor.data.resize(values.size() * sizeof(float));
  std::copy(values.begin(), values.end(), tensor.As<float>());
  return tensor;
}

TEST(CompareOutputs, LooksAtLabelsWhereThereAreSome) {
  const Signature labelled = SmallSignature();
  Signature plain = labelled;
  plain.task = registry::Task::kRegression;
  plain.classes = {};
  const auto differs = [](const Signature& signature, std::vector<float> a, std::vector<float> b) {
    return CompareOutputs(signature, {Numbers(std::move(a))}, {Numbers(std::move(b))});
  };
  EXPECT_FALSE(differs(plain, {0.1f, 0.9f}, {0.1f, 0.9f}).differs);
  EXPECT_TRUE(differs(plain, {0.1f, 0.9f}, {0.2f, 0.8f}).differs);
  EXPECT_FALSE(differs(labelled, {0.1f, 0.9f}, {0.2f, 0.8f}).differs) << "the same label";
  EXPECT_TRUE(differs(labelled, {0.1f, 0.9f}, {0.9f, 0.1f}).differs);
  EXPECT_NEAR(differs(plain, {0.1f, 0.9f}, {0.2f, 0.7f}).largest, 0.2, 1e-6);
  EXPECT_TRUE(differs(plain, {0.1f}, {0.1f, 0.2f}).differs);
  EXPECT_TRUE(std::isinf(differs(plain, {NAN}, {0.5f}).largest));
  EXPECT_FALSE(differs(plain, {NAN}, {NAN}).differs);
}

TEST_F(TrafficTest, AShadowIsComparedCountedAndThrownAway) {
  Serve(Shared(SplitMode::kShadow, {{"shadow", Ref(2), 1}}));
  SystemClock clock;
  ShadowRunner runner(clock);
  const Picked picked = Pick("a");
  ASSERT_NE(picked.shadow, nullptr);
  std::vector<Tensor> inputs = FakeInputs();
  for (int i = 0; i < 10; ++i) {
    auto copy = runner.Copy(picked, inputs);
    ASSERT_NE(copy, nullptr);
    auto live = picked.version->runner->Run(inputs);
    runner.Compare(std::move(copy), live ? &*live : nullptr);
  }
  runner.Stop();  // all that waits is finished
  const auto told = host_.State().at("m").arms;
  EXPECT_EQ(told->arms.at(1).requests, 10u);
  EXPECT_EQ(told->arms.at(2).requests, 10u);
  EXPECT_EQ(told->shadow->compared, 10u);
  EXPECT_EQ(told->shadow->dropped, 0u);
}

TEST_F(TrafficTest, AShadowThatIsTooSlowIsDroppedAndCounted) {
  Serve(Shared(SplitMode::kShadow, {{"shadow", Ref(2), 1}}));
  SystemClock clock;
  const Picked picked = Pick("a");
  std::vector<Tensor> inputs = FakeInputs();
  ShadowRunner none(clock, {.waiting = 0, .bytes = 1 << 20, .request_bytes = 1 << 20});
  none.Compare(none.Copy(picked, inputs), nullptr);
  EXPECT_EQ(host_.State().at("m").arms->shadow->dropped, 1u);
  ShadowRunner small(clock, {.waiting = 4, .bytes = 1 << 20, .request_bytes = 0});
  EXPECT_EQ(small.Copy(picked, inputs), nullptr);
  EXPECT_EQ(host_.State().at("m").arms->shadow->dropped, 2u);
}

}  // namespace
}  // namespace ratchet::serving
