#include "lake/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "lake/drift.h"
#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::HasSubstr;

class SummaryTest : public LakeTest {
 protected:
  static Schema AllTypes() {
    return {{{"n", ColumnType::kInteger}, {"x", ColumnType::kReal}, {"t"}, {"b", ColumnType::kBlob, {1, 2, 2}}}};
  }
  Summary Of(const std::string& name, const Schema& schema, const std::vector<Row>& rows) {
    auto summary = Summarise(WritePack(name, schema, rows));
    EXPECT_TRUE(summary.has_value()) << summary.error().Message();
    return *summary;
  }
  static std::map<std::string, std::int64_t> Counts(const ColumnSummary& column) {
    std::map<std::string, std::int64_t> counts;
    for (const Category& category : column.categories) counts[category.text] = category.rows;
    return counts;
  }
  static std::vector<double> Values(const ColumnSummary& column) {
    std::vector<double> values;
    for (const SampledValue& value : column.sample) values.push_back(value.value);
    std::sort(values.begin(), values.end());
    return values;
  }
};

TEST_F(SummaryTest, CountsEachKindOfColumn) {
  auto text = [](const char* s) { return std::string(s); };
  const Summary summary = Of("p", AllTypes(),
                             {{std::int64_t{3}, 1.5, text("a"), std::string("\x00\xff\x00\xff", 4)},
                              {std::int64_t{-1}, std::nan(""), text(""), std::string("\x01\x01\x01\x01", 4)},
                              {std::int64_t{3}, -2.5, kMissing, kMissing}});
  EXPECT_EQ(summary.rows, 3);
  ASSERT_EQ(summary.columns.size(), 4u);
  EXPECT_EQ(summary.schema(), AllTypes());
  const ColumnSummary &n = summary.columns[0], &x = summary.columns[1], &t = summary.columns[2],
                      &b = summary.columns[3];
  EXPECT_EQ(n.missing, 0);
  EXPECT_EQ(n.min, -1);
  EXPECT_EQ(n.max, 3);
  EXPECT_DOUBLE_EQ(n.mean, 5.0 / 3);
  EXPECT_EQ(Counts(n), (std::map<std::string, std::int64_t>{{"-1", 1}, {"3", 2}}));
  EXPECT_EQ(Values(n), (std::vector<double>{-1, 3, 3}));
  EXPECT_EQ(x.missing, 1);
  EXPECT_EQ(x.finite, 2);
  EXPECT_EQ(x.mean, -0.5);
  EXPECT_EQ(Values(x), (std::vector<double>{-2.5, 1.5}));
  EXPECT_TRUE(x.categories.empty());
  EXPECT_EQ(t.missing, 1);
  EXPECT_EQ(Counts(t), (std::map<std::string, std::int64_t>{{"", 1}, {"a", 1}}));
  EXPECT_TRUE(t.sample.empty());
  EXPECT_EQ(b.missing, 1);
  EXPECT_EQ(Values(b), (std::vector<double>{1, 127.5}));
}

TEST_F(SummaryTest, HoldsForNoRowsAndForNoValues) {
  const Summary empty = Of("e", AllTypes(), {});
  EXPECT_EQ(empty.rows, 0);
  const Summary missing = Of("m", AllTypes(), {{kMissing, kMissing, kMissing, kMissing}});
  for (const ColumnSummary& column : missing.columns) {
    EXPECT_EQ(column.missing, 1);
    EXPECT_EQ(column.finite, 0);
    EXPECT_TRUE(column.sample.empty() && column.categories.empty());
  }
  EXPECT_EQ(*Merge(empty, missing), missing);
  EXPECT_EQ(*Merge(Summary{}, missing), missing);
  for (const Summary& summary : {empty, missing, Summary{}}) {
    auto read = SummaryFromJson(SummaryToJson(summary));
    ASSERT_TRUE(read.has_value()) << read.error().Message();
    EXPECT_EQ(*read, summary);
  }
}

TEST_F(SummaryTest, KeepsInfinitiesAndHugeNumbersApart) {
  constexpr double kInf = std::numeric_limits<double>::infinity(), kMax = std::numeric_limits<double>::max();
  const Summary summary = Of("p", {{{"x", ColumnType::kReal}}}, {{kMax}, {-kInf}, {-kMax}, {kInf}, {kMax}});
  const ColumnSummary& x = summary.columns[0];
  EXPECT_EQ(x.finite, 3);
  EXPECT_EQ(x.min, -kMax);
  EXPECT_EQ(x.max, kMax);
  EXPECT_NEAR(x.mean / kMax, 1.0 / 3, 1e-12);
  EXPECT_EQ(x.sample.size(), 5u);
  EXPECT_EQ(*SummaryFromJson(SummaryToJson(summary)), summary);
}

TEST_F(SummaryTest, SamplesRowsEvenlyWhateverTheirValuesAndOrder) {
  // 20,000 rows in ascending order, of which one in two has the same value: a sample by value would keep all or none.
  const Schema schema{{{"x", ColumnType::kReal}}};
  std::vector<Row> rows;
  std::vector<double> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(i < 10'000 ? 0.0 : i);
    rows.push_back({all.back()});
  }
  const Summary summary = Of("p", schema, rows);
  const std::vector<double> sample = Values(summary.columns[0]);
  EXPECT_EQ(sample.size(), kSampleValues);
  // Without replacement: every value but 0 is there once at most.
  EXPECT_EQ(std::adjacent_find(std::upper_bound(sample.begin(), sample.end(), 0.0), sample.end()), sample.end());
  EXPECT_LT(KsStatistic(all, sample), 0.015);  // 1.6 / sqrt(8192) at the 1 % level, and less without replacement
  EXPECT_GT(KsStatistic(all, sample), 0);
  EXPECT_EQ(*Summarise(Path("p")), summary);
}

