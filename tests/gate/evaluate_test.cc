// What Evaluate and Compare do with input that is wrong, empty or on an edge. The figures themselves: figures_test.cc.
#include "gate/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/gate/kept_rows.h"

namespace ratchet::gate {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Result<Figure> Figured(std::string_view metric, const Evidence& evidence) {
  return Evaluate(ParseMetric(metric).value(), evidence);
}

Result<Comparison> Compared(std::string_view metric, const Evidence& candidate, const Evidence& opponent) {
  return Compare(ParseMetric(metric).value(), candidate, opponent);
}

template <typename T>
void ExpectRefused(const Result<T>& result, std::string_view cause, ErrorCode code = ErrorCode::kInvalid) {
  ASSERT_FALSE(result) << "instead of: " << cause;
  EXPECT_EQ(result.error().code, code) << result.error().Message();
  EXPECT_THAT(result.error().Message(), HasSubstr(cause));
}

TEST(Evaluate, RefusesWhenThereAreNoRows) {
  ExpectRefused(Figured("accuracy", {ClassColumns{.classes = 2}}), "there are no rows");
  ExpectRefused(Figured("mae", {NumberColumns{}}), "there are no rows");
  ExpectRefused(Figured("mrr", {RankedColumns{}}), "there are no rows");
  ExpectRefused(Figured("wer", {TranscriptColumns{}}), "there are no rows");
}

TEST(Evaluate, RefusesEvidenceOfAnotherTask) {
  ExpectRefused(Figured("mae", KeptClasses().Kept()), "it needs numbers, and what was kept are classes");
  ExpectRefused(Figured("accuracy", KeptTranscripts().Kept()), "it needs classes, and what was kept are transcripts");
}

TEST(Evaluate, SaysWhichColumnWasNotKept) {
  KeptClasses classes;
  classes.predicted = {};
  classes.target_probability = {};
  classes.positive_probability = {};
  ExpectRefused(Figured("accuracy", classes.Kept()), "the predicted class of the rows was not kept");
  ExpectRefused(Figured("log_loss", classes.Kept()), "the true class's probability of the rows was not kept");
  ExpectRefused(Figured("roc_auc", classes.Kept()), "the positive class's probability of the rows was not kept");
  KeptNumbers numbers;
  numbers.scale = {};
  numbers.levels = {};
  ExpectRefused(Figured("mase", numbers.Kept()), "the scale of the rows was not kept");
  ExpectRefused(Figured("pinball", numbers.Kept()), "the levels of the quantiles were not kept");
  EXPECT_TRUE(Figured("mae", numbers.Kept()));
}

TEST(Evaluate, RefusesColumnsOfAnotherLength) {
  KeptClasses classes;
  classes.predicted.pop_back();
  ExpectRefused(Figured("accuracy", classes.Kept()), "there are 6 rows, but the predicted class has 5 entries");
  KeptNumbers numbers;
  numbers.quantiles.push_back(1);
  ExpectRefused(Figured("coverage", numbers.Kept()), "there are 4 rows, but the predicted quantile has 9 entries");
  KeptNumbers weighted;
  weighted.weight = {1, 2};
  ExpectRefused(Figured("mae", weighted.Kept()), "there are 4 rows, but the weight has 2 entries");
}

TEST(Evaluate, RefusesNumbersThatAreNotFinite) {
  for (double bad : {kNan, kInfinity, -kInfinity}) {
    KeptNumbers numbers;
    numbers.prediction[2] = bad;
    numbers.quantiles[5] = bad;
    ExpectRefused(Figured("rmse", numbers.Kept()), "row 3 has");
    ExpectRefused(Figured("pinball", numbers.Kept()), "row 3 has");
    numbers = {};
    numbers.target[0] = bad;
    ExpectRefused(Figured("wape", numbers.Kept()), "row 1 has");
    KeptClasses classes;
    classes.positive_probability[3] = bad;
    classes.target_probability[4] = bad;
    ExpectRefused(Figured("pr_auc", classes.Kept()), "row 4 has");
    ExpectRefused(Figured("brier", classes.Kept()), "row 5 has");
    KeptRankings rankings;
    rankings.ranked[3] = static_cast<float>(bad);
    ExpectRefused(Figured("ndcg@3", rankings.Kept()), "row 2 has");
  }
}

TEST(Evaluate, RefusesFiguresThatAreNotFinite) {
  KeptNumbers numbers;
  numbers.prediction = {1e200, 2, 3, 4};
  ExpectRefused(Figured("rmse", numbers.Kept()), "so large that the figure is not finite");
  ExpectRefused(Compared("rmse", numbers.Kept(), KeptNumbers().Kept()), "so large that the figure is not finite");
}

TEST(Evaluate, RefusesWhatIsNoProbabilityOrNoClass) {
  KeptClasses classes;
  classes.target_probability[1] = 1.1;
  ExpectRefused(Figured("log_loss", classes.Kept()), "row 2 has 1.1 as its true class's probability");
  classes.predicted[0] = 2;
  ExpectRefused(Figured("macro_f1", classes.Kept()), "row 1 has 2 as its predicted class");
  classes.target[5] = -1;
  ExpectRefused(Figured("roc_auc", classes.Kept()), "row 6 has -1 as its target class");
  classes = {};
  classes.classes = 0;
  ExpectRefused(Figured("accuracy", classes.Kept()), "there are no classes");
  classes.classes = kMostClasses + 1;
  ExpectRefused(Figured("accuracy", classes.Kept()), "the most is 1000000", ErrorCode::kTooLarge);
}

TEST(Evaluate, TakesProbabilitiesThatSinglePrecisionRoundedOverOne) {
  KeptClasses classes;
  classes.target_probability.assign(6, 1.0000001);
  classes.square_sum.assign(6, 1.0000001);
  EXPECT_EQ(Figured("log_loss", classes.Kept())->value, 0);
  EXPECT_EQ(Figured("brier", classes.Kept())->value, 0);
}

TEST(Evaluate, BoundsTheLossOfARowThatWasGivenNoChance) {
  KeptClasses classes;
  classes.target_probability.assign(6, 0.0);
  EXPECT_DOUBLE_EQ(Figured("log_loss", classes.Kept())->value, -std::log(1e-15));
}

TEST(Evaluate, RefusesOneClassWhereTwoAreCompared) {
  for (int only : {0, 1}) {
    KeptClasses classes;
    classes.target.assign(6, only);
    ExpectRefused(Figured("balanced_accuracy", classes.Kept()), "all rows are of one class");
    ExpectRefused(Figured("roc_auc", classes.Kept()),
                  only == 1 ? "all rows are of class 1" : "all rows are of class 0");
    ExpectRefused(Figured("pr_auc", classes.Kept()), only == 1 ? "all rows are of class 1" : "all rows are of class 0");
    EXPECT_TRUE(Figured("macro_f1", classes.Kept()));
    EXPECT_TRUE(Figured("accuracy", classes.Kept()));
  }
  KeptClasses three;
  three.classes = 3;
  ExpectRefused(Figured("roc_auc", three.Kept()), "it is for two classes, and there are 3");
}

TEST(Evaluate, RefusesOneClassWhenTheOthersRowsCountForNothing) {
  KeptClasses classes;
  classes.weight = {1, 0, 0, 1, 0, 1};
  ExpectRefused(Figured("balanced_accuracy", classes.Kept()), "all rows are of one class");
  ExpectRefused(Figured("roc_auc", classes.Kept()), "all rows are of class 0");
}

TEST(Evaluate, GivesAHalfWhenAllScoresAreTied) {
  KeptClasses classes;
  classes.positive_probability.assign(6, 0.7);
  const Figure roc = Figured("roc_auc", classes.Kept()).value();
  EXPECT_EQ(roc.value, 0.5);
  EXPECT_THAT(roc.influence, Each(0.0));
  EXPECT_EQ(Figured("pr_auc", classes.Kept())->value, 0.5);  // the share of positives
}

TEST(Evaluate, TakesZeroOfEitherSignForTheSameScore) {
  KeptClasses classes;
  classes.positive_probability = {0.0, -0.0, 0.0, -0.0, -0.0, 0.0};
  EXPECT_EQ(Figured("roc_auc", classes.Kept())->value, 0.5);
}

TEST(Evaluate, RefusesZeroTargetsWhereAnErrorIsAShareOfThem) {
  KeptNumbers numbers;
  numbers.target[2] = 0;
  ExpectRefused(Figured("mape", numbers.Kept()), "the target of row 3 is 0");
  EXPECT_TRUE(Figured("wape", numbers.Kept()));
  EXPECT_TRUE(Figured("smape", numbers.Kept()));
  numbers.target.assign(4, 0);
  ExpectRefused(Figured("wape", numbers.Kept()), "all targets are 0");
  ExpectRefused(Figured("weighted_quantile_loss", numbers.Kept()), "all targets are 0");
  EXPECT_EQ(Figured("smape", numbers.Kept())->value, 2);
  numbers.prediction.assign(4, 0);
  EXPECT_EQ(Figured("smape", numbers.Kept())->value, 0);
}

TEST(Evaluate, RefusesScalesThatAreNotAboveZero) {
  for (double bad : {0.0, -1.0, kNan, kInfinity}) {
    KeptNumbers numbers;
    numbers.scale[1] = bad;
    ExpectRefused(Figured("mase", numbers.Kept()), "row 2 has");
  }
}

TEST(Evaluate, RefusesLevelsThatDoNotAscendWithinZeroAndOne) {
  KeptNumbers numbers;
  numbers.levels = {0.9, 0.1};
  ExpectRefused(Figured("pinball", numbers.Kept()), "the quantile levels do not ascend");
  numbers.levels = {0.5, 0.5};
  ExpectRefused(Figured("pinball", numbers.Kept()), "the quantile levels do not ascend");
  for (double bad : {0.0, 1.0, kNan}) {
    numbers.levels = {0.1, bad};
    ExpectRefused(Figured("coverage", numbers.Kept()), "not all above 0 and below 1");
  }
  numbers.levels = {0.5};
  numbers.quantiles.resize(4);
  ExpectRefused(Figured("coverage", numbers.Kept()), "an interval needs two quantile levels");
  EXPECT_TRUE(Figured("pinball", numbers.Kept()));
}

TEST(Evaluate, WeightedQuantileLossOfTheMedianAloneIsWape) {
  KeptNumbers numbers;
  numbers.levels = {0.5};
  numbers.quantiles = numbers.prediction;
  const Figure loss = Figured("weighted_quantile_loss", numbers.Kept()).value();
  const Figure wape = Figured("wape", numbers.Kept()).value();
  EXPECT_DOUBLE_EQ(loss.value, wape.value);
}

TEST(Evaluate, PutsNoErrorAtAllAtZeroWithoutInfluence) {
  KeptNumbers numbers;
  numbers.prediction = numbers.target;
  for (const char* metric : {"rmse", "mae", "wape", "mape", "smape", "mase"}) {
    const Figure figure = Figured(metric, numbers.Kept()).value();
    EXPECT_EQ(figure.value, 0) << metric;
    EXPECT_THAT(figure.influence, Each(0.0)) << metric;
  }
}

TEST(Evaluate, RefusesRankingsThatCannotBe) {
  KeptRankings rankings;
  rankings.relevant.assign(3, 0);
  ExpectRefused(Figured("ndcg@3", rankings.Kept()), "nothing is relevant to any query");
  rankings = {};
  rankings.ranked = {3, 3, 3, 1, 0};
  ExpectRefused(Figured("ndcg@3", rankings.Kept()), "the ranking of query 1 has more relevance than the query");
  ExpectRefused(Figured("recall@3", rankings.Kept()), "the ranking of query 1 has more relevance than the query");
  rankings = {};
  rankings.relevant[2] = 0;
  ExpectRefused(Figured("mrr", rankings.Kept()), "the ranking of query 2 has more relevance than the query");
  ExpectRefused(Figured("hit_rate@1", rankings.Kept()), "the ranking of query 2 has more relevance than the query");
  rankings = {};
  rankings.ranked[1] = -1;
  ExpectRefused(Figured("mrr", rankings.Kept()), "row 1 has -1 as its relevance");
}

TEST(Evaluate, RefusesACutOffOfZero) {
  Metric metric = ParseMetric("ndcg@3").value();
  for (std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, kMostCutOff + 1}) {
    metric.cut_off = bad;
    ExpectRefused(Evaluate(metric, KeptRankings().Kept()), "not from 1 to 10000");
    ExpectRefused(Compare(metric, KeptRankings().Kept(), KeptRankings().Kept()), "not from 1 to 10000");
  }
}

