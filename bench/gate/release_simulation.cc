// release_simulation: canaries whose truth is known, watched at every request. How often one that is as good as live is rolled
// back, how soon one that is worse is found, beside what a test of one look at a fixed time needs, and what peeking with that
// test does. Prints Markdown; `--json` the figures alone.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <thread>

#include "bench/gate/trials.h"
#include "gate/release_watch.h"

namespace ratchet::bench {
namespace {

struct Settings {
  Run run;
  int trials = 1'000;
  std::int64_t requests = 100'000;  // of both arms, after which a watch without a finding ends
  double share = 0.1;
  bool json = false;
};

// What is watched: failures, slow answers (the 99th percentile), or right answers by feedback.
enum class Of { kErrors, kLatency, kMetric };
struct Truth {
  const char* name;
  Of of;
  double live = 0, candidate = 0;  // rate of failures, of slow answers, of right answers
  double limit = 0;
};

constexpr Truth kSame[] = {{"failures, 2 % in both", Of::kErrors, 0.02, 0.02, 0},
                           {"failures, 2 % in both, limit 1 %", Of::kErrors, 0.02, 0.02, 0.01},
                           {"failures, 1 % in both, limit 1 %", Of::kErrors, 0.01, 0.01, 0.01},
                           {"slow answers, 1 % in both", Of::kLatency, 0.01, 0.01, 0.01},
                           {"right answers, 90 % in both", Of::kMetric, 0.9, 0.9, 0},
                           {"right answers, 50 % in both", Of::kMetric, 0.5, 0.5, 0}};
constexpr Truth kWorse[] = {{"failures, 1 % to 3 %", Of::kErrors, 0.01, 0.03, 0.01},
                            {"failures, 2 % to 4 %", Of::kErrors, 0.02, 0.04, 0},
                            {"failures, 10 % to 12 %", Of::kErrors, 0.10, 0.12, 0},
                            {"slow answers, 1 % to 3 %", Of::kLatency, 0.01, 0.03, 0.01},
                            {"right answers, 90 % to 88 %", Of::kMetric, 0.90, 0.88, 0}};

double Uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

struct Found {
  std::int64_t ours = 0;     // requests at which harm was proven; 0: never
  std::int64_t peeking = 0;  // the same for a fixed-time z test that is looked at as often
};

gate::ArmCounts CountsOf(const Truth& truth, gate::Hits hits) {
  gate::ArmCounts counts{.requests = hits.trials, .errors = truth.of == Of::kErrors ? hits.hits : 0, .unkeyed = hits.trials};
  if (truth.of == Of::kLatency) counts.latencies = {{10'000, hits.trials - hits.hits}, {50'000, 0}, {90'000, hits.hits}};
  return counts;
}

// Right answers are counted, so that a look costs the same however many there were: the bounds are those of the watch.
bool DropIsProven(const Truth& truth, gate::Hits candidate, gate::Hits live, double level) {
  return gate::RateBounds(live, level / 2).low - gate::RateBounds(candidate, level / 2).high > truth.limit;
}

bool IsHarm(const Truth& truth, double share, gate::Hits candidate, gate::Hits live) {
  if (truth.of == Of::kMetric) return DropIsProven(truth, candidate, live, 0.05);
  gate::WatchLimits limits{.error_rate = truth.of == Of::kErrors ? truth.limit : 0};
  if (truth.of == Of::kLatency) limits.p99_latency_us = 50'000, limits.alpha = 0.1;  // two signals: 0.05 for this one
  const gate::WatchedStep step{.share = share, .candidate = CountsOf(truth, candidate), .live = CountsOf(truth, live)};
  return gate::JudgeWatch(limits, {&step, 1}, {}).Harmful();
}

double Rate(gate::Hits hits) { return static_cast<double>(hits.hits) / static_cast<double>(std::max<std::int64_t>(hits.trials, 1)); }

bool NaiveHarm(const Truth& truth, gate::Hits candidate, gate::Hits live) {
  if (candidate.trials < 100) return false;
  const double pooled = static_cast<double>(candidate.hits + live.hits) / static_cast<double>(candidate.trials + live.trials);
  const double error = std::sqrt(pooled * (1 - pooled) * (1.0 / static_cast<double>(candidate.trials) + 1.0 / static_cast<double>(live.trials)));
  const double worse = truth.of == Of::kMetric ? Rate(live) - Rate(candidate) : Rate(candidate) - Rate(live);
  return error > 0 && worse / error > 1.6449;
}

// Evidence can only turn where something happened; the other requests are passed over, which changes no finding.
Found Watch(const Settings& settings, const Truth& truth, std::mt19937_64& random) {
  gate::Hits candidate, live;
  Found found;
  for (std::int64_t i = 1; i <= settings.requests; ++i) {
    const bool mine = Uniform(random) < settings.share;
    gate::Hits& arm = mine ? candidate : live;
    const bool hit = Uniform(random) < (mine ? truth.candidate : truth.live);
    ++arm.trials;
    arm.hits += hit ? 1 : 0;
    // Harm rests on a failure of the candidate (a wrong answer, where right ones are counted).
    const bool may_turn = truth.of == Of::kMetric ? mine && !hit : mine && hit;
    if (!may_turn) continue;
    if (found.peeking == 0 && NaiveHarm(truth, candidate, live)) found.peeking = i;
    if (!IsHarm(truth, settings.share, candidate, live)) continue;
    found.ours = i;
    break;
  }
  return found;
}

// Requests in all that a one-sided z test of one look needs for this truth, at α 0.05 and power 0.8.
double FixedRequests(const Settings& settings, const Truth& truth) {
  const double difference = truth.candidate - truth.live;
  const double variance = truth.candidate * (1 - truth.candidate) / settings.share + truth.live * (1 - truth.live) / (1 - settings.share);
  return std::pow((1.6449 + 0.8416) / difference, 2) * variance;
}

nlohmann::json Simulate(const Settings& settings, const Truth& truth, std::uint64_t stream) {
  const auto found = RunTrials(settings.run, stream, settings.trials, [&](std::mt19937_64& random) { return Watch(settings, truth, random); });
  std::vector<std::int64_t> when;
  std::int64_t ours = 0, peeking = 0;
  for (const Found& one : found) {
    ours += one.ours > 0 ? 1 : 0;
    peeking += one.peeking > 0 ? 1 : 0;
    when.push_back(one.ours > 0 ? one.ours : std::numeric_limits<std::int64_t>::max());
  }
  std::ranges::sort(when);
  const Share share = ShareOf(ours, settings.trials);
  nlohmann::json row = {{"truth", truth.name}, {"rolled_back", share.share}, {"upper_95", share.upper},
                        {"peeking_z_test", ShareOf(peeking, settings.trials).share}};
  if (truth.live == truth.candidate) return row;
  const auto at = [&](double q) { return when[static_cast<size_t>(q * static_cast<double>(when.size() - 1))]; };
  const auto shown = [](std::int64_t n) { return n == std::numeric_limits<std::int64_t>::max() ? nlohmann::json() : nlohmann::json(n); };
  row["median_requests"] = shown(at(0.5));
  row["p80_requests"] = shown(at(0.8));
  row["fixed_requests"] = std::llround(FixedRequests(settings, truth));
  return row;
}

void Print(const nlohmann::json& rows, bool same) {
  std::puts(same ? "| canaries as good as live | rolled back | upper 95 % | z test peeked at |\n| --- | --- | --- | --- |"
                 : "| worse canaries | found | median requests | 80 % by | one look at a fixed time |\n| --- | --- | --- | --- | --- |");
  for (const auto& row : rows) {
    if (same)
      std::printf("| %s | %.4f | %.4f | %.3f |\n", row["truth"].get<std::string>().c_str(), row["rolled_back"].get<double>(),
                  row["upper_95"].get<double>(), row["peeking_z_test"].get<double>());
    else
      std::printf("| %s | %.3f | %s | %s | %s |\n", row["truth"].get<std::string>().c_str(), row["rolled_back"].get<double>(),
                  row["median_requests"].dump().c_str(), row["p80_requests"].dump().c_str(), row["fixed_requests"].dump().c_str());
  }
  std::puts("");
}

}  // namespace
}  // namespace ratchet::bench

int main(int argc, char** argv) {
  using namespace ratchet::bench;
  Settings settings;
  settings.run.threads = std::max(1u, std::thread::hardware_concurrency());
  CLI::App app{"What the watch of a release promises, measured on canaries whose truth is known"};
  app.add_option("--seed", settings.run.seed);
  app.add_option("--trials", settings.trials)->check(CLI::PositiveNumber);
  app.add_option("--requests", settings.requests)->check(CLI::PositiveNumber);
  app.add_option("--share", settings.share)->check(CLI::Range(0.001, 0.999));
  app.add_option("--threads", settings.run.threads)->check(CLI::PositiveNumber);
  app.add_flag("--json", settings.json);
  CLI11_PARSE(app, argc, argv);
  nlohmann::json same = nlohmann::json::array(), worse = nlohmann::json::array();
  std::uint64_t stream = 0;
  for (const Truth& truth : kSame) same.push_back(Simulate(settings, truth, ++stream));
  for (const Truth& truth : kWorse) worse.push_back(Simulate(settings, truth, ++stream));
  if (settings.json) {
    std::puts(nlohmann::json{{"alpha", 0.05}, {"share", settings.share}, {"same", same}, {"worse", worse}}.dump().c_str());
    return 0;
  }
  Print(same, true);
  Print(worse, false);
  return 0;
}
