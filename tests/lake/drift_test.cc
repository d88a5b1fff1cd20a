#include "lake/drift.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(PopulationStability, EqualsWhatWasComputedByHand) {
  // 2 · (10/31) · ln(20.5/10.5): ½ is added to each bin, 1 to each sum.
  EXPECT_NEAR(PopulationStability(std::vector<double>{10, 20}, std::vector<double>{20, 10}), 0.4316449219231515, 1e-14);
  EXPECT_NEAR(PopulationStability(std::vector<double>{100, 0, 50}, std::vector<double>{30, 40, 0}), 4.263119527162198,
              1e-13);
}

TEST(PopulationStability, IsZeroForEqualSharesAndSymmetric) {
  const std::vector<double> a{7, 1, 0, 12}, b{1, 9, 4, 0};
  EXPECT_EQ(PopulationStability(a, a), 0);
  EXPECT_DOUBLE_EQ(PopulationStability(a, b), PopulationStability(b, a));
  EXPECT_GT(PopulationStability(a, b), 1);
  EXPECT_EQ(PopulationStability(a, std::vector<double>{0, 0, 0, 0}), 0);
  EXPECT_EQ(PopulationStability({}, {}), 0);
}

TEST(PopulationStability, HasTheNoiseOfAChiSquare) {
  // 99 % quantiles of χ² from tables; Wilson and Hilferty's approximation is good to 1 %.
  const struct {
    int bins;
    double quantile;
  } cases[] = {{2, 6.6349}, {5, 13.2767}, {10, 21.6660}, {11, 23.2093}, {51, 76.1539}};
  for (const auto& c : cases) EXPECT_NEAR(PsiNoise(c.bins, 200, 50) / (c.quantile * 0.025), 1, 0.01) << c.bins;
  EXPECT_EQ(PsiNoise(1, 200, 50), 0);
}

TEST(PopulationStability, ExceedsItsNoiseAboutOnceInAHundredTimes) {
  std::mt19937_64 random(11);
  int exceeded = 0;
  constexpr int kTimes = 4'000;
  for (int i = 0; i < kTimes; ++i) {
    std::vector<double> before(10), now(10);
    for (int row = 0; row < 800; ++row) ++before[random() % 10];
    for (int row = 0; row < 400; ++row) ++now[random() % 10];
    exceeded += PopulationStability(before, now) > PsiNoise(10, 800, 400) ? 1 : 0;
  }
  EXPECT_GT(exceeded, kTimes / 200);
  EXPECT_LT(exceeded, kTimes / 50);
}

TEST(Ks, StatisticIsTheLargestDistance) {
  using V = std::vector<double>;
  EXPECT_EQ(KsStatistic(V{1, 2, 3}, V{1, 2, 3}), 0);
  EXPECT_EQ(KsStatistic(V{1, 2, 3}, V{4, 5}), 1);
  EXPECT_DOUBLE_EQ(KsStatistic(V{1, 3, 5, 7}, V{2, 4, 6, 8}), 0.25);
  EXPECT_DOUBLE_EQ(KsStatistic(V{1, 1, 1, 2}, V{1, 2, 2, 2}), 0.5);  // ties count at their end
  EXPECT_EQ(KsStatistic(V{}, V{1}), 0);
  EXPECT_EQ(KsStatistic(V{1}, V{1}), 0);
  EXPECT_EQ(KsStatistic(V{1}, V{2}), 1);
}

// By counting: the share of all orders of n and m values whose distance is at least d.
double CountedKsPValue(double d, int n, int m) {
  int all = 0, reached = 0;
  for (unsigned order = 0; order < 1u << (n + m); ++order) {
    if (std::popcount(order) != n) continue;
    std::vector<double> a, b;
    for (int i = 0; i < n + m; ++i) (order >> i & 1 ? a : b).push_back(i);
    ++all;
    reached += KsStatistic(a, b) >= d - 1e-12 ? 1 : 0;
  }
  return static_cast<double>(reached) / all;
}

TEST(Ks, PValueOfFewRowsIsExact) {
  EXPECT_DOUBLE_EQ(KsPValue(1, 5, 5), 1.0 / 126);  // as in the tables
  EXPECT_DOUBLE_EQ(KsPValue(0.8, 5, 5), 5.0 / 63);
  for (const auto& [n, m] : {std::pair(1, 1), std::pair(1, 6), std::pair(4, 6), std::pair(7, 5), std::pair(6, 6)}) {
    for (int reach = 0; reach <= n * m; ++reach) {
      const double d = static_cast<double>(reach) / (n * m);
      EXPECT_NEAR(KsPValue(d, n, m), CountedKsPValue(d, n, m), 1e-12) << n << " " << m << " " << d;
    }
  }
}