TEST(Evaluate, RefusesListsThatDoNotFitTheirEnds) {
  KeptRankings rankings;
  rankings.ranked_ends = {3, 2};
  ExpectRefused(Figured("mrr", rankings.Kept()), "ends before it begins");
  rankings.ranked_ends = {3, 6};
  ExpectRefused(Figured("mrr", rankings.Kept()), "holds 5 relevances instead of 6");
  rankings.ranked_ends = {-1, 5};
  ExpectRefused(Figured("mrr", rankings.Kept()), "ends before it begins");
  rankings.ranked_ends = {5};
  ExpectRefused(Figured("mrr", rankings.Kept()), "there are 2 rows, but the list of ranked relevances has 1 entries");
}

TEST(Evaluate, ScoresAQueryWithoutAnyAnswerAsZero) {
  KeptRankings rankings;
  rankings.ranked_ends = {0, 2};
  rankings.ranked = {1, 0};
  for (const char* metric : {"ndcg@5", "mrr", "hit_rate@5", "recall@5"})
    EXPECT_EQ(Figured(metric, rankings.Kept())->value, 0.5) << metric;
}

TEST(Evaluate, CountsErrorsAgainstEmptyReferences) {
  KeptTranscripts texts;
  EXPECT_DOUBLE_EQ(Figured("wer", texts.Kept())->value, 3.0 / 9);
  texts.words.assign(3, 0);
  ExpectRefused(Figured("wer", texts.Kept()), "all references are empty");
  texts.character_edits[1] = -1;
  ExpectRefused(Figured("cer", texts.Kept()), "row 2 has -1 as its number of wrong characters");
}

