// Whatever the rows are like, there is an error in words or a decision that makes sense: every metric over degenerate rows,
// groups, weights and times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gate/decision.h"
#include "gate/evaluate.h"
#include "gate/slices.h"
#include "tests/gate/kept_rows.h"

namespace ratchet::gate {
namespace {

using testing::HasSubstr;
using testing::Not;
using Random = std::mt19937_64;

enum class Rows { kAny, kTied, kOneClass, kAllRight, kAllWrong, kHuge, kTiny };
constexpr Rows kAllRows[] = {Rows::kAny, Rows::kTied, Rows::kOneClass, Rows::kAllRight, Rows::kAllWrong, Rows::kHuge, Rows::kTiny};

// Targets by `targets`, so that both sides can have the same ones; answers by `answers`.
KeptClasses Classes(Rows kind, int rows, Random& targets, Random& answers) {
  KeptClasses kept;
  kept.target.clear(), kept.predicted.clear(), kept.target_probability.clear(), kept.predicted_probability.clear();
  kept.square_sum.clear(), kept.positive_probability.clear();
  for (int i = 0; i < rows; ++i) {
    std::int32_t target = kind == Rows::kOneClass ? 1 : static_cast<std::int32_t>(targets() % 2);
    std::int32_t predicted = static_cast<std::int32_t>(answers() % 2);
    if (kind == Rows::kTied) predicted = 0;
    if (kind == Rows::kAllRight) predicted = target;
    if (kind == Rows::kAllWrong) predicted = 1 - target;
    double share = kind == Rows::kTied ? 0.5 : 0.5 + static_cast<double>(answers() % 50) / 100;
    if (kind == Rows::kTiny) share = 1;
    kept.target.push_back(target);
    kept.predicted.push_back(predicted);
    kept.predicted_probability.push_back(share);
    kept.target_probability.push_back(predicted == target ? share : 1 - share);
    kept.square_sum.push_back(share * share + (1 - share) * (1 - share));
    kept.positive_probability.push_back(predicted == 1 ? share : 1 - share);
  }
  return kept;
}

KeptNumbers Numbers(Rows kind, int rows, Random& targets, Random& answers) {
  const double size = kind == Rows::kHuge ? 1e150 : kind == Rows::kTiny ? 1e-300 : 1;
  KeptNumbers kept;
  kept.target.clear(), kept.prediction.clear(), kept.scale.clear(), kept.quantiles.clear();
  for (int i = 0; i < rows; ++i) {
    double target = size * (kind == Rows::kTied ? 1 : 1 + static_cast<double>(targets() % 7));
    double error = size * (kind == Rows::kTied || kind == Rows::kAllWrong ? 1 : static_cast<double>(answers() % 5) - 2);
    if (kind == Rows::kAllRight) error = 0;
    kept.target.push_back(target);
    kept.prediction.push_back(target + error);
    kept.scale.push_back(size);
    kept.quantiles.push_back(target + error - size);
    kept.quantiles.push_back(target + error + size);
  }
  return kept;
}

KeptRankings Rankings(Rows kind, int rows, Random& targets, Random& answers) {
  KeptRankings kept;
  kept.ranked_ends.clear(), kept.ranked.clear(), kept.relevant_ends.clear(), kept.relevant.clear();
  for (int i = 0; i < rows; ++i) {
    std::vector<float> list = {1, 0, kind == Rows::kTied ? 0.0F : static_cast<float>(targets() % 3), 0};
    kept.relevant.insert(kept.relevant.end(), list.begin(), list.end());
    std::ranges::sort(list, std::greater());
    if (kind == Rows::kAllWrong) std::ranges::reverse(list);
    if (kind == Rows::kAny || kind == Rows::kOneClass) std::ranges::shuffle(list, answers);
    kept.ranked.insert(kept.ranked.end(), list.begin(), list.end());
    kept.ranked_ends.push_back(static_cast<std::int64_t>(kept.ranked.size()));
    kept.relevant_ends.push_back(static_cast<std::int64_t>(kept.relevant.size()));
  }
  return kept;
}

KeptTranscripts Transcripts(Rows kind, int rows, Random& targets, Random& answers) {
  const std::int32_t largest = kind == Rows::kHuge ? std::numeric_limits<std::int32_t>::max() : 10;
  KeptTranscripts kept;
  kept.word_edits.clear(), kept.words.clear(), kept.character_edits.clear(), kept.characters.clear();
  for (int i = 0; i < rows; ++i) {
    std::int32_t words = kind == Rows::kTiny ? 0 : kind == Rows::kHuge ? largest : static_cast<std::int32_t>(targets() % 10);
    std::int32_t edits = kind == Rows::kAllRight ? 0 : kind == Rows::kTied ? 1 : static_cast<std::int32_t>(answers() % 4);
    for (auto* of : {&kept.words, &kept.characters}) of->push_back(words);
    for (auto* of : {&kept.word_edits, &kept.character_edits}) of->push_back(kind == Rows::kAllWrong ? words : edits);
  }
  return kept;
}

// How the rows were sampled; made for `rows` rows.
struct Way {
  std::string name;
  std::vector<std::uint64_t> group;
  std::vector<double> weight;
  std::vector<std::int64_t> time;
  int horizon = 1;
  Sampling Of() const { return {group, weight, time, horizon}; }
};

std::vector<Way> AllWays(int rows, Random& random) {
  const auto n = static_cast<size_t>(rows);
  auto weights = [&](const std::string& name, auto of) {
    Way way{.name = name};
    for (size_t i = 0; i < n; ++i) way.weight.push_back(of(i));
    return way;
  };
  auto groups = [&](const std::string& name, auto of) {
    Way way{.name = name};
    for (size_t i = 0; i < n; ++i) way.group.push_back(of(i));
    return way;
  };
  auto times = [&](const std::string& name, int horizon, std::int64_t rows_a_time) {
    Way way{.name = name, .horizon = horizon};
    for (size_t i = 0; i < n; ++i) way.time.push_back(static_cast<std::int64_t>(i) / rows_a_time);
    return way;
  };
  Way both = groups("weights and groups", [](size_t i) { return i / 2; });
  both.weight = weights("", [&](size_t) { return static_cast<double>(random() % 3); }).weight;
  return {{.name = "plain"},
          both,
          groups("one group", [](size_t) { return 7; }),
          groups("all groups different", [](size_t i) { return i; }),
          groups("one large group", [](size_t i) { return i < 3 ? i : 9; }),
          weights("equal weights", [](size_t) { return 0.1; }),
          weights("no weights", [](size_t) { return 0; }),
          weights("a weight below 0", [](size_t i) { return i == 0 ? -1 : 1; }),
          weights("one weight", [](size_t i) { return i == 0; }),
          weights("one huge weight", [](size_t i) { return i == 0 ? 1e300 : 1; }),
          weights("one heavy weight", [](size_t i) { return i == 0 ? 1e17 : 1; }),
          weights("huge weights", [](size_t i) { return i % 2 == 0 ? 1e308 : 9e307; }),
          weights("tiny weights", [](size_t i) { return 5e-324 * static_cast<double>(1 + i % 2); }),
          times("times", 1, 1),
          times("two rows a time", 2, 2),
          times("one time", 1, 1'000'000),
          times("a long horizon", std::max(1, rows / 2), 1),
          times("too long a horizon", rows + 1, 1)};
}

constexpr Rule kRules[] = {{}, {.better_by = 0.01}, {.kind = RuleKind::kNotWorse, .margin = 0.02}, {.confidence = 0.5}};

void ExpectSound(const Decision& d, const Rule& rule) {
  SCOPED_TRACE(d.reason);
  for (double number : {d.candidate, d.opponent, d.difference, d.lower_bound, d.interval_low, d.interval_high, d.p_value})
    EXPECT_FALSE(std::isnan(number));
  EXPECT_TRUE(std::isfinite(d.difference));
  EXPECT_LE(d.interval_low, d.interval_high);
  EXPECT_GT(d.p_value, 0);
  EXPECT_LE(d.p_value, 1);
  EXPECT_EQ(d.promotes, d.p_value <= d.alpha);
  const double bar = rule.kind == RuleKind::kNotWorse ? -rule.margin : rule.better_by;
  EXPECT_EQ(d.promotes, d.lower_bound > bar);
  EXPECT_FALSE(d.promotes && d.test == "none");
  EXPECT_THAT(d.reason, Not(HasSubstr("nan")));
  EXPECT_GE(d.rows, d.units);
  EXPECT_GE(d.units, 1);
}

void ExpectSound(const SliceReport& report) {
  for (const SliceOutcome& slice : report.slices) {
    for (double number : {slice.difference, slice.interval_low, slice.interval_high, slice.p_worse, slice.p_adjusted})
      EXPECT_FALSE(std::isnan(number)) << slice.name;
    EXPECT_FALSE(std::isnan(slice.detectable_loss));
    EXPECT_GE(slice.p_adjusted, slice.p_worse);
    EXPECT_LE(slice.interval_low, slice.interval_high);
  }
  EXPECT_THAT(report.reason, Not(HasSubstr("nan")));
}

struct Outcomes {
  int decided = 0, refused = 0;
};

void JudgeInAllWays(const Metric& metric, Evidence candidate, Evidence live, int rows, Random& random, Outcomes& outcomes) {
  for (const Way& way : AllWays(rows, random)) {
    SCOPED_TRACE(MetricText(metric) + ", " + std::to_string(rows) + " rows, " + way.name);
    candidate.weight = live.weight = way.weight;
    auto comparison = Compare(metric, candidate, live);
    if (!comparison) {
      EXPECT_EQ(comparison.error().code, ErrorCode::kInvalid);
      EXPECT_FALSE(comparison.error().cause.empty());
      ++outcomes.refused;
      continue;
    }
    for (const Rule& rule : kRules) {
      auto decision = Decide(*comparison, way.Of(), rule, LookUnder(rule, 1), {.most_draws = 50'000});
      decision ? ++outcomes.decided : ++outcomes.refused;
      if (decision) ExpectSound(*decision, rule);
      else EXPECT_FALSE(decision.error().cause.empty());
    }
    std::vector<std::uint32_t> half, all;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(rows); ++i) (i % 2 == 0 ? half : all).push_back(i);
    all.insert(all.begin(), half.begin(), half.end());
    std::ranges::sort(all);
    std::vector<SliceInput> slices = {PickSlice("half", 0, *comparison, way.Of(), half),
                                      PickSlice("all", 0.01, *comparison, way.Of(), all),
                                      PickSlice("none", 0, *comparison, way.Of(), {})};
    if (auto report = JudgeSlices(slices, {.min_rows = 1, .shown = {.most_draws = 50'000}})) ExpectSound(*report);
  }
}

template <typename Draw>
void JudgeAll(const Draw& draw, std::vector<std::string> metrics) {
  for (const std::string& name : metrics) {
    const Metric metric = ParseMetric(name).value();
    Outcomes outcomes;
    for (int rows : {1, 2, 3, 8, 41})
      for (Rows kind : kAllRows) {
        SCOPED_TRACE(static_cast<int>(kind));
        const auto seed = static_cast<std::uint64_t>(rows);
        Random targets(seed), same(seed), random(seed + 1), other(seed + 2), ways(seed);
        const bool of_answers = kind == Rows::kAllRight || kind == Rows::kAllWrong;
        auto candidate = draw(kind, rows, targets, random), live = draw(of_answers ? Rows::kAny : kind, rows, same, other);
        JudgeInAllWays(metric, candidate.Kept(), live.Kept(), rows, ways, outcomes);
        auto equal = candidate;
        JudgeInAllWays(metric, candidate.Kept(), equal.Kept(), rows, ways, outcomes);
      }
    EXPECT_GT(outcomes.decided, 500) << name;
    EXPECT_GT(outcomes.refused, 50) << name;
  }
}

TEST(BadInput, OfClassesHasADefinedOutcome) {
  JudgeAll(Classes, {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "brier", "roc_auc", "pr_auc"});
}

TEST(BadInput, OfNumbersHasADefinedOutcome) {
  JudgeAll(Numbers, {"mae", "rmse", "wape", "mape", "smape", "mase", "pinball", "weighted_quantile_loss", "coverage"});
}

TEST(BadInput, OfRankingsHasADefinedOutcome) {
  JudgeAll(Rankings, {"ndcg@2", "mrr", "hit_rate@1", "recall@2"});
}

TEST(BadInput, OfTranscriptsHasADefinedOutcome) { JudgeAll(Transcripts, {"wer", "cer"}); }

}  // namespace
}  // namespace ratchet::gate