TEST(Ks, PValueOfManyRowsFollowsKolmogorov) {
  // Quantiles of Kolmogorov's law from tables: 1.2238, 1.3581, 1.6276 for 10 %, 5 %, 1 %.
  const double root = std::sqrt(4e6);
  for (const auto& [lambda, p] : {std::pair(1.2238, 0.10), std::pair(1.3581, 0.05), std::pair(1.6276, 0.01)}) {
    EXPECT_NEAR(KsPValue(lambda / root, 8'000'000, 8'000'000), p, 0.0005);
  }
  EXPECT_EQ(KsPValue(0, 8'000'000, 8'000'000), 1);
  EXPECT_LT(KsPValue(1, 8'000'000, 8'000'000), 1e-300);
}

TEST(Ks, PValueDoesNotJumpWhereCountingEnds) {
  for (double d : {0.03, 0.05, 0.07, 0.09}) {
    const double exact = KsPValue(d, 1'000, 1'000), limit = KsPValue(d, 1'000, 1'001);
    EXPECT_NEAR(limit / exact, 1, 0.1) << d;
  }
}

class DriftTest : public LakeTest {
 protected:
  Summary Of(const Schema& schema, const std::vector<Row>& rows) {
    auto summary = Summarise(WritePack("p", schema, rows));
    EXPECT_TRUE(summary.has_value());
    std::filesystem::remove(Path("p"));
    return *summary;
  }
  ColumnDrift Compare(ColumnType type, const std::vector<Value>& before, const std::vector<Value>& now) {
    auto rows = [](const std::vector<Value>& values) {
      std::vector<Row> made;
      for (const Value& value : values) made.push_back({value});
      return made;
    };
    const Schema schema{{{"c", type}}};
    return CompareSummaries(Of(schema, rows(before)), Of(schema, rows(now))).columns.at(0);
  }
  static std::vector<Value> Uniform(int count, double from, double to, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<Value> values;
    for (int i = 0; i < count; ++i)
      values.emplace_back(from + (to - from) * static_cast<double>(random() >> 11) * 0x1p-53);
    return values;
  }
  static std::vector<Value> Texts(const std::vector<std::pair<std::string, int>>& counts) {
    std::vector<Value> values;
    for (const auto& [text, count] : counts) values.insert(values.end(), static_cast<std::size_t>(count), text);
    return values;
  }
};

TEST_F(DriftTest, BinsNumbersByTheQuantilesOfTheReference) {
  // 1 to 100: each decile holds ten. Of 1 to 50 twice, the first five hold twenty each, and the others none.
  std::vector<Value> before, now;
  for (int i = 1; i <= 100; ++i) {
    before.emplace_back(static_cast<double>(i));
    now.emplace_back(static_cast<double>((i + 1) / 2));
  }
  const ColumnDrift drift = Compare(ColumnType::kReal, before, now);
  EXPECT_EQ(drift.kind, DriftKind::kNumeric);
  const double ten = 10.5 / 105, twenty = 20.5 / 105, none = 0.5 / 105;
  EXPECT_NEAR(drift.psi, 5 * (twenty - ten) * std::log(twenty / ten) + 5 * (none - ten) * std::log(none / ten), 1e-12);
  EXPECT_DOUBLE_EQ(*drift.ks, 0.5);
  EXPECT_LT(*drift.ks_p, 1e-10);
  EXPECT_GT(drift.psi, drift.psi_noise);
}

TEST_F(DriftTest, IsSmallForSamplesOfOneDistribution) {
  const ColumnDrift drift = Compare(ColumnType::kReal, Uniform(20'000, 0, 1, 1), Uniform(15'000, 0, 1, 2));
  EXPECT_LT(drift.psi, drift.psi_noise);
  EXPECT_LT(drift.psi_noise, 0.01);
  EXPECT_LT(*drift.ks, 0.03);
  EXPECT_GT(*drift.ks_p, 0.01);
}

TEST_F(DriftTest, SeesAShiftOfNumbers) {
  const ColumnDrift drift = Compare(ColumnType::kReal, Uniform(20'000, 0, 1, 1), Uniform(15'000, 0.3, 1.3, 2));
  EXPECT_NEAR(*drift.ks, 0.3, 0.03);
  EXPECT_GT(drift.psi, 0.25);
}

TEST_F(DriftTest, SeesAConstantThatChangesEitherWay) {
  const std::vector<Value> five(100, 5.0);
  EXPECT_LT(Compare(ColumnType::kReal, five, std::vector<Value>(70, 5.0)).psi, 1e-4);
  for (double other : {4.0, 6.0}) {
    const ColumnDrift drift = Compare(ColumnType::kReal, five, std::vector<Value>(70, other));
    EXPECT_GT(drift.psi, 5) << other;
    EXPECT_EQ(*drift.ks, 1);
  }
}