TEST(Evaluate, RefusesWeightsThatAreNone) {
  for (double bad : {-1.0, kNan, kInfinity}) {
    KeptNumbers numbers;
    numbers.weight = {1, bad, 1, 1};
    ExpectRefused(Figured("mae", numbers.Kept()), "row 2 has");
  }
  KeptNumbers numbers;
  numbers.weight.assign(4, 0);
  ExpectRefused(Figured("mae", numbers.Kept()), "the weights are all 0");
}

TEST(Evaluate, DoesNotMindWeightsThatAreAllTheSame) {
  KeptClasses classes;
  classes.weight.assign(6, 0.1);
  for (const char* metric : {"accuracy", "macro_f1", "log_loss", "roc_auc", "pr_auc"})
    EXPECT_EQ(Figured(metric, classes.Kept())->value, Figured(metric, KeptClasses().Kept())->value) << metric;
  EXPECT_TRUE(Compared("accuracy", classes.Kept(), classes.Kept())->zero_one);
}

TEST(Evaluate, LeavesOutRowsWithoutWeight) {
  KeptNumbers numbers;
  numbers.weight = {1, 0, 1, 2};
  numbers.prediction[1] = 1e6;
  const Figure figure = Figured("mae", numbers.Kept()).value();
  EXPECT_DOUBLE_EQ(figure.value, (0.5 + 1 + 2) / 4);
}

