#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <set>

#include "registry/runs.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;
using MetricsTest = ApiFixture;

std::set<std::string> Matches(const std::string& text, const std::string& pattern) {
  const std::regex wanted(pattern);
  std::set<std::string> found;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), wanted); at != std::sregex_iterator(); ++at) found.insert((*at)[1]);
  return found;
}

TEST_F(MetricsTest, AreThoseOfTheDocumentedList) {
  Do("GET", "/healthz");
  std::ifstream file(METRICS_LIST);
  const std::string list((std::istreambuf_iterator<char>(file)), {});
  const auto documented = Matches(list, "\\| `(ratchet_[a-z_]+)` \\| (?:counter|gauge|histogram) ");
  EXPECT_GT(documented.size(), 15u);
  EXPECT_EQ(Matches(Do("GET", "/metrics").body, "# TYPE (ratchet_[a-z_]+) "), documented);
}

TEST_F(MetricsTest, CountStepsAttemptsAndTheCacheByKind) {
  ApplyToys();
  PushToys();
  Ok("POST", "/api/v1/pipelines/toys/runs");
  EXPECT_THAT(Do("GET", "/metrics").body, HasSubstr("ratchet_queue_depth 1"));
  const auto done = store_->Write([&](Db& db) -> Status {
    const std::int64_t now_us = clock_.WallUs();
    RATCHET_TRY(registry::StartRun(db, now_us, 1));
    registry::SetCacheKey(db, 1, "validate", "k");
    RATCHET_ASSIGN(const auto first, registry::StartAttempt(db, now_us, 1, "validate"));
    RATCHET_TRY(registry::EndAttempt(db, now_us, first, registry::AttemptState::kFailed, {.error = Json{{"class", "signal"}}}));
    RATCHET_ASSIGN(const auto second, registry::StartAttempt(db, now_us, 1, "validate"));
    RATCHET_TRY(registry::EndAttempt(db, now_us, second, registry::AttemptState::kSucceeded, {}));
    RATCHET_TRY(registry::MoveStep(db, now_us, 1, "validate", registry::StepState::kSucceeded));
    return registry::TakeCached(db, now_us, 1, "train", {.run = 1, .step = "train", .result = Json::object(), .outputs = {}});
  });
  ASSERT_TRUE(done) << done.error().Message();
  const std::string text = Do("GET", "/metrics").body;
  for (const char* line : {"ratchet_runs_created_total{reason=\"manual\"} 1\n", "ratchet_queue_depth 0\n", "ratchet_steps_ready 1\n",
                           "ratchet_steps_total{kind=\"validate\",outcome=\"succeeded\"} 1\n",
                           "ratchet_attempts_total{class=\"signal\",kind=\"validate\",outcome=\"failed\"} 1\n",
                           "ratchet_step_dispatch_seconds_count{kind=\"validate\"} 1\n", "ratchet_step_seconds_count{kind=\"validate\"} 1\n",
                           "ratchet_step_seconds_count{kind=\"train\"} 0\n", "ratchet_cache_lookups_total{result=\"hit\"} 1\n",
                           "ratchet_cache_lookups_total{result=\"miss\"} 1\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

}  // namespace
}  // namespace ratchet::daemon
