#include "gate/release_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace ratchet::gate {
namespace {

ArmCounts Arm(std::int64_t requests, std::int64_t errors, std::int64_t slow = 0) {
  return {.requests = requests, .errors = errors, .unkeyed = requests, .latencies = {{10'000, requests - slow}, {60'000, 0}, {90'000, slow}}};
}

SignalState StateOf(const WatchReport& report, std::string_view name) {
  for (const Signal& signal : report.signals)
    if (signal.name == name) return signal.state;
  ADD_FAILURE() << "no signal " << name;
  return SignalState::kQuiet;
}

struct WatchCase {
  const char* what;
  WatchLimits limits;
  WatchedStep step;
  const char* signal;
  SignalState state;
};

TEST(ReleaseWatch, JudgesOneStep) {
  const WatchLimits errors{.error_rate = 0.01}, any_more{}, latency{.p99_latency_us = 50'000};
  const WatchCase cases[] = {
      {"nothing came", errors, {.share = 0.1}, "error_rate", SignalState::kQuiet},
      {"too little", errors, {0.1, Arm(99, 0), Arm(900, 0)}, "error_rate", SignalState::kQuiet},
      {"all well", errors, {0.1, Arm(1000, 2), Arm(9000, 18)}, "error_rate", SignalState::kHolds},
      {"beyond, perhaps by chance", errors, {0.1, Arm(300, 5), Arm(2700, 30)}, "error_rate", SignalState::kDoubt},
      {"beyond, and proven", errors, {0.1, Arm(1000, 60), Arm(9000, 18)}, "error_rate", SignalState::kHarm},
      {"proven before there is much", errors, {0.1, Arm(30, 30), Arm(270, 0)}, "error_rate", SignalState::kHarm},
      {"worse, but within the limit", errors, {0.1, Arm(10'000, 60), Arm(90'000, 90)}, "error_rate", SignalState::kHolds},
      {"beyond, but so is live", errors, {0.1, Arm(10'000, 500), Arm(90'000, 4500)}, "error_rate", SignalState::kHolds},
      {"no limit: worse than live is enough", any_more, {0.1, Arm(10'000, 60), Arm(90'000, 90)}, "error_rate", SignalState::kHarm},
      {"fast enough", latency, {0.5, Arm(5000, 0, 20), Arm(5000, 0, 20)}, "p99_latency", SignalState::kHolds},
      {"too slow", latency, {0.5, Arm(5000, 0, 150), Arm(5000, 0, 20)}, "p99_latency", SignalState::kHarm},
      {"too slow, but so is live", latency, {0.5, Arm(5000, 0, 150), Arm(5000, 0, 150)}, "p99_latency", SignalState::kHolds},
  };
  for (const WatchCase& each : cases) {
    const WatchReport report = JudgeWatch(each.limits, {&each.step, 1}, {});
    EXPECT_EQ(StateOf(report, each.signal), each.state) << each.what;
    EXPECT_EQ(report.Harmful(), each.state == SignalState::kHarm) << each.what;
    EXPECT_EQ(report.Passes(each.limits), each.state == SignalState::kHolds) << each.what;
    EXPECT_FALSE(report.mismatch) << each.what;
  }
}

TEST(ReleaseWatch, AddsEvidenceUpOverSteps) {
  const WatchLimits limits{.error_rate = 0.01};
  const WatchedStep first{0.05, Arm(400, 11), Arm(7600, 60)}, second{0.25, Arm(400, 11), Arm(1200, 10)};
  EXPECT_FALSE(JudgeWatch(limits, {&first, 1}, {}).Harmful());
  const WatchedStep both[] = {first, second};
  const WatchReport report = JudgeWatch(limits, both, {});
  EXPECT_TRUE(report.Harmful());
  EXPECT_EQ(report.requests, 400);
  EXPECT_EQ(report.signals[0].candidate_seen, 800);
}

// Live was bad while the candidate had little traffic: the pooled rates would blame the candidate for the hour.
TEST(ReleaseWatch, IsNotFooledByAnHourInWhichAllWasBad) {
  const WatchedStep steps[] = {{0.05, Arm(500, 1), Arm(9500, 19)}, {0.5, Arm(5000, 250), Arm(5000, 250)}};
  EXPECT_FALSE(JudgeWatch({.error_rate = 0.01}, steps, {}).Harmful());
}

TEST(ReleaseWatch, HoldsWhereTheSharesAreNotThoseAskedFor) {
  const WatchedStep step{0.1, Arm(1500, 0), Arm(8500, 0)};
  const WatchReport report = JudgeWatch({}, {&step, 1}, {});
  EXPECT_TRUE(report.mismatch);
  EXPECT_FALSE(report.Harmful());
  EXPECT_FALSE(report.Passes({}));
  const WatchedStep shadow{.share = 0.5, .candidate = Arm(1500, 0), .live = Arm(8500, 0), .paired = true};
  EXPECT_FALSE(JudgeWatch({}, {&shadow, 1}, {}).mismatch);
}

WatchedScores Scores(size_t count, double candidate_right, double live_right, bool up = true) {
  WatchedScores scores{.higher_is_better = up};
  for (size_t i = 0; i < count; ++i) {
    const double place = static_cast<double>(i % 100) / 100;
    scores.candidate.push_back(place < candidate_right ? 1 : 0);
    scores.live.push_back(place < live_right ? 1 : 0);
  }
  return scores;
}

TEST(ReleaseWatch, FindsADropOfTheLiveMetric) {
  const WatchLimits limits{.metric_drop = 0.02};
  const WatchedStep step{0.5, Arm(20'000, 0), Arm(20'000, 0)};
  const auto state = [&](size_t count, double candidate, double live, bool up = true) {
    return StateOf(JudgeWatch(limits, {&step, 1}, Scores(count, candidate, live, up)), "metric_drop");
  };
  EXPECT_EQ(state(0, 0.9, 0.9), SignalState::kQuiet);
  EXPECT_EQ(state(2000, 0.9, 0.9), SignalState::kHolds);
  EXPECT_EQ(state(500, 0.87, 0.9), SignalState::kDoubt);
  EXPECT_EQ(state(20'000, 0.85, 0.9), SignalState::kHarm);
  EXPECT_EQ(state(20'000, 0.95, 0.9), SignalState::kHolds);
  EXPECT_EQ(state(20'000, 0.95, 0.9, false), SignalState::kHarm);
  EXPECT_EQ(JudgeWatch(limits, {&step, 1}, {}).signals.size(), 1u) << "nothing is measured by feedback";
}

TEST(ReleaseWatch, FindsADropOfNumbersThatAreNoShares) {
  WatchedScores scores{.low = 0, .high = 34.6, .higher_is_better = false, .shares = false};
  std::mt19937_64 random(1);
  for (int i = 0; i < 6000; ++i) {
    scores.live.push_back(0.2 + 0.2 * static_cast<double>(random() % 100) / 100);
    scores.candidate.push_back(0.5 + 0.2 * static_cast<double>(random() % 100) / 100);
  }
  const WatchedStep step{0.5, Arm(6000, 0), Arm(6000, 0)};
  EXPECT_EQ(StateOf(JudgeWatch({.metric_drop = 0.05}, {&step, 1}, scores), "metric_drop"), SignalState::kHarm);
}

TEST(ReleaseWatch, SaysInASentenceWhatIsWrong) {
  const WatchedStep bad{0.1, Arm(1000, 60), Arm(9000, 18)}, good{0.1, Arm(1000, 1), Arm(9000, 9)};
  EXPECT_EQ(WatchSentence(JudgeWatch({.error_rate = 0.01}, {&bad, 1}, {})),
            "The candidate's error rate is 6.00 %, the live version's 0.20 %: proven to be worse, above the limit of 1.00 % (1000 and 9000 seen).");
  EXPECT_EQ(WatchSentence(JudgeWatch({.error_rate = 0.01}, {&good, 1}, {})), "");
}

struct Outcome {
  bool harm = false;
  std::int64_t requests = 0;  // when it was found
};

// A canary at 10 %, judged after each request by error rate and by feedback on each answer.
Outcome WatchOneCanary(std::mt19937_64& random, double candidate_right, double live_right, int most, int look_every) {
  const WatchLimits limits{.error_rate = 0.001, .metric_drop = 0};
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  WatchedStep step{.share = 0.1};
  WatchedScores scores;
  for (int i = 0; i < most; ++i) {
    const bool candidate = uniform() < step.share;
    ArmCounts& arm = candidate ? step.candidate : step.live;
    ++arm.requests, ++arm.unkeyed;
    arm.errors += uniform() < 0.02 ? 1 : 0;
    (candidate ? scores.candidate : scores.live).push_back(uniform() < (candidate ? candidate_right : live_right) ? 1 : 0);
    if (i % look_every == 0 && JudgeWatch(limits, {&step, 1}, scores).Harmful()) return {true, i};
  }
  return {};
}

TEST(ReleaseWatch, SeldomRollsBackACanaryThatIsAsGood) {
  constexpr int kCanaries = 150;
  std::mt19937_64 random(17);
  int harmed = 0;
  for (int i = 0; i < kCanaries; ++i) harmed += WatchOneCanary(random, 0.9, 0.9, 4000, 100).harm ? 1 : 0;
  EXPECT_LE(harmed, 0.05 * kCanaries);
}

TEST(ReleaseWatch, FindsARealDropOfTenPoints) {
  std::mt19937_64 random(19);
  for (int i = 0; i < 10; ++i) {
    const Outcome outcome = WatchOneCanary(random, 0.8, 0.9, 40'000, 200);
    EXPECT_TRUE(outcome.harm);
    EXPECT_LT(outcome.requests, 20'000);
  }
}

}  // namespace
}  // namespace ratchet::gate