TEST(Evaluate, TakesOneRow) {
  KeptNumbers numbers{.target = {2}, .prediction = {3}, .scale = {}, .levels = {}, .quantiles = {}};
  const Figure figure = Figured("rmse", numbers.Kept()).value();
  EXPECT_EQ(figure.value, 1);
  EXPECT_THAT(figure.influence, ElementsAre(0.0));
}

TEST(Compare, RefusesRowsThatDifferBetweenTheSides) {
  KeptClasses ours, theirs;
  theirs.target[2] = 0;
  ExpectRefused(Compared("accuracy", ours.Kept(), theirs.Kept()),
                "target class 3 is 1 for the candidate and 0 for the opponent");
  theirs.target.pop_back();
  theirs.predicted.pop_back();
  ExpectRefused(Compared("accuracy", ours.Kept(), theirs.Kept()), "the candidate has 6 rows and the opponent 5");
  theirs = {};
  theirs.classes = 3;
  ExpectRefused(Compared("accuracy", ours.Kept(), theirs.Kept()), "the candidate has 2 classes and the opponent 3");
  theirs = {};
  theirs.weight = {1, 2, 1, 1, 1, 1};
  ExpectRefused(Compared("accuracy", ours.Kept(), theirs.Kept()), "one side has weights and the other has none");
  ours.weight.assign(6, 1);
  ExpectRefused(Compared("accuracy", ours.Kept(), theirs.Kept()), "weight 2 is 1 for the candidate and 2");
}

