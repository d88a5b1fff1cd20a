// Every metric's figure, influence and comparison against what scikit-learn, SciPy and NumPy say of the same rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gate/delong.h"
#include "gate/evaluate.h"
#include "tests/gate/reference_cases.h"

namespace ratchet::gate {
namespace {

using reference::Case;

// By the case's weights, if it has any.
double Mean(const std::vector<double>& values, const Case& one) {
  const std::vector<double> weight = one.Has("weight") ? one.At("weight") : std::vector<double>(values.size(), 1);
  long double sum = 0, total = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<long double>(weight[i]) * values[i];
    total += weight[i];
  }
  return static_cast<double>(sum / total);
}

double Tolerance(double value, double relative) { return relative * std::max(1.0, std::abs(value)); }

class EveryMetric : public testing::TestWithParam<std::string> {
 protected:
  const Metric metric_ = ParseMetric(GetParam()).value();

  std::string Key(const std::string& kind, int side) const {
    return kind + "/" + GetParam() + "/" + std::to_string(side);
  }

  std::vector<const Case*> CasesWith(const std::string& kind) const {
    std::vector<const Case*> with;
    for (const Case& one : reference::Cases())
      if (one.Has(Key(kind, 0))) with.push_back(&one);
    return with;
  }
};

TEST_P(EveryMetric, HasTheFigureOfTheReference) {
  ASSERT_FALSE(CasesWith("figure").empty());
  for (const Case* one : CasesWith("figure")) {
    for (int side : {0, 1}) {
      auto figure = Evaluate(metric_, one->Side(side));
      ASSERT_TRUE(figure) << one->name() << ": " << figure.error().Message();
      const double expected = one->At(Key("figure", side))[0];
      EXPECT_NEAR(figure->value, expected, Tolerance(expected, 1e-9)) << one->name() << ", side " << side;
    }
  }
}

TEST_P(EveryMetric, InfluenceIsTheSlopeOfTheReferenceInTheRowsWeight) {
  ASSERT_FALSE(CasesWith("influence").empty());
  for (const Case* one : CasesWith("influence")) {
    for (int side : {0, 1}) {
      const auto& expected = one->At(Key("influence", side));
      const Figure figure = Evaluate(metric_, one->Side(side)).value();
      ASSERT_EQ(figure.influence.size(), expected.size());
      // Roots amplify what is left of the differences: an error of 1e-6 of the largest influence stays below any use.
      const double largest = std::abs(*std::ranges::max_element(expected, {}, [](double v) { return std::abs(v); }));
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(figure.influence[i], expected[i], 1e-9 + 1e-6 * largest)
            << one->name() << ", side " << side << ", row " << i;
    }
  }
}

TEST_P(EveryMetric, InfluenceHasTheMeanZero) {
  for (const Case* one : CasesWith("figure"))
    for (int side : {0, 1}) {
      const Figure figure = Evaluate(metric_, one->Side(side)).value();
      EXPECT_NEAR(Mean(figure.influence, *one), 0, Tolerance(figure.value, 1e-12)) << one->name() << ", side " << side;
    }
}

TEST_P(EveryMetric, GainsHaveTheOrientedDifferenceAsTheirMean) {
  for (const Case* one : CasesWith("figure")) {
    auto comparison = Compare(metric_, one->Side(0), one->Side(1));
    ASSERT_TRUE(comparison) << one->name() << ": " << comparison.error().Message();
    EXPECT_EQ(comparison->candidate, Evaluate(metric_, one->Side(0))->value);
    EXPECT_EQ(comparison->opponent, Evaluate(metric_, one->Side(1))->value);
    const double nominal = one->Has("levels") ? one->At("levels").back() - one->At("levels").front() : 0;
    const double difference = OrientedDifference(metric_.goal, comparison->candidate, comparison->opponent, nominal);
    EXPECT_NEAR(Mean(comparison->gain, *one), difference, Tolerance(difference, 1e-12)) << one->name();
  }
}

TEST_P(EveryMetric, GainsTurnTheirSignWhenTheSidesAreSwapped) {
  for (const Case* one : CasesWith("figure")) {
    const Comparison there = Compare(metric_, one->Side(0), one->Side(1)).value();
    const Comparison back = Compare(metric_, one->Side(1), one->Side(0)).value();
    for (size_t i = 0; i < there.gain.size(); ++i) EXPECT_NEAR(there.gain[i], -back.gain[i], 1e-12) << one->name();
  }
}

TEST_P(EveryMetric, GainsAreZeroAgainstItself) {
  for (const Case* one : CasesWith("figure"))
    EXPECT_THAT(Compare(metric_, one->Side(0), one->Side(0))->gain, testing::Each(0.0)) << one->name();
}

TEST_P(EveryMetric, GainsSpreadAsTheInfluencesOfTheTwoSidesDo) {
  for (const Case* one : CasesWith("influence")) {
    const Figure ours = Evaluate(metric_, one->Side(0)).value(), theirs = Evaluate(metric_, one->Side(1)).value();
    const Comparison comparison = Compare(metric_, one->Side(0), one->Side(1)).value();
    if (metric_.goal == Goal::kNominal) continue;  // each side has a sign of its own: Coverage in evaluate_test.cc
    if (metric_.aggregate == Aggregate::kOfSet) continue;  // about 0 by class: rare_classes_test.cc
    const double sign = metric_.goal == Goal::kHigher ? 1 : -1;
    const double difference = sign * (ours.value - theirs.value);
    for (size_t i = 0; i < comparison.gain.size(); ++i)
      EXPECT_NEAR(comparison.gain[i], difference + sign * (ours.influence[i] - theirs.influence[i]),
                  Tolerance(comparison.gain[i], 1e-12))
          << one->name() << ", row " << i;
  }
}

TEST_P(EveryMetric, IsRightOrWrongByRowForSharesOfRowsOnly) {
  const bool share =
      metric_.id == MetricId::kAccuracy || metric_.id == MetricId::kMicroF1 || metric_.id == MetricId::kHitRate;
  for (const Case* one : CasesWith("figure")) {
    const Comparison comparison = Compare(metric_, one->Side(0), one->Side(1)).value();
    EXPECT_EQ(comparison.zero_one, share) << one->name();
    if (comparison.zero_one) {
      EXPECT_THAT(comparison.gain, testing::Each(testing::AnyOf(-1.0, 0.0, 1.0))) << one->name();
    }
  }
}

// A metric that asks for a cut-off is tried at several; every metric of the table is here.
std::vector<std::string> AllMetrics() {
  std::vector<std::string> names;
  for (const Metric& metric : KnownMetrics()) {
    if (metric.takes_cut_off != CutOff::kRequired) names.emplace_back(metric.name);
    if (metric.takes_cut_off == CutOff::kNone) continue;
    for (const char* k : {"@1", "@3", "@10"}) names.push_back(std::string(metric.name) + k);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Gate, EveryMetric, testing::ValuesIn(AllMetrics()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '@', '_');
  return name;
});

TEST(Delong, VariancesAreThoseOfTheDefinition) {
  int seen = 0;
  for (const Case& one : reference::Cases()) {
    if (!one.Has("delong")) continue;
    ++seen;
    auto variances = Delong(one.Side(0), one.Side(1));
    ASSERT_TRUE(variances) << one.name() << ": " << variances.error().Message();
    const auto& expected = one.At("delong");
    EXPECT_NEAR(variances->candidate, expected[0], 1e-12) << one.name();
    EXPECT_NEAR(variances->opponent, expected[1], 1e-12) << one.name();
    EXPECT_NEAR(variances->covariance, expected[2], 1e-12) << one.name();
    EXPECT_NEAR(variances->difference, expected[3], 1e-12) << one.name();
    EXPECT_NEAR(variances->candidate_auc, one.At("figure/roc_auc/0")[0], 1e-9) << one.name();
    EXPECT_NEAR(variances->opponent_auc, one.At("figure/roc_auc/1")[0], 1e-9) << one.name();
  }
  EXPECT_GE(seen, 4);
}

}  // namespace
}  // namespace ratchet::gate
