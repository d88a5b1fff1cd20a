#include "pipeline/asha.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

namespace ratchet::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Better = AshaSettings::Better;
using State = TrialProgress::State;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
constexpr AshaSettings kNine{.max_epochs = 9};

TrialProgress Running(std::vector<double> metrics) { return {State::kRunning, std::move(metrics)}; }

// The trials told to stop.
std::vector<size_t> Stopped(const AshaSettings& settings, const std::vector<TrialProgress>& trials) {
  std::vector<size_t> stopped;
  for (const TrialVerdict& verdict : JudgeTrials(settings, trials))
    if (verdict.stop) stopped.push_back(verdict.trial);
  return stopped;
}

TEST(Asha, ComparesAtPowersOfTheReductionBelowTheEnd) {
  EXPECT_THAT(Rungs({.max_epochs = 9}), ElementsAre(1, 3));
  EXPECT_THAT(Rungs({.max_epochs = 10}), ElementsAre(1, 3, 9));
  EXPECT_THAT(Rungs({.min_epochs = 2, .reduction = 4, .max_epochs = 100}), ElementsAre(2, 8, 32));
  EXPECT_THAT(Rungs({.max_epochs = 1}), IsEmpty());
  EXPECT_THAT(Rungs({.min_epochs = 5, .max_epochs = 3}), IsEmpty());
  EXPECT_THAT(Rungs({.reduction = 4, .max_epochs = INT32_MAX}).size(), 16u) << "no overflow";
}

TEST(Asha, KeepsTheBestThirdOfARung) {
  std::vector<TrialProgress> trials;
  for (double metric : {0.1, 0.6, 0.3, 0.5, 0.2, 0.4}) trials.push_back(Running({metric}));
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(0, 2, 4, 5));
  AshaSettings lower = kNine;
  lower.better = Better::kLower;
  EXPECT_THAT(Stopped(lower, trials), ElementsAre(1, 2, 3, 5));
  AshaSettings four = kNine;
  four.reduction = 4;
  EXPECT_THAT(Stopped(four, trials), ElementsAre(0, 2, 3, 4, 5));
}

TEST(Asha, SaysWhy) {
  auto verdicts = JudgeTrials(kNine, {Running({0.1}), Running({0.6}), Running({0.3}), Running({})});
  ASSERT_EQ(verdicts.size(), 4u);
  EXPECT_EQ(verdicts[0].reason, "after 1 epoch it was number 3 of 3, and the best 1 goes on");
  EXPECT_TRUE(verdicts[0].stop);
  EXPECT_EQ(verdicts[1].reason, "after 1 epoch it was number 1 of 3, and the best 1 goes on");
  EXPECT_FALSE(verdicts[1].stop);
  EXPECT_EQ(verdicts[3].trial, 3u);
  EXPECT_THAT(verdicts[3].reason, HasSubstr("not come to the first comparison"));
}

TEST(Asha, WaitsForAsManyResultsAsTheReduction) {
  EXPECT_THAT(Stopped(kNine, {Running({0.1}), Running({0.9})}), IsEmpty());
  EXPECT_THAT(JudgeTrials(kNine, {Running({0.1})})[0].reason, HasSubstr("only 1 of the 3 results"));
  EXPECT_THAT(Stopped(kNine, {Running({0.1}), Running({0.9}), Running({0.2})}), ElementsAre(0, 2));
}

TEST(Asha, CountsTheResultsOfTrialsThatEndedButOfNoneThatFailed) {
  std::vector<TrialProgress> trials = {
      {State::kStopped, {0.5}}, {State::kSucceeded, {0.6}}, {State::kSucceeded, {0.7}}, Running({0.65})};
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(3));
  EXPECT_EQ(JudgeTrials(kNine, trials).size(), 1u) << "only of the running one";
  trials[2].state = State::kFailed;
  EXPECT_THAT(Stopped(kNine, trials), IsEmpty()) << "what failed cannot win, so it stops no other";
}

TEST(Asha, JudgesAtTheHighestRungReached) {
  // The first is behind at epoch 1 by now, but at epoch 3 it is alone.
  EXPECT_THAT(Stopped(kNine, {Running({0.1, 0.2, 0.3}), Running({0.9}), Running({0.8})}), ElementsAre(2));
  // Between two rungs the one passed last still counts.
  EXPECT_THAT(Stopped(kNine, {Running({0.1, 0.95}), Running({0.9}), Running({0.8})}), ElementsAre(0, 2));
}