TEST(Compare, RefusesNumbersListsAndTextsThatDifferBetweenTheSides) {
  KeptNumbers numbers;
  numbers.target[3] = 4.5;
  ExpectRefused(Compared("mae", KeptNumbers().Kept(), numbers.Kept()), "target 4 is 4 for the candidate and 4.5");
  numbers = {};
  numbers.scale[0] = 3;
  numbers.levels[0] = 0.2;
  ExpectRefused(Compared("mase", KeptNumbers().Kept(), numbers.Kept()), "scale 1 is 1 for the candidate and 3");
  ExpectRefused(Compared("pinball", KeptNumbers().Kept(), numbers.Kept()), "quantile level 1 is 0.1");
  EXPECT_TRUE(Compared("mae", KeptNumbers().Kept(), numbers.Kept()));
  KeptRankings rankings;
  rankings.relevant[1] = 2;
  ExpectRefused(Compared("mrr", KeptRankings().Kept(), rankings.Kept()), "relevance 2 is 1 for the candidate and 2");
  KeptTranscripts texts;
  texts.words[0] = 3;
  ExpectRefused(Compared("wer", KeptTranscripts().Kept(), texts.Kept()), "number of words 1 is 4");
  EXPECT_TRUE(Compared("cer", KeptTranscripts().Kept(), texts.Kept()));
}

TEST(Compare, NamesTheFaultOfEitherSide) {
  KeptClasses bad;
  bad.target_probability[0] = kNan;
  ExpectRefused(Compared("log_loss", bad.Kept(), KeptClasses().Kept()), "row 1 has nan");
  ExpectRefused(Compared("log_loss", KeptClasses().Kept(), bad.Kept()), "row 1 has nan");
}

TEST(Compare, CountsRightAndWrongRowsExactly) {
  KeptClasses ours;
  ours.predicted = {0, 1, 1, 0, 0, 1};
  const Comparison comparison = Compared("accuracy", ours.Kept(), KeptClasses().Kept()).value();
  EXPECT_TRUE(comparison.zero_one);
  EXPECT_THAT(comparison.gain, ElementsAre(0, 0, 1, 0, -1, 0));
}

