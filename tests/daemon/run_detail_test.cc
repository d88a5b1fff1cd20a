#include "daemon/run_detail.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "registry/runs.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

class RunDetailTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApplyToys();
    PushToys();
    Ok("POST", "/api/v1/pipelines/toys/runs");
  }
  Json Step(size_t index) { return Ok("GET", "/api/v1/runs/1").at("steps").at(index); }
};

TEST_F(RunDetailTest, SaysWhyTheNextStepWaits) {
  EXPECT_FALSE(Step(0).contains("waiting"));
  worker_ = {{"state", "down"}, {"recipes", Json::array()}, {"error", "ended by signal 6: no such library"}};
  EXPECT_EQ(Step(0).at("waiting"), "the worker is down: ended by signal 6: no such library");
  EXPECT_FALSE(Step(1).contains("waiting"));
  EXPECT_EQ(Do("GET", "/readyz").status, 503);
  EXPECT_THAT(Do("GET", "/readyz").body, HasSubstr("no such library"));
}

TEST_F(RunDetailTest, SaysWhichRunGoesFirst) {
  Ok("POST", "/api/v1/pipelines/toys/runs");
  EXPECT_EQ(Ok("GET", "/api/v1/runs/2").at("steps").at(0).at("waiting"), "run 1 of this pipeline goes first");
  ASSERT_TRUE(store_->Write([&](Db& db) { return registry::StartRun(db, clock_.WallUs(), 1); }));
  EXPECT_EQ(Ok("GET", "/api/v1/runs/2").at("steps").at(0).at("waiting"), "run 1 of this pipeline is under way");
}

TEST_F(RunDetailTest, ShowsTheChecksOfAFailedValidation) {
  const Json result = {{"format", 1},
                       {"outcome", "failed"},
                       {"error", {{"class", "user"}, {"message", "1 of 2 data.expect checks fail"}}},
                       {"checks",
                        {{{"expect", {{"column", "id"}, {"unique", true}}},
                          {"passed", true},
                          {"failing_rows", 0},
                          {"examples", Json::array()}},
                         {{"expect", {{"column", "size"}, {"min", 3}}},
                          {"passed", false},
                          {"failing_rows", 6},
                          {"examples", {0, 0.5}}}}}};
  std::filesystem::create_directories(dir_ + "/runs/1/validate-1");
  std::ofstream(dir_ + "/runs/1/validate-1/result.json") << result.dump();
  const auto ended = store_->Write([&](Db& db) -> Status {
    const std::int64_t now_us = clock_.WallUs();
    RATCHET_TRY(registry::StartRun(db, now_us, 1));
    RATCHET_ASSIGN(const auto attempt, registry::StartAttempt(db, now_us, 1, "validate"));
    return registry::EndAttempt(db, now_us, attempt, registry::AttemptState::kFailed, {.error = result.at("error")});
  });
  ASSERT_TRUE(ended) << ended.error().Message();
  const Json checks = Step(0).at("checks");
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].dump(),
            R"({"examples":[0,0.5],"expect":{"column":"size","min":3},"failing_rows":6,"passed":false})");
  EXPECT_EQ(checks[1].at("passed"), true);
  EXPECT_FALSE(Ok("GET", "/api/v1/runs").at("items").at(0).at("steps").at(0).contains("checks"));
}

TEST(BoundedChecks, PassOnWhatWasFound) {
  const Json checks = BoundedChecks({{"checks",
                                      {{{"expect", {{"like", "live"}}},
                                        {"passed", false},
                                        {"failing_rows", 0},
                                        {"message", "1 of 2 columns have drifted"},
                                        {"drift", {{{"column", "a"}, {"psi", 0.1}}, {{"column", "b"}, {"psi", 0.9}}}},
                                        {"examples", {{{"row", 3}, {"values", {{"note", std::string(900, 'x')}}}}}}}}}});
  EXPECT_EQ(checks[0]["message"], "1 of 2 columns have drifted");
  EXPECT_EQ(checks[0]["drift"][0]["column"], "b") << "the furthest first";
  EXPECT_EQ(checks[0]["examples"][0]["row"], 3);
  EXPECT_LT(checks[0]["examples"][0]["values"]["note"].get<std::string>().size(), 250u);
}

TEST(BoundedChecks, CutsWhatIsLong) {
  Json many = Json::array();
  for (int i = 0; i < 500; ++i)
    many.push_back({{"expect", {{"column", "c"}, {"matches", std::string(5000, 'x')}}},
                    {"passed", i != 499},
                    {"examples", Json::array({"€" + std::string(9000, 'y'), 1, 2, 3, 4, 5, 6, 7})}});
  const Json checks = BoundedChecks({{"checks", many}});
  ASSERT_EQ(checks.size(), 100u);
  EXPECT_EQ(checks[0].at("passed"), false);
  EXPECT_EQ(checks[0].at("examples").size(), 5u);
  EXPECT_LT(checks.dump().size(), 100u * 600);
  EXPECT_TRUE(BoundedChecks({{"outcome", "succeeded"}}).is_null());
}

}  // namespace
}  // namespace ratchet::daemon
