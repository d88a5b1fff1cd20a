#include "pipeline/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <set>

namespace ratchet::pipeline {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// From YAML, as it stands below `train.sweep:`.
Result<Sweep> FromText(const std::string& text) {
  auto tree = ParseYamlTree(text);
  if (!tree) return std::unexpected(tree.error());
  Faults faults;
  auto sweep = ReadSweep(faults, *tree, "train.sweep");
  if (!sweep) return std::unexpected(faults.ToError());
  EXPECT_TRUE(faults.Empty());
  return *sweep;
}

Sweep Parsed(const std::string& text) {
  auto sweep = FromText(text);
  EXPECT_TRUE(sweep) << sweep.error().Message();
  return sweep.value();
}

FieldError Refused(const std::string& text) {
  auto sweep = FromText(text);
  EXPECT_FALSE(sweep) << text;
  if (sweep) return {};
  EXPECT_EQ(sweep.error().code, ErrorCode::kInvalid);
  return sweep.error().details.empty() ? FieldError{} : sweep.error().details.front();
}

constexpr const char* kAll =
    "{learning_rate: {log: [1e-4, 1e-2]}, epochs: [3, 5, 8], dropout: {uniform: [0, 0.5]}, width: {int: [16, 256]}, "
    "layers: {log_int: [1, 64]}, trials: 8, parallel: 2, search: random, prune: asha, seed: 7}";

TEST(Sweep, ReadsEveryKindOfSpace) {
  Sweep sweep = Parsed(kAll);
  using Kind = SearchSpace::Kind;
  EXPECT_EQ(sweep.params.at("learning_rate"), (SearchSpace{.kind = Kind::kLog, .low = 1e-4, .high = 1e-2}));
  EXPECT_EQ(sweep.params.at("epochs"), (SearchSpace{.kind = Kind::kList, .list = {3, 5, 8}}));
  EXPECT_EQ(sweep.params.at("dropout"), (SearchSpace{.kind = Kind::kUniform, .low = 0, .high = 0.5}));
  EXPECT_EQ(sweep.params.at("width"), (SearchSpace{.kind = Kind::kInt, .low = 16, .high = 256}));
  EXPECT_EQ(sweep.params.at("layers"), (SearchSpace{.kind = Kind::kLogInt, .low = 1, .high = 64}));
  EXPECT_EQ(sweep.params.size(), 5u);
  EXPECT_EQ(sweep.trials, 8);
  EXPECT_EQ(sweep.parallel, 2);
  EXPECT_EQ(sweep.search, Sweep::Search::kRandom);
  EXPECT_EQ(sweep.prune, Sweep::Prune::kAsha);
  EXPECT_EQ(sweep.seed, 7u);
}

TEST(Sweep, IsTheSameAfterJson) {
  for (const char* text : {kAll, "{epochs: [3, 5]}", "{a: [x, true, 1, 1.5], b: {log: [1, 100], points: 3}}",
                           "{a: {int: [-9007199254740992, 9007199254740992]}, trials: 3}",
                           "{a: {uniform: [-0.1, 1e300]}, trials: 256, parallel: 16, seed: 18446744073709551615}"}) {
    Sweep sweep = Parsed(text);
    json written = SweepToJson(sweep);
    auto again = SweepFromJson(json::parse(written.dump()));
    ASSERT_TRUE(again) << again.error().Message();
    EXPECT_EQ(*again, sweep) << text;
    EXPECT_EQ(SweepToJson(*again), written);
  }
  EXPECT_EQ(SweepToJson(Parsed("{epochs: [3, 5]}")).dump(),
            R"({"epochs":[3,5],"parallel":1,"prune":"none","search":"grid","trials":2})");
}

TEST(Sweep, ChoosesAGridForListsWithoutTrialsElseRandom) {
  EXPECT_EQ(Parsed("{a: [1, 2], b: {log: [1, 10], points: 4}}").search, Sweep::Search::kGrid);
  EXPECT_EQ(Parsed("{a: [1, 2], b: {log: [1, 10], points: 4}}").trials, 8);
  EXPECT_EQ(Parsed("{a: [1, 2], trials: 2}").search, Sweep::Search::kRandom);
  EXPECT_EQ(Parsed("{a: [1, 2], trials: 2, search: grid}").search, Sweep::Search::kGrid);
}

struct Fault {
  std::string text, field, detail;
};

TEST(Sweep, SaysWhichFieldIsWrong) {
  const Fault faults[] = {
      {"[1, 2]", "train.sweep", "must be a map"},
      {"{trials: 3}", "train.sweep", "must name 1 to 32 parameters"},
      {"{a: [1], trails: 8}", "train.sweep.trails", "did you mean 'trials'?"},
      {"{a: []}", "train.sweep.a", "1 to 256 values"},
      {"{a: [1, [2]]}", "train.sweep.a[1]", "must be a number, text, true or false, not a list"},
      {"{a: [1, .nan]}", "train.sweep.a[1]", "must be a number"},
      {"{a: [1, null]}", "train.sweep.a[1]", "not nothing"},
      {"{a: [3, 5, 3.0]}", "train.sweep.a[2]", "twice"},
      {"{a: {lgo: [1, 2]}, trials: 1}", "train.sweep.a.lgo", "did you mean 'log'?"},
      {"{a: {log: [1, 2], int: [1, 2]}, trials: 1}", "train.sweep.a", "not two of them"},
      {"{a: {points: 3}, trials: 1}", "train.sweep.a", "must be a list of values, or one of"},
      {"{a: {log: [0, 1]}, trials: 1}", "train.sweep.a.log", "above 0"},
      {"{a: {log: [1]}, trials: 1}", "train.sweep.a.log", "two numbers"},
      {"{a: {log: [1, x]}, trials: 1}", "train.sweep.a.log", "two numbers"},
      {"{a: {uniform: [1, 1]}, trials: 1}", "train.sweep.a.uniform", "the first below the second"},
      {"{a: {uniform: [-1e308, 1e308]}, trials: 1}", "train.sweep.a.uniform", "more than a number can hold"},
      {"{a: {uniform: [0, .inf]}, trials: 1}", "train.sweep.a.uniform", "two numbers"},
      {"{a: {int: [1, 2.5]}, trials: 1}", "train.sweep.a.int", "two whole numbers"},
      {"{a: {int: [0, 18446744073709551615]}, trials: 1}", "train.sweep.a.int", "2^53"},
      {"{a: {log_int: [0, 8]}, trials: 1}", "train.sweep.a.log_int", "at 1 or above"},
      {"{a: {log: [1, 2], points: 1}, trials: 1}", "train.sweep.a.points", "from 2 to 256"},
      {"{a: {log: [1, 2]}}", "train.sweep.trials", "is missing"},
      {"{a: {log: [1, 2]}, trials: 0}", "train.sweep.trials", "from 1 to 256"},
      {"{a: {log: [1, 2]}, trials: 257}", "train.sweep.trials", "from 1 to 256"},
      {"{a: [1], trials: 1, parallel: 17}", "train.sweep.parallel", "from 1 to 16"},
      {"{a: [1], search: gird}", "train.sweep.search", "did you mean 'grid'?"},
      {"{a: [1], prune: 3}", "train.sweep.prune", "asha or none"},
      {"{a: [1], seed: -1}", "train.sweep.seed", "from 0"},
      {"{a: {int: [1, 9]}, search: grid}", "train.sweep.a", "points"},
      {"{a: [1, 2], search: grid, trials: 3}", "train.sweep.trials", "must be 2"},
      {"{a: {int: [1, 17], points: 17}, b: {int: [1, 16], points: 16}}", "train.sweep", "more than 256"},
      {"5", "train.sweep", "not '5'"},
  };
  for (const Fault& fault : faults) {
    FieldError error = Refused(fault.text);
    EXPECT_EQ(error.field, fault.field) << fault.text;
    EXPECT_THAT(error.detail, HasSubstr(fault.detail)) << fault.text;
  }
}

TEST(Sweep, FindsEveryFaultWithItsLine) {
  auto sweep = FromText("rate: {log: [0, 1]}\nwidth: wide\nparallel: 0\ntrials: 4\n");
  ASSERT_FALSE(sweep);
  ASSERT_EQ(sweep.error().details.size(), 3u);
  EXPECT_EQ(sweep.error().details[0].field, "train.sweep.rate.log");
  EXPECT_EQ(sweep.error().details[0].line, 1);
  EXPECT_EQ(sweep.error().details[1].line, 2);
  EXPECT_EQ(sweep.error().details[2].line, 3);
  auto relative = SweepFromJson({{"rate", {{"log", {0, 1}}}}, {"trials", 4}});
  ASSERT_FALSE(relative);
  EXPECT_EQ(relative.error().field, "rate.log");
}

TEST(Sweep, TriesAllCombinationsOfAGridWithTheLastChangingFastest) {
  EXPECT_THAT(Trials(Parsed("{b: [x, y], a: [1, 2]}"), 0),
              ElementsAre(json{{"a", 1}, {"b", "x"}}, json{{"a", 1}, {"b", "y"}}, json{{"a", 2}, {"b", "x"}},
                          json{{"a", 2}, {"b", "y"}}));
}

TEST(Sweep, SpacesPointsEvenly) {
  EXPECT_THAT(*FiniteValues(Parsed("{a: {log: [1e-4, 1e-2], points: 3}}").params.at("a")),
              ElementsAre(1e-4, 1e-3, 1e-2));
  EXPECT_THAT(*FiniteValues(Parsed("{a: {uniform: [0, 0.3], points: 4}}").params.at("a")),
              ElementsAre(0.0, 0.1, 0.2, 0.3));
  EXPECT_THAT(*FiniteValues(Parsed("{a: {log_int: [1, 64], points: 4}}").params.at("a")), ElementsAre(1, 4, 16, 64));
  EXPECT_THAT(*FiniteValues(Parsed("{a: {int: [1, 3], points: 9}}").params.at("a")), ElementsAre(1, 2, 3));
  EXPECT_FALSE(FiniteValues(Parsed("{a: {int: [1, 3]}, trials: 2}").params.at("a")));
}

// Frozen: if this changes, every sweep of every user gives other trials on the next version.
TEST(Sweep, GivesTheTrialsItAlwaysGave) {
  std::vector<json> trials = Trials(Parsed(kAll), 1);
  ASSERT_EQ(trials.size(), 8u);
  EXPECT_EQ(trials[0].dump(),
            R"({"dropout":0.194914874,"epochs":3,"layers":42,"learning_rate":0.00146507746,"width":125})");
  EXPECT_EQ(trials[7].dump(),
            R"({"dropout":0.303385399,"epochs":3,"layers":49,"learning_rate":0.000263599293,"width":58})");
}

TEST(Sweep, DependsOnTheSeedOnly) {
  const std::string text = "{a: {uniform: [0, 1]}, trials: 16}";
  EXPECT_EQ(Trials(Parsed(text), 5), Trials(Parsed(text), 5));
  EXPECT_NE(Trials(Parsed(text), 5), Trials(Parsed(text), 6));
  Sweep own = Parsed("{a: {uniform: [0, 1]}, trials: 16, seed: 5}");
  EXPECT_EQ(Trials(own, 6), Trials(Parsed(text), 5)) << "the sweep's own seed goes first";
}

TEST(Sweep, StaysWithinTheBoundsAndReachesAllOfThem) {
  Sweep sweep =
      Parsed("{i: {int: [-2, 2]}, l: {log_int: [1, 9]}, r: {log: [1e-5, 1]}, u: {uniform: [-1, 1]}, trials: 256}");
  std::map<std::int64_t, int> ints, logs;
  int small = 0, negative = 0;
  for (const json& trial : Trials(sweep, 3)) {
    ++ints[trial["i"].get<std::int64_t>()];
    ++logs[trial["l"].get<std::int64_t>()];
    double r = trial["r"], u = trial["u"];
    ASSERT_TRUE(r >= 1e-5 && r <= 1 && u >= -1 && u <= 1);
    small += r < std::sqrt(1e-5);
    negative += u < 0;
  }
  EXPECT_EQ(ints.size(), 5u);
  EXPECT_EQ(ints.begin()->first, -2);
  EXPECT_EQ(ints.rbegin()->first, 2);
  for (auto [value, count] : ints) EXPECT_NEAR(count, 256 / 5, 30) << value;
  EXPECT_EQ(logs.begin()->first, 1);
  EXPECT_EQ(logs.rbegin()->first, 9);
  EXPECT_NEAR(logs[1], 256 * std::log(2) / std::log(10), 30);
  EXPECT_NEAR(small, 128, 40) << "half of a log space lies below its geometric middle";
  EXPECT_NEAR(negative, 128, 40);
}

TEST(Sweep, TriesNothingTwiceAndAllOfASmallSpace) {
  std::set<std::string> seen;
  for (const json& trial : Trials(Parsed("{a: [1, 2, 3], b: [x, y], trials: 200}"), 9)) seen.insert(trial.dump());
  EXPECT_EQ(Trials(Parsed("{a: [1, 2, 3], b: [x, y], trials: 200}"), 9).size(), 6u);
  EXPECT_EQ(seen.size(), 6u);
  EXPECT_EQ(Trials(Parsed("{a: {log_int: [1, 64]}, trials: 64}"), 9).size(), 64u);
  std::vector<json> all = Trials(Parsed("{a: {int: [1, 300]}, trials: 256}"), 9);
  EXPECT_EQ(std::set<json>(all.begin(), all.end()).size(), 256u);
}

}  // namespace
}  // namespace ratchet::pipeline
