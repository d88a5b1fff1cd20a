#include "gate/jackknife.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace ratchet::gate {
namespace {

struct Data {
  std::vector<double> candidate, opponent;
  std::vector<std::uint64_t> group;
};

Data SquaredErrors(int rows, std::uint64_t groups) {
  std::mt19937_64 random(12);
  std::normal_distribution<double> normal;
  Data data;
  std::vector<double> level(groups);
  for (double& l : level) l = std::exp(0.5 * normal(random));
  for (int i = 0; i < rows; ++i) {
    data.group.push_back(random() % groups);
    double scale = level[data.group.back()];
    data.candidate.push_back(scale * std::pow(normal(random), 2));
    data.opponent.push_back(scale * 1.1 * std::pow(normal(random), 2));
  }
  return data;
}

double RootMeanWithout(const std::vector<double>& values, const Data& data, std::uint64_t left_out) {
  double sum = 0, count = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (data.group[i] == left_out) continue;
    sum += values[i];
    count += 1;
  }
  return std::sqrt(sum / count);
}

std::vector<double> RootGains(const Data& data) {
  constexpr std::uint64_t kNone = ~0ULL;
  double c = RootMeanWithout(data.candidate, data, kNone), o = RootMeanWithout(data.opponent, data, kNone);
  std::vector<double> gain;
  for (size_t i = 0; i < data.candidate.size(); ++i)
    gain.push_back(data.opponent[i] / (2 * o) + o / 2 - data.candidate[i] / (2 * c) - c / 2);
  return gain;
}

TEST(CheckInfluence, AgreesOnTheInfluenceOfARootMeanSquare) {
  Data data = SquaredErrors(3'000, 150);
  auto check = CheckInfluence(RootGains(data), data.group, [&](std::uint64_t g) {
    return RootMeanWithout(data.opponent, data, g) - RootMeanWithout(data.candidate, data, g);
  });
  ASSERT_TRUE(check);
  EXPECT_NEAR(check->ratio, 1, 0.03);
  EXPECT_GT(check->jackknife_error, 0);
}

TEST(CheckInfluence, ShowsWrongInfluenceValues) {
  Data data = SquaredErrors(3'000, 150);
  std::vector<double> wrong = RootGains(data);
  for (double& gain : wrong) gain *= 2;
  auto check = CheckInfluence(wrong, data.group, [&](std::uint64_t g) {
    return RootMeanWithout(data.opponent, data, g) - RootMeanWithout(data.candidate, data, g);
  });
  EXPECT_NEAR(check->ratio, 2, 0.06);
}

TEST(CheckInfluence, IsExactForTheMeanOfEqualGroups) {
  std::vector<double> gain = {1, 2, 4, 8, 16, 32};
  std::vector<std::uint64_t> group = {0, 0, 1, 1, 2, 2};
  auto check = CheckInfluence(gain, group, [&](std::uint64_t g) {
    double sum = 0;
    for (size_t i = 0; i < gain.size(); ++i) sum += group[i] == g ? 0 : gain[i];
    return sum / 4;
  });
  EXPECT_NEAR(check->ratio, 1, 1e-12);
}

TEST(CheckInfluence, RefusesWhatHasNoJackknife) {
  std::vector<double> gain = {1, 2};
  std::vector<std::uint64_t> one = {4, 4}, two = {4, 5};
  EXPECT_FALSE(CheckInfluence(gain, one, [](std::uint64_t) { return 1.0; }));
  EXPECT_FALSE(CheckInfluence(gain, two, [](std::uint64_t) { return std::nan(""); }));
  EXPECT_FALSE(CheckInfluence(gain, {}, [](std::uint64_t) { return 1.0; }));
}

}  // namespace
}  // namespace ratchet::gate
