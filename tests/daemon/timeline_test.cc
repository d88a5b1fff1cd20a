#include "daemon/timeline.h"

#include <gtest/gtest.h>

namespace ratchet::daemon {
namespace {

using registry::Attempt;
using registry::AttemptState;
using registry::RunState;
using registry::Step;
using registry::StepState;

constexpr std::int64_t kMs = 1000;

Step Done(const std::string& name, std::vector<std::string> needs, std::int64_t ready_ms, std::int64_t from_ms, std::int64_t until_ms) {
  Step step{.name = name, .kind = "command", .state = StepState::kSucceeded, .needs = std::move(needs)};
  step.ready_at = ready_ms * kMs;
  step.started_at = from_ms * kMs;
  step.ended_at = until_ms * kMs;
  step.attempts.push_back({.step = name, .number = 1, .state = AttemptState::kSucceeded, .started_at = from_ms * kMs, .ended_at = until_ms * kMs});
  return step;
}

registry::Run RunOf(std::vector<Step> steps) {
  registry::Run run{.id = 5, .state = RunState::kSucceeded, .created_at = 0};
  run.started_at = 100 * kMs;
  run.ended_at = 1000 * kMs;
  run.steps = std::move(steps);
  return run;
}

std::string Waits(const Json& step) {
  std::string text;
  for (const Json& wait : step.at("waits")) text += wait.at("for").get<std::string>() + " " + wait.at("ms").dump() + "; ";
  return text;
}

TEST(Timeline, TellsWhatEachStepWaitedFor) {
  const auto run = RunOf({Done("validate", {}, 0, 100, 200), Done("join", {"validate"}, 200, 200, 500), Done("label", {"validate"}, 200, 450, 600),
                          Done("train", {"join", "label"}, 600, 650, 1000)});
  const Json line = TimelineJson(run, {}, 2000 * kMs);
  EXPECT_EQ(Waits(line["steps"][0]), "queue 100.0; ");
  EXPECT_EQ(Waits(line["steps"][1]), "need validate 100.0; ");
  EXPECT_EQ(Waits(line["steps"][2]), "need validate 100.0; processors 250.0; ");
  EXPECT_EQ(Waits(line["steps"][3]), "need label 500.0; worker 50.0; ");
  EXPECT_EQ(line["steps"][3]["waited_ms"], 550.0);
}

TEST(Timeline, BlamesOtherRunsForProcessorsThatTheyHad) {
  const auto run = RunOf({Done("validate", {}, 0, 300, 400)});
  EXPECT_EQ(Waits(TimelineJson(run, {{.from = 0, .until = 290 * kMs}}, 0)["steps"][0]), "queue 100.0; processors 200.0; ");
  EXPECT_EQ(Waits(TimelineJson(run, {{.from = 0, .until = 90 * kMs}}, 0)["steps"][0]), "queue 100.0; worker 200.0; ");
}

TEST(Timeline, CountsThePausesBetweenAttempts) {
  auto run = RunOf({Done("train", {}, 100, 100, 300)});
  run.steps[0].attempts[0].state = AttemptState::kFailed;
  run.steps[0].attempts.push_back({.step = "train", .number = 2, .state = AttemptState::kSucceeded, .started_at = 800 * kMs, .ended_at = 900 * kMs});
  EXPECT_EQ(Waits(TimelineJson(run, {}, 0)["steps"][0]), "queue 100.0; retry 500.0; ");
  run.steps[0].ended_at = 900 * kMs;
  EXPECT_EQ(TimelineJson(run, {}, 0)["critical_path"][0].dump(), R"({"ran_ms":300.0,"step":"train","waited_ms":600.0})");
}

TEST(Timeline, FindsTheChainThatMadeTheRunAsLongAsItWas) {
  const auto run = RunOf({Done("validate", {}, 0, 100, 200), Done("join", {"validate"}, 200, 200, 500), Done("label", {"validate"}, 200, 450, 600),
                          Done("train", {"join", "label"}, 600, 650, 1000)});
  const Json path = TimelineJson(run, {}, 2000 * kMs)["critical_path"];
  ASSERT_EQ(path.size(), 3u);
  EXPECT_EQ(path[1].dump(), R"({"ran_ms":150.0,"step":"label","waited_ms":250.0})");
  double total = 0;
  for (const Json& step : path) total += step["waited_ms"].get<double>() + step["ran_ms"].get<double>();
  EXPECT_EQ(total, 1000.0) << "from the run's creation to its end";
}

TEST(Timeline, LetsAStepThatNeverBeganWaitForNothing) {
  auto run = RunOf({Done("validate", {}, 0, 100, 200)});
  run.steps.push_back({.name = "train", .kind = "train", .state = StepState::kSkipped, .needs = {"validate"}});
  EXPECT_EQ(Waits(TimelineJson(run, {}, 0)["steps"][1]), "");
  run.state = RunState::kRunning;
  run.ended_at.reset();
  run.steps[1].state = StepState::kPending;
  run.steps[0].ended_at.reset();
  run.steps[0].attempts[0].ended_at.reset();
  EXPECT_EQ(Waits(TimelineJson(run, {}, 700 * kMs)["steps"][1]), "need validate 600.0; ");
}

}  // namespace
}  // namespace ratchet::daemon