TEST(Asha, TakesTheBestEpochUpToTheRung) {
  EXPECT_THAT(Stopped(kNine, {Running({0.1, 0.9, 0.2}), Running({0.3, 0.4, 0.5}), Running({0.1, 0.1, 0.6})}),
              ElementsAre(1, 2));
  EXPECT_THAT(Stopped(kNine, {Running({0.1, 0.1, 0.2, 0.99}), Running({0.3, 0.4, 0.5}), Running({0.1, 0.1, 0.4})}),
              ElementsAre(0, 2))
      << "what came after the rung does not count at it";
}

TEST(Asha, StopsWhatHasDivergedAsSoonAsAnotherHasANumber) {
  EXPECT_THAT(Stopped(kNine, {Running({kNaN})}), IsEmpty());
  EXPECT_THAT(Stopped(kNine, {Running({kNaN}), Running({kInfinity})}), IsEmpty());
  EXPECT_THAT(Stopped(kNine, {Running({kNaN}), Running({-5})}), ElementsAre(0));
  EXPECT_THAT(Stopped(kNine, {Running({0.9, 0.9, kNaN}), Running({0.1, 0.1, 0.1})}), ElementsAre(0))
      << "though it was good before";
  EXPECT_THAT(Stopped(kNine, {Running({kNaN}), Running({kNaN}), Running({kNaN})}), ElementsAre(1, 2)) << "one goes on";
  AshaSettings lower = kNine;
  lower.better = Better::kLower;
  EXPECT_THAT(Stopped(lower, {Running({kNaN}), Running({-kInfinity}), Running({1e300})}), ElementsAre(0, 1));
}

TEST(Asha, RanksEqualResultsByIndex) {
  EXPECT_THAT(Stopped(kNine, {Running({0.5}), Running({0.5}), Running({0.5})}), ElementsAre(1, 2));
}

TEST(Asha, LetsATrialEndThatHasTrainedForAllItsEpochs) {
  std::vector<TrialProgress> trials = {Running({0.1, 0.1, 0.1}), Running({0.9, 0.9, 0.9}), Running({0.8, 0.8, 0.8})};
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(0, 2));
  trials[0].epochs = 3;
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(2));
  EXPECT_THAT(Stopped({.max_epochs = 3}, trials), IsEmpty());
}

TEST(Asha, LetsMoreGoOnAsMoreCome) {
  std::vector<TrialProgress> trials = {Running({0.9}), Running({0.5}), Running({0.1})};
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(1, 2));
  for (double worse : {0.2, 0.3, 0.4}) trials.push_back(Running({worse}));
  EXPECT_THAT(Stopped(kNine, trials), ElementsAre(2, 3, 4, 5));
}

// Results come in any order and stops are carried out: whoever leads at the highest rung that was reached is still
// there.
TEST(Asha, NeverStopsTheLeader) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<TrialProgress> trials(8, Running({}));
    for (int i = 0; i < 100; ++i) {
      TrialProgress& trial = trials[random() % trials.size()];
      if (trial.state != State::kRunning) continue;
      trial.metrics.push_back(random() % 16 == 0 ? kNaN : static_cast<double>(random() % 10));
      for (const TrialVerdict& verdict : JudgeTrials({.max_epochs = 30}, trials))
        if (verdict.stop) trials[verdict.trial].state = State::kStopped;
      ASSERT_TRUE(std::ranges::any_of(trials, [](const auto& t) { return t.state == State::kRunning; }))
          << "round " << round;
    }
  }
}

TEST(Asha, ChoosesTheBestEpochOfTheSucceeded) {
  std::vector<TrialProgress> trials = {{State::kSucceeded, {0.5, 0.8, 0.6}},
                                       {State::kSucceeded, {0.7, 0.7, 0.7}},
                                       {State::kStopped, {0.9}},
                                       {State::kFailed, {0.95}},
                                       {State::kSucceeded, {0.8}},
                                       {State::kSucceeded, {kNaN, kInfinity}}};
  EXPECT_EQ(BestTrial(Better::kHigher, trials), 0u) << "the lower index of two equal ones";
  EXPECT_EQ(BestTrial(Better::kLower, trials), 0u);
  trials[1].metrics.push_back(0.4);
  EXPECT_EQ(BestTrial(Better::kLower, trials), 1u);
}