TEST_F(SummaryTest, MergesInAnyOrderToTheSame) {
  const Schema schema{{{"x", ColumnType::kReal}, {"t"}}};
  std::mt19937 random(3);
  std::vector<Summary> parts;
  for (const char* name : {"a", "b", "c"}) {
    std::vector<Row> rows;
    for (int i = 0; i < 6'000; ++i) {
      rows.push_back({static_cast<double>(random() % 1024), "v" + std::to_string(random() % 3'000)});
    }
    parts.push_back(Of(name, schema, rows));
  }
  EXPECT_EQ(*Merge(parts[0], parts[1]), *Merge(parts[1], parts[0]));
  Summary left = *Merge(*Merge(parts[0], parts[1]), parts[2]);
  Summary right = *Merge(parts[0], *Merge(parts[2], parts[1]));
  EXPECT_NEAR(left.columns[0].mean, right.columns[0].mean, 1e-9);
  right.columns[0].mean = left.columns[0].mean;
  EXPECT_EQ(left, right);
  EXPECT_EQ(left.rows, 18'000);
  EXPECT_EQ(left.columns[0].sample.size(), kSampleValues);
}

TEST_F(SummaryTest, CountsKeptValuesInFullAndPoolsTheRest) {
  const Schema schema{{{"t"}}};
  std::mt19937 random(5);
  std::map<std::string, std::int64_t> exact;
  for (const char* name : {"a", "b"}) {
    std::vector<Row> rows;
    for (int i = 0; i < 9'000; ++i) {
      // Values of very different frequency.
      const auto value = static_cast<int>(std::pow(4'000.0, static_cast<double>(random()) / 4294967296.0));
      rows.push_back({"v" + std::to_string(value)});
      ++exact[std::get<std::string>(rows.back()[0])];
    }
    WritePack(name, schema, rows);
  }
  ASSERT_GT(exact.size(), kCategories);
  ASSERT_TRUE(MergePacks({Path("a"), Path("b")}, Path("ab")).has_value());
  const ColumnSummary whole = Summarise(Path("ab"))->columns[0];
  const ColumnSummary merged = Merge(*Summarise(Path("a")), *Summarise(Path("b")))->columns[0];
  EXPECT_EQ(whole.categories.size(), kCategories);
  EXPECT_TRUE(whole.categories == merged.categories);
  EXPECT_EQ(whole.pooled, merged.pooled);
  std::int64_t counted = whole.pooled;
  for (const Category& category : whole.categories) {
    EXPECT_EQ(category.rows, exact[category.text]) << category.text;
    counted += category.rows;
  }
  EXPECT_EQ(counted, 18'000);
}

TEST_F(SummaryTest, KeepsLongAndDamagedTextsShortAndApart) {
  const std::string word = "äöü";
  std::string longest;
  while (longest.size() < 2'000) longest += word;
  const Summary summary = Of("p", {{{"t"}}}, {{longest + "1"}, {longest + "2"}, {std::string("\xff\xfe")}});
  ASSERT_EQ(summary.columns[0].categories.size(), 3u);
  for (const Category& category : summary.columns[0].categories) {
    EXPECT_LE(category.text.size(), kCategoryTextBytes);
    EXPECT_EQ(category.rows, 1);
  }
  EXPECT_EQ(*SummaryFromJson(SummaryToJson(summary)), summary);
}

TEST_F(SummaryTest, GivesWideTablesLessOfEach) {
  EXPECT_EQ(SampleLimit(0), kSampleValues);
  EXPECT_EQ(SampleLimit(128), kSampleValues);
  EXPECT_LE(SampleLimit(kMaxColumns) * kMaxColumns, kSampleValuesInAll);
  EXPECT_GT(SampleLimit(kMaxColumns), 500u);
  EXPECT_EQ(CategoryLimit(200), kCategories);
  EXPECT_GE(CategoryLimit(kMaxColumns), kMostValuesAsCategories);
}

TEST_F(SummaryTest, RefusesToMergeOtherSchemas) {
  const Summary a = Of("a", {{{"x", ColumnType::kReal}}}, {}), b = Of("b", {{{"x", ColumnType::kInteger}}}, {});
  auto merged = Merge(a, b);
  ASSERT_FALSE(merged.has_value());
  EXPECT_EQ(merged.error().code, ErrorCode::kInvalid);
}

TEST_F(SummaryTest, RefusesJsonThatIsNone) {
  const std::string sound = SummaryToJson(
      Of("p", {{{"x", ColumnType::kInteger}}}, {{std::int64_t{1}}, {std::int64_t{2}}, {std::int64_t{2}}}));
  ASSERT_TRUE(SummaryFromJson(sound).has_value());
  auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = sound;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), sound.substr(0, sound.size() / 2),
        changed("\"format\":1", "\"format\":2"), changed("\"rows\":3", "\"rows\":4"),
        changed("\"missing\":0", "\"missing\":9"), changed("\"missing\":0", "\"missing\":\"0\""),
        changed("\"pooled\":0", "\"pooled\":-1"), changed("\"sample\":\"", "\"sample\":\"AAAA"),
        changed("\"integer\"", "\"int\""), changed("\"categories\":[", "\"categories\":[[\"zz\",\"a\",1],")}) {
    auto read = SummaryFromJson(bad);
    ASSERT_FALSE(read.has_value()) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(SummaryTest, SaysWhyAPackCannotBeRead) { EXPECT_EQ(Summarise(Path("none")).error().code, ErrorCode::kNotFound); }

}  // namespace
}  // namespace ratchet::lake
