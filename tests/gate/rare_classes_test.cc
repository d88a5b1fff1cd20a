// Figures of classes where some class has few rows: what these say must not pass for certain.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "gate/decision.h"
#include "gate/evaluate.h"
#include "tests/gate/kept_rows.h"

namespace ratchet::gate {
namespace {

// `common` rows of class 0, all answered right by both sides, and `rare` of class 1, which `of_rare` answers.
template <typename Answer>
KeptClasses TwoClasses(int common, int rare, const Answer& of_rare) {
  KeptClasses kept;
  kept.target.assign(static_cast<size_t>(common), 0);
  kept.predicted = kept.target;
  kept.positive_probability.assign(static_cast<size_t>(common), 0.3);
  for (int i = 0; i < rare; ++i) {
    bool right = of_rare(i);
    kept.target.push_back(1);
    kept.predicted.push_back(right);
    kept.positive_probability.push_back(right ? 0.9 : 0.1);
  }
  return kept;
}

Decision Judge(const std::string& metric, const KeptClasses& candidate, const KeptClasses& live) {
  return Decide(Compare(ParseMetric(metric).value(), candidate.Kept(), live.Kept()).value(), {}, {}, {}, {.most_draws = 0}).value();
}

constexpr const char* kFiguresOfClasses[] = {"balanced_accuracy", "macro_f1", "roc_auc", "pr_auc"};

TEST(RareClasses, AreNoProofWhenOneRowOfThemChanged) {
  KeptClasses right = TwoClasses(999, 1, [](int) { return true; }), wrong = TwoClasses(999, 1, [](int) { return false; });
  for (const char* metric : kFiguresOfClasses) {
    Decision d = Judge(metric, right, wrong);
    EXPECT_GT(d.difference, 0.1) << metric;
    EXPECT_EQ(d.verdict, Verdict::kInconclusive) << metric;
    EXPECT_GT(d.p_value, 0.1) << metric;
    EXPECT_FALSE(Judge(metric, wrong, right).promotes) << metric;
  }
}

TEST(RareClasses, AreAboutAsMuchProofAsMcnemarsTestOnTheirRows) {
  for (int rare : {6, 10, 14}) {
    KeptClasses right = TwoClasses(2'000, rare, [](int) { return true; });
    KeptClasses wrong = TwoClasses(2'000, rare, [](int) { return false; });
    double p = Judge("balanced_accuracy", right, wrong).p_value, exact = std::exp2(-rare);
    EXPECT_GT(p, exact / 3) << rare;
    EXPECT_LT(p, exact * 3) << rare;
    EXPECT_GT(Judge("roc_auc", right, wrong).p_value, exact / 3) << rare;
  }
}

TEST(RareClasses, KeepTheMeanGainAndTheGainsOfCommonClasses) {
  std::mt19937_64 random(3);
  KeptClasses candidate = TwoClasses(1'000, 1'000, [&](int) { return random() % 10 < 8; });
  KeptClasses live = TwoClasses(1'000, 1'000, [&](int) { return random() % 10 < 7; });
  Metric metric = ParseMetric("balanced_accuracy").value();
  Comparison comparison = Compare(metric, candidate.Kept(), live.Kept()).value();
  Figure ours = Evaluate(metric, candidate.Kept()).value(), theirs = Evaluate(metric, live.Kept()).value();
  long double mean = 0, squares = 0, linear = 0;
  for (size_t i = 0; i < comparison.gain.size(); ++i) {
    mean += comparison.gain[i] / 2'000;
    squares += std::pow(comparison.gain[i] - (ours.value - theirs.value), 2);
    linear += std::pow(ours.influence[i] - theirs.influence[i], 2);
  }
  EXPECT_NEAR(static_cast<double>(mean), ours.value - theirs.value, 1e-12);
  EXPECT_GT(squares, linear);
  EXPECT_LT(squares, 1.05 * linear);
}

TEST(RareClasses, NeedNoPredictedClassesForAnAreaUnderACurve) {
  Metric metric = ParseMetric("roc_auc").value();
  KeptClasses kept = TwoClasses(50, 5, [](int i) { return i % 2 == 0; }), live = TwoClasses(50, 5, [](int) { return false; });
  Comparison with = Compare(metric, kept.Kept(), live.Kept()).value();
  kept.predicted.clear(), live.predicted.clear();
  EXPECT_EQ(Compare(metric, kept.Kept(), live.Kept())->gain, with.gain);
}

// Candidate and live version are equal; what differs is luck on three rows.
TEST(RareClasses, PromoteByLuckNoMoreOftenThanTheLevelSays) {
  std::mt19937_64 random(4);
  constexpr int kTrials = 2'000;
  for (const char* metric : {"balanced_accuracy", "macro_f1", "roc_auc"}) {
    int promoted = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      auto draw = [&] { return TwoClasses(300, 3, [&](int) { return random() % 2 == 0; }); };
      KeptClasses candidate = draw(), live = draw();
      for (size_t i = 0; i < 300; ++i) {
        candidate.positive_probability[i] = 0.2 + 0.01 * static_cast<double>(random() % 20);
        live.positive_probability[i] = 0.2 + 0.01 * static_cast<double>(random() % 20);
        candidate.predicted[i] = random() % 100 == 0;
        live.predicted[i] = random() % 100 == 0;
      }
      Comparison comparison = Compare(ParseMetric(metric).value(), candidate.Kept(), live.Kept()).value();
      promoted += Decide(comparison, {}, {.confidence = 0.99}, {}, {.most_draws = 0})->promotes;
    }
    EXPECT_LE(promoted, kTrials * 0.01 + 4 * std::sqrt(kTrials * 0.01 * 0.99)) << metric;
  }
}

}  // namespace
}  // namespace ratchet::gate
