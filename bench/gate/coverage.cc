#include "bench/gate/coverage.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <utility>

#include "bench/gate/metric_rows.h"
#include "gate/decision.h"
#include "gate/evaluate.h"

namespace ratchet::bench {
namespace {

using Random = std::mt19937_64;

struct Sample {
  gate::Comparison comparison;
  std::vector<std::uint64_t> group;
  std::vector<double> weight;
  std::vector<std::int64_t> time;
};

struct Source {
  std::string data;
  double truth = 0;
  std::function<Sample(Random&)> draw;
};

Sample Shares(int rows, double differing, double gain, Random& random) {
  Sample sample{.comparison = {.zero_one = true}};
  std::discrete_distribution<int> outcome({1 - differing, (differing + gain) / 2, (differing - gain) / 2});
  for (int i = 0; i < rows; ++i) {
    int drawn = outcome(random);
    sample.comparison.gain.push_back(drawn == 2 ? -1 : drawn);
  }
  return sample;
}

// Absolute errors of Student's t with 3 degrees; the candidate's are smaller by 5 %.
constexpr double kMeanHeavy = 2 * std::numbers::sqrt3 / std::numbers::pi;
Sample HeavyErrors(int rows, Random& random) {
  Sample sample;
  std::student_t_distribution<double> heavy(3);
  for (int i = 0; i < rows; ++i)
    sample.comparison.gain.push_back(std::fabs(heavy(random)) - 0.95 * std::fabs(heavy(random)));
  return sample;
}

// Small gains, rare large losses.
Sample SkewedErrors(int rows, Random& random) {
  Sample sample;
  std::lognormal_distribution<double> loss(0, 1);
  for (int i = 0; i < rows; ++i) sample.comparison.gain.push_back(-loss(random));
  return sample;
}

Sample Users(int users, bool zero_one, bool weighted, Random& random) {
  Sample sample{.comparison = {.zero_one = zero_one}};
  std::lognormal_distribution<double> size(1.5, 0.8);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  for (int user = 0; user < users; ++user) {
    double level = normal(random);
    int rows = 1 + static_cast<int>(size(random));
    for (int row = 0; row < rows; ++row) {
      double gain = level + normal(random);
      if (zero_one) gain = gain > 1.5 ? 1 : gain < -1.5 ? -1 : 0;
      sample.comparison.gain.push_back(gain);
      sample.group.push_back(static_cast<std::uint64_t>(user));
      if (weighted) sample.weight.push_back(0.2 + uniform(random));
    }
  }
  return sample;
}

Sample Forecasts(int steps, Random& random) {
  Sample sample;
  std::normal_distribution<double> normal;
  double before = normal(random), long_before = normal(random);
  for (int t = 0; t < steps; ++t) {  // three steps ahead: errors overlap over two
    double now = normal(random);
    sample.comparison.gain.push_back(now + before + long_before);
    sample.time.push_back(t);
    long_before = std::exchange(before, now);
  }
  return sample;
}

gate::Comparison Compared(const gate::Metric& metric, int rows, Random& random) {
  const std::int64_t classes = metric.needs == gate::Needs::kPositiveProbability ? 2 : 4;
  const PairedAnswers both = DrawAnswers(metric.needs, classes, rows, random);
  return gate::Compare(metric, both.candidate.Evidence(metric.needs, classes), both.live.Evidence(metric.needs, classes))
      .value();
}

// By so many rows that its own error is of no matter beside an interval of a few thousand.
double TrueDifference(const gate::Metric& metric, const Run& run) {
  constexpr int kParts = 16, kRows = 25'000;
  auto parts = RunTrials(run, 400, kParts, [&](Random& random) {
    gate::Comparison part = Compared(metric, kRows, random);
    return std::reduce(part.gain.begin(), part.gain.end()) / kRows;
  });
  return std::reduce(parts.begin(), parts.end()) / kParts;
}

std::vector<Source> MetricSources(const Run& run) {
  std::vector<Source> sources;
  for (const gate::Metric& known : gate::KnownMetrics()) {
    bool needs_cut_off = known.takes_cut_off == gate::CutOff::kRequired;
    gate::Metric metric = gate::ParseMetric(std::string(known.name) + (needs_cut_off ? "@3" : "")).value();
    double truth = TrueDifference(metric, run);
    for (int rows : {500, 2'000})
      sources.push_back({gate::MetricText(metric) + ", " + std::to_string(rows) + " rows", truth,
                         [=](Random& r) { return Sample{.comparison = Compared(metric, rows, r)}; }});
  }
  return sources;
}

std::vector<Source> Sources() {
  std::vector<Source> sources;
  for (int rows : {500, 2'000, 20'000}) {
    std::string n = std::to_string(rows) + " rows, ";
    sources.push_back({n + "0/1, 10 % differ", 0.01, [=](Random& r) { return Shares(rows, 0.1, 0.01, r); }});
    sources.push_back(
        {n + "heavy-tailed absolute errors", 0.05 * kMeanHeavy, [=](Random& r) { return HeavyErrors(rows, r); }});
    sources.push_back({n + "rare large losses", -std::exp(0.5), [=](Random& r) { return SkewedErrors(rows, r); }});
  }
  for (int users : {50, 200, 1'000}) {
    std::string n = std::to_string(users) + " users, ";
    sources.push_back({n + "unequal, any gains", 0, [=](Random& r) { return Users(users, false, false, r); }});
    sources.push_back({n + "unequal, 0/1", 0, [=](Random& r) { return Users(users, true, false, r); }});
    sources.push_back({n + "unequal and weighted", 0, [=](Random& r) { return Users(users, false, true, r); }});
  }
  for (int steps : {200, 1'000})
    sources.push_back({std::to_string(steps) + " times, 3 steps ahead", 0, [=](Random& r) { return Forecasts(steps, r); }});
  return sources;
}

struct Covered {
  bool shown = false, too_low = false, bound = false;
  std::string method;
};

Covered Look(const Source& source, Random& random) {
  Sample sample = source.draw(random);
  gate::Sampling sampling{sample.group, sample.weight, sample.time, sample.time.empty() ? 1 : 3};
  gate::Decision d = gate::Decide(sample.comparison, sampling, {}, {}, {.seed = random()}).value();
  return {d.interval_low <= source.truth && source.truth <= d.interval_high, d.interval_high < source.truth,
          d.lower_bound <= source.truth, d.interval_method};
}

std::vector<CoverageRow> Simulate(const Run& run, const std::vector<Source>& sources, std::uint64_t stream, int trials) {
  std::vector<CoverageRow> rows;
  for (const Source& source : sources) {
    auto covered = RunTrials(run, stream++, trials, [&](Random& random) { return Look(source, random); });
    CoverageRow row{.data = source.data, .method = covered.front().method, .trials = trials};
    auto share = [&](bool Covered::* what) {
      return static_cast<double>(std::ranges::count_if(covered, [&](const Covered& c) { return c.*what; })) / trials;
    };
    row.shown = share(&Covered::shown);
    row.too_low = share(&Covered::too_low);
    row.bound = share(&Covered::bound);
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

std::vector<CoverageRow> SimulateCoverage(const Run& run, int trials) { return Simulate(run, Sources(), 500, trials); }

std::vector<CoverageRow> SimulateMetricCoverage(const Run& run, int trials) {
  return Simulate(run, MetricSources(run), 600, trials);
}

}  // namespace ratchet::bench