TEST_F(DriftTest, TakesFewIntegersAsCategoriesAndManyAsNumbers) {
  std::vector<Value> few, many, shifted;
  for (std::int64_t i = 0; i < 1'000; ++i) {
    few.emplace_back(i % 50);
    many.emplace_back(i);
    shifted.emplace_back(i + 5'000);
  }
  const ColumnDrift labels = Compare(ColumnType::kInteger, few, std::vector<Value>(500, std::int64_t{77}));
  EXPECT_EQ(labels.kind, DriftKind::kCategorical);
  EXPECT_THAT(labels.new_categories, ElementsAre("77"));
  EXPECT_EQ(labels.vanished_categories.size(), kCategoriesTold);
  const ColumnDrift numbers = Compare(ColumnType::kInteger, many, shifted);
  EXPECT_EQ(numbers.kind, DriftKind::kNumeric);
  EXPECT_EQ(*numbers.ks, 1);
  EXPECT_THAT(numbers.new_categories, IsEmpty());
}

TEST_F(DriftTest, CountsCategoriesAndNamesNewAndVanishedOnes) {
  const ColumnDrift drift = Compare(ColumnType::kText, Texts({{"a", 60}, {"b", 30}, {"c", 10}}),
                                    Texts({{"a", 30}, {"b", 30}, {"x", 15}, {"y", 25}}));
  EXPECT_EQ(drift.kind, DriftKind::kCategorical);
  EXPECT_THAT(drift.new_categories, ElementsAre("y", "x"));
  EXPECT_THAT(drift.vanished_categories, ElementsAre("c"));
  EXPECT_FALSE(drift.ks.has_value());
  // Bins a, b, c and all others.
  auto term = [](double was, double is) {
    const double p = (was + 0.5) / 102, q = (is + 0.5) / 102;
    return (q - p) * std::log(q / p);
  };
  EXPECT_NEAR(drift.psi, term(60, 30) + term(30, 30) + term(10, 0) + term(0, 40), 1e-12);
}

TEST_F(DriftTest, CountsMissingValuesAsABin) {
  std::vector<Value> before(100, 1.0), now(100, 1.0);
  std::fill_n(now.begin(), 40, kMissing);
  const ColumnDrift drift = Compare(ColumnType::kReal, before, now);
  EXPECT_EQ(drift.missing_before, 0);
  EXPECT_EQ(drift.missing_now, 0.4);
  const double p = 0.5 / 101, q = 40.5 / 101;
  EXPECT_NEAR(drift.psi, (q - p) * std::log(q / p) + (p - q) * std::log((1 - q) / (1 - p)), 1e-12);
  EXPECT_EQ(*drift.ks, 0);  // of the values that are there
}

TEST_F(DriftTest, HoldsWhereOneSideIsAllMissing) {
  const std::vector<Value> missing(50, kMissing), ones(50, 1.0);
  for (const auto& [before, now] : {std::pair(missing, ones), std::pair(ones, missing)}) {
    const ColumnDrift drift = Compare(ColumnType::kReal, before, now);
    EXPECT_GT(drift.psi, 5);
    EXPECT_TRUE(std::isfinite(drift.psi));
    EXPECT_FALSE(drift.ks.has_value());
  }
  EXPECT_EQ(Compare(ColumnType::kReal, missing, missing).psi, 0);
  EXPECT_EQ(Compare(ColumnType::kText, missing, missing).psi, 0);
  EXPECT_EQ(Compare(ColumnType::kInteger, missing, missing).psi, 0);
}

TEST_F(DriftTest, ComparesNothingWithNoRows) {
  for (ColumnType type : {ColumnType::kReal, ColumnType::kText, ColumnType::kInteger, ColumnType::kBlob}) {
    const ColumnDrift drift = Compare(type, {}, {});
    EXPECT_EQ(drift.kind, DriftKind::kEmpty);
    EXPECT_EQ(drift.psi, 0);
  }
  EXPECT_EQ(Compare(ColumnType::kReal, {}, {1.0}).kind, DriftKind::kEmpty);
  EXPECT_EQ(Compare(ColumnType::kReal, {1.0}, {}).kind, DriftKind::kEmpty);
}

TEST_F(DriftTest, DoesNotTakeOneRowForDrift) {
  const ColumnDrift drift = Compare(ColumnType::kReal, Uniform(1'000, 0, 1, 1), {Value(0.95)});
  EXPECT_GT(drift.psi, 0.1);
  EXPECT_LT(drift.psi, drift.psi_noise);
  EXPECT_GT(*drift.ks_p, 0.05);
}

TEST_F(DriftTest, PassesOverIdentifiersButNotOverCategoriesOfFewRows) {
  std::vector<Value> ids, others;
  for (int i = 0; i < 5'000; ++i) {
    ids.push_back("id-" + std::to_string(i));
    others.push_back("no-" + std::to_string(i));
  }
  const ColumnDrift drift = Compare(ColumnType::kText, ids, others);
  EXPECT_EQ(drift.kind, DriftKind::kIdentifier);
  EXPECT_EQ(drift.psi, 0);
  EXPECT_THAT(drift.new_categories, IsEmpty());
  EXPECT_EQ(Compare(ColumnType::kText, Texts({{"a", 1}, {"b", 1}}), Texts({{"c", 2}})).kind, DriftKind::kCategorical);
}

TEST_F(DriftTest, ComparesManyCategoriesByThoseThatBothCounted) {
  // 3,000 values, four rows each: 1,000 are counted, alike on both sides.
  std::vector<Value> before, now;
  for (int i = 0; i < 12'000; ++i) {
    before.push_back("v" + std::to_string(i % 3'000));
    now.push_back("v" + std::to_string(i % 3'100));
  }
  const ColumnDrift same = Compare(ColumnType::kText, before, before);
  EXPECT_EQ(same.kind, DriftKind::kCategorical);
  EXPECT_EQ(same.psi, 0);
  const ColumnDrift more = Compare(ColumnType::kText, before, now);
  EXPECT_LT(more.psi, more.psi_noise);
  EXPECT_THAT(more.vanished_categories, IsEmpty());
  ASSERT_FALSE(more.new_categories.empty());
  for (const std::string& text : more.new_categories) EXPECT_GE(std::stoi(text.substr(1)), 3'000);
  const ColumnDrift fewer = Compare(ColumnType::kText, now, before);
  EXPECT_THAT(fewer.new_categories, IsEmpty());
  EXPECT_EQ(fewer.vanished_categories.size(), std::min(kCategoriesTold, more.new_categories.size()));
}

TEST_F(DriftTest, SeesAChangeOfBrightness) {
  auto images = [](int count, char brightness) {
    std::vector<Value> made;
    for (int i = 0; i < count; ++i) made.push_back(std::string(16, static_cast<char>(brightness + i % 40)));
    return made;
  };
  EXPECT_LT(Compare(ColumnType::kBlob, images(400, 20), images(300, 20)).psi, 0.1);
  const ColumnDrift drift = Compare(ColumnType::kBlob, images(400, 20), images(300, 60));
  EXPECT_EQ(drift.kind, DriftKind::kNumeric);
  EXPECT_EQ(*drift.ks, 1);
}

TEST_F(DriftTest, NamesTheWorstColumnAndTheDifferencesOfTheSchema) {
  const Schema before{{{"a", ColumnType::kReal}, {"b", ColumnType::kReal}, {"gone"}, {"kind"}}};
  const Schema after{{{"kind", ColumnType::kReal}, {"b", ColumnType::kReal}, {"a", ColumnType::kReal}, {"new"}}};
  std::vector<Row> was, is;
  for (int i = 0; i < 500; ++i) {
    const double value = i;
    was.push_back({value, value, kMissing, kMissing});
    is.push_back({kMissing, value + 200, value + 50, kMissing});
  }
  const Summary reference = Of(before, was), now = Of(after, is);
  const Drift drift = CompareSummaries(reference, now);
  ASSERT_EQ(drift.columns.size(), 2u);
  EXPECT_EQ(drift.columns[static_cast<std::size_t>(drift.worst)].column, "b");
  EXPECT_GT(drift.columns[1].psi, drift.columns[0].psi);
  EXPECT_THAT(drift.schema_differences,
              ElementsAre("column 'gone' is gone", "column 'kind' holds real instead of text", "column 'new' is new"));
  const Drift only = CompareSummaries(reference, now, {"a", "nothing"});
  ASSERT_EQ(only.columns.size(), 1u);
  EXPECT_EQ(only.worst, 0);
  EXPECT_THAT(only.schema_differences, ElementsAre("there is no column 'nothing'"));
  const std::string json = DriftToJson(drift);
  EXPECT_THAT(json, HasSubstr(R"({"worst":"b","schema_differences":["column 'gone' is gone",)"));
  EXPECT_THAT(json, HasSubstr(R"({"column":"a","kind":"numeric","psi":)"));
}

TEST_F(DriftTest, HasNoWorstColumnWhereNothingMoved) {
  const Schema schema{{{"a", ColumnType::kReal}, {"t"}}};
  const Summary summary = Of(schema, {{1.0, std::string("x")}, {2.0, kMissing}});
  const Drift drift = CompareSummaries(summary, summary);
  EXPECT_EQ(drift.worst, -1);
  EXPECT_THAT(DriftToJson(drift), HasSubstr(R"({"worst":null,"schema_differences":[],"columns":[{)"));
  EXPECT_EQ(CompareSummaries(Summary{}, Summary{}).worst, -1);
}

}  // namespace
}  // namespace ratchet::lake