// Weights are said to both, and count once.
TEST(Compare, HandsOnGainsWhoseWeightedMeanIsTheDifference) {
  KeptClasses ours, theirs;
  ours.predicted = {0, 1, 1, 0, 0, 1};
  ours.positive_probability = {0.2, 0.6, 0.5, 0.1, 0.2, 0.6};
  ours.weight = theirs.weight = {1, 2, 0, 3, 2, 0.5};
  for (const char* metric : {"accuracy", "macro_f1", "balanced_accuracy", "roc_auc", "pr_auc", "log_loss"}) {
    const Comparison comparison = Compared(metric, ours.Kept(), theirs.Kept()).value();
    const Decision decision = Decide(comparison, {.weight = ours.weight}, Rule{}).value();
    EXPECT_NEAR(decision.difference,
                OrientedDifference(ParseMetric(metric)->goal, comparison.candidate, comparison.opponent), 1e-12)
        << metric;
    EXPECT_EQ(decision.rows, 5) << metric;
  }
}

TEST(Compare, TurnsLossesSoThatLessIsAGain) {
  KeptNumbers ours;
  ours.prediction = ours.target;
  for (const char* metric : {"mae", "rmse", "wape", "mape", "smape", "mase"}) {
    const Comparison comparison = Compared(metric, ours.Kept(), KeptNumbers().Kept()).value();
    EXPECT_LT(comparison.candidate, comparison.opponent) << metric;
    EXPECT_GT(std::reduce(comparison.gain.begin(), comparison.gain.end()), 0) << metric;
  }
}

// Rows 1 to 3 of 4 are covered from 0.1 to 0.9, so 0.75 where 0.8 is promised.
TEST(Coverage, IsBetterNearItsNominal) {
  KeptNumbers all, none;
  all.quantiles = {-9, 9, -9, 9, -9, 9, -9, 9};
  none.quantiles = {8, 9, 8, 9, 8, 9, 8, 9};
  KeptNumbers most = all;
  most.quantiles[6] = 8;
  const Comparison over = Compared("coverage", most.Kept(), all.Kept()).value();
  EXPECT_EQ(over.candidate, 0.75);
  EXPECT_EQ(over.opponent, 1);
  EXPECT_FALSE(over.zero_one);
  EXPECT_NEAR(std::reduce(over.gain.begin(), over.gain.end()) / 4, 0.2 - 0.05, 1e-12);
  const Comparison under = Compared("coverage", all.Kept(), none.Kept()).value();
  EXPECT_NEAR(std::reduce(under.gain.begin(), under.gain.end()) / 4, 0.8 - 0.2, 1e-12);
}

// Too little on our side: a row that is covered is a gain.
TEST(Coverage, GainsByARowAreTowardsTheNominal) {
  KeptNumbers ours, theirs;
  ours.quantiles = {-9, 9, 8, 9, 8, 9, 8, 9};
  theirs.quantiles = {-9, 9, -9, 9, -9, 9, -9, 9};
  const Comparison comparison = Compared("coverage", ours.Kept(), theirs.Kept()).value();
  EXPECT_GT(comparison.gain[0], comparison.gain[1]);
}

TEST(Coverage, TakesBothEndsOfTheIntervalIn) {
  KeptNumbers ends;
  ends.quantiles = {1, 2, 1, 2, -3, -3, 3.9, 3.99};
  EXPECT_EQ(Figured("coverage", ends.Kept())->value, 0.75);
}

TEST(Coverage, KeepsItsSpreadWhenItIsAtTheNominal) {
  KeptNumbers ours, theirs;
  ours.levels = theirs.levels = {0.25, 0.75};
  ours.quantiles = {-9, 9, -9, 9, 8, 9, 8, 9};
  theirs.quantiles = {8, 9, 8, 9, -9, 9, -9, 9};
  EXPECT_THAT(Compared("coverage", ours.Kept(), theirs.Kept())->gain, ElementsAre(-1, -1, 1, 1));
}

TEST(OrientedDifference, IsPositiveWhenTheCandidateIsBetter) {
  EXPECT_EQ(OrientedDifference(Goal::kHigher, 3, 2), 1);
  EXPECT_EQ(OrientedDifference(Goal::kLower, 3, 2), -1);
  EXPECT_NEAR(OrientedDifference(Goal::kNominal, 0.85, 0.7, 0.8), 0.05, 1e-15);
}

}  // namespace
}  // namespace ratchet::gate