TEST(Asha, ChoosesNoneWhereNoneSucceededAndOneWithoutNumbersLast) {
  EXPECT_EQ(BestTrial(Better::kHigher, {}), std::nullopt);
  EXPECT_EQ(BestTrial(Better::kHigher, {Running({0.9}), {State::kFailed, {0.9}}}), std::nullopt);
  EXPECT_EQ(BestTrial(Better::kHigher, {Running({0.9}), {State::kSucceeded, {kNaN}}}), 1u);
  EXPECT_EQ(BestTrial(Better::kHigher, {{State::kSucceeded, {}}, {State::kSucceeded, {-3}}}), 1u);
}

struct Outcome {
  std::optional<size_t> winner;
  int epochs = 0;  // trained, by all trials together
};

// Trains the curves `parallel` at a time, an epoch of each a round; `settings` nothing = the full grid. A new trial
// begins where one ends.
Outcome Simulate(const std::vector<std::vector<double>>& curves, size_t parallel,
                 const std::optional<AshaSettings>& settings) {
  std::vector<TrialProgress> trials(curves.size());
  Outcome outcome;
  auto count = [&](State state) {
    return static_cast<size_t>(std::ranges::count(trials, state, &TrialProgress::state));
  };
  while (count(State::kWaiting) + count(State::kRunning) > 0) {
    for (TrialProgress& trial : trials)
      if (trial.state == State::kWaiting && count(State::kRunning) < parallel) trial.state = State::kRunning;
    for (size_t i = 0; i < trials.size(); ++i) {
      if (trials[i].state != State::kRunning) continue;
      trials[i].metrics.push_back(curves[i][trials[i].metrics.size()]);
      ++outcome.epochs;
      if (trials[i].metrics.size() == curves[i].size()) trials[i].state = State::kSucceeded;
    }
    if (!settings) continue;
    for (const TrialVerdict& verdict : JudgeTrials(*settings, trials))
      if (verdict.stop) trials[verdict.trial].state = State::kStopped;
  }
  outcome.winner = BestTrial(settings.value_or(AshaSettings{}).better, trials);
  return outcome;
}

// Saturating curves of 16 learning rates: accuracy(e) = top × (1 − exp(−speed × e)) with a little noise; the best rate
// in the middle, the largest diverges. In an order drawn by the seed.
std::vector<std::vector<double>> LearningCurves(std::uint64_t seed, int epochs) {
  std::mt19937_64 random(seed);
  auto noise = [&] { return (static_cast<double>(random() >> 11) * 0x1p-53 - 0.5) * 0.004; };
  std::vector<std::vector<double>> curves;
  for (int i = 0; i < 16; ++i) {
    double off = (i - 9) / 8.0, top = 0.95 - 0.25 * off * off, speed = 0.7 * std::exp(-off * off);
    std::vector<double> curve;
    for (int epoch = 1; epoch <= epochs; ++epoch)
      curve.push_back(i == 15 ? kNaN : top * (1 - std::exp(-speed * epoch)) + noise());
    curves.push_back(std::move(curve));
  }
  for (size_t i = curves.size() - 1; i > 0; --i) std::swap(curves[i], curves[random() % (i + 1)]);
  return curves;
}

// What it cannot do: a trial that is slow at first and best in the end is stopped early. These curves rank alike at all
// rungs but for noise.
TEST(Asha, FindsTheGridsWinnerWithAFractionOfItsEpochs) {
  constexpr int kEpochs = 27;
  int spent = 0, grid_spent = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    auto curves = LearningCurves(seed, kEpochs);
    Outcome grid = Simulate(curves, 4, std::nullopt);
    Outcome asha = Simulate(curves, 4, AshaSettings{.max_epochs = kEpochs});
    EXPECT_EQ(grid.epochs, 16 * kEpochs);
    ASSERT_TRUE(grid.winner);
    EXPECT_EQ(asha.winner, grid.winner) << "seed " << seed;
    spent += asha.epochs;
    grid_spent += grid.epochs;
  }
  EXPECT_LT(spent, grid_spent * 0.2) << spent << " of " << grid_spent;
  RecordProperty("epochs_ratio", std::to_string(static_cast<double>(spent) / grid_spent));
}

}  // namespace
}  // namespace ratchet::pipeline
