#include "bench/gate/sequences.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "gate/alpha_ledger.h"
#include "gate/decision.h"
#include "gate/paired_tests.h"

namespace ratchet::bench {
namespace {

constexpr double kAccuracy = 0.8;
constexpr double kChildDiffers = 0.06;
constexpr int kSweepTrials = 10;

struct Outcome {
  int promotions = 0;
  double imaginary_gain = 0;
};

struct Counts {
  std::int64_t wins = 0, losses = 0;
};

bool PassesLadder(double gain, double variance, std::int64_t rows) {
  return gain > std::sqrt(variance / static_cast<double>(rows));
}

bool PassesMcnemar(const Counts& c, std::int64_t rows, double level) {
  // Far from any level that is asked here; spares the binomial tail.
  double z = static_cast<double>(c.wins - c.losses) / std::sqrt(static_cast<double>(c.wins + c.losses));
  return z > 1.2 && gate::McnemarP({rows, c.wins, c.losses}) <= level;
}

bool Promotes(Gate gate, const Counts& c, std::int64_t look, const NullPlan& plan) {
  double n = static_cast<double>(plan.rows), gain = static_cast<double>(c.wins - c.losses) / n;
  switch (gate) {
    case Gate::kNaive:
      return c.wins > c.losses;
    case Gate::kFixed:
      return PassesMcnemar(c, plan.rows, plan.alpha);
    case Gate::kLadder:
      return PassesLadder(gain, static_cast<double>(c.wins + c.losses) / n - gain * gain, plan.rows);
    case Gate::kOurs:
    case Gate::kOursUncharged:
    case Gate::kOursUngrouped:
      return PassesMcnemar(c, plan.rows, gate::LevelOfLook(plan.alpha, look));
  }
  return false;
}

// Rows by whether the live version (first) and the candidate before (second) are right. Given these counts the next
// candidate's wins and losses are binomial, so that no row need be drawn.
struct Table {
  std::int64_t right_right = 0, right_wrong = 0, wrong_right = 0, wrong_wrong = 0;
  std::int64_t LiveRight() const { return right_right + right_wrong; }
  std::int64_t LiveWrong() const { return wrong_right + wrong_wrong; }
};

Counts Independent(const Table& t, std::mt19937_64& random) {
  return {DrawBinomial(t.LiveWrong(), kAccuracy, random), DrawBinomial(t.LiveRight(), 1 - kAccuracy, random)};
}

constexpr double kChildMends = kChildDiffers / 2 / (1 - kAccuracy);
constexpr double kChildSpoils = kChildDiffers / 2 / kAccuracy;

Counts ChildOfLive(const Table& t, std::mt19937_64& random) {
  return {DrawBinomial(t.LiveWrong(), kChildMends, random), DrawBinomial(t.LiveRight(), kChildSpoils, random)};
}

// The candidate's column of the table moves on.
Counts ChildOfLast(Table& t, std::mt19937_64& random) {
  std::int64_t spoilt = DrawBinomial(t.right_right, kChildSpoils, random);
  std::int64_t mended = DrawBinomial(t.right_wrong, kChildMends, random);
  std::int64_t spoilt_too = DrawBinomial(t.wrong_right, kChildSpoils, random);
  std::int64_t mended_too = DrawBinomial(t.wrong_wrong, kChildMends, random);
  t.right_right += mended - spoilt;
  t.right_wrong += spoilt - mended;
  t.wrong_right += mended_too - spoilt_too;
  t.wrong_wrong += spoilt_too - mended_too;
  return {t.wrong_right, t.right_wrong};
}

Counts BestOfSweep(const Table& t, std::mt19937_64& random) {
  Counts best = Independent(t, random);
  for (int trial = 1; trial < kSweepTrials; ++trial) {
    Counts next = Independent(t, random);
    if (next.wins - next.losses > best.wins - best.losses) best = next;
  }
  return best;
}

Counts NextCandidate(Kin kin, Table& t, std::mt19937_64& random) {
  switch (kin) {
    case Kin::kIndependent:
      return Independent(t, random);
    case Kin::kChildren:
      return ChildOfLive(t, random);
    case Kin::kChain:
      return ChildOfLast(t, random);
    case Kin::kSweeps:
      return BestOfSweep(t, random);
  }
  return {};
}

Outcome OneSequence(const NullPlan& plan, Kin kin, Gate gate, std::mt19937_64& random) {
  std::int64_t right = DrawBinomial(plan.rows, kAccuracy, random), first = right;
  Table table{.right_right = right, .wrong_wrong = plan.rows - right};
  Outcome outcome;
  int step = kin == Kin::kSweeps ? kSweepTrials : 1;
  for (int look = step; look <= plan.looks; look += step) {
    Counts counts = NextCandidate(kin, table, random);
    // A sweep's best is judged at the level of its last look, the least of its ten.
    if (!Promotes(gate, counts, gate == Gate::kOursUncharged ? look / step : look, plan)) continue;
    ++outcome.promotions;
    right += counts.wins - counts.losses;
    table = {.right_right = right, .wrong_wrong = plan.rows - right};
  }
  outcome.imaginary_gain = static_cast<double>(right - first) / static_cast<double>(plan.rows);
  return outcome;
}

NullResult Summary(Gate gate, std::string scenario, const std::vector<Outcome>& outcomes) {
  NullResult result{.gate = gate, .scenario = std::move(scenario)};
  std::int64_t any = 0, promotions = 0;
  double gain = 0, count = static_cast<double>(outcomes.size());
  for (const Outcome& outcome : outcomes) {
    any += outcome.promotions > 0;
    promotions += outcome.promotions;
    gain += outcome.imaginary_gain;
  }
  result.promotions = static_cast<double>(promotions) / count;
  result.imaginary_gain = gain / count;
  result.any = ShareOf(any, static_cast<std::int64_t>(outcomes.size()));
  return result;
}

// Rows of groups: sizes as unequal as those of users are.
std::vector<std::uint64_t> GroupsOf(std::int64_t rows, int groups, std::mt19937_64& random) {
  std::vector<double> size(static_cast<size_t>(groups));
  std::lognormal_distribution<double> sizes(0, 1);
  for (double& s : size) s = sizes(random);
  std::discrete_distribution<std::uint64_t> pick(size.begin(), size.end());
  std::vector<std::uint64_t> group(static_cast<size_t>(rows));
  for (auto& g : group) g = pick(random);
  return group;
}

std::vector<double> DrawErrors(const std::vector<std::uint64_t>& group, int groups, std::int64_t rows,
                               std::mt19937_64& random) {
  std::student_t_distribution<double> heavy(3);
  std::vector<double> shared(static_cast<size_t>(groups)), errors(static_cast<size_t>(rows));
  for (double& s : shared) s = std::fabs(heavy(random));
  for (size_t i = 0; i < errors.size(); ++i)
    errors[i] = groups == 0 ? std::fabs(heavy(random)) : shared[group[i]] + 0.3 * std::fabs(heavy(random));
  return errors;
}

double Mean(const std::vector<double>& values) {
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

bool PromotesErrors(Gate gate, const gate::Comparison& comparison, const std::vector<std::uint64_t>& group, int look,
                    const NullPlan& plan) {
  if (gate == Gate::kNaive) return comparison.candidate < comparison.opponent;
  gate::Rule rule{.confidence = 1 - plan.alpha};
  gate::Look level = gate == Gate::kFixed ? gate::Look{} : gate::LookUnder(rule, look);
  gate::Sampling sampling;
  if (gate != Gate::kOursUngrouped) sampling.group = group;
  return gate::Decide(comparison, sampling, rule, level, {.most_draws = 0})->promotes;
}

Outcome OneErrorSequence(const NullPlan& plan, int groups, Gate gate, std::mt19937_64& random) {
  std::vector<std::uint64_t> group;
  if (groups > 0) group = GroupsOf(plan.rows, groups, random);
  std::vector<double> live = DrawErrors(group, groups, plan.rows, random);
  double first = Mean(live);
  gate::Comparison comparison{.opponent = first, .gain = std::vector<double>(live.size())};
  Outcome outcome;
  for (int look = 1; look <= plan.looks; ++look) {
    std::vector<double> candidate = DrawErrors(group, groups, plan.rows, random);
    comparison.candidate = Mean(candidate);
    for (size_t i = 0; i < live.size(); ++i) comparison.gain[i] = live[i] - candidate[i];
    if (!PromotesErrors(gate, comparison, group, look, plan)) continue;
    ++outcome.promotions;
    live = std::move(candidate);
    comparison.opponent = comparison.candidate;
  }
  outcome.imaginary_gain = first - comparison.opponent;
  return outcome;
}

}  // namespace

std::string_view GateName(Gate gate) {
  switch (gate) {
    case Gate::kNaive:
      return "naive >";
    case Gate::kFixed:
      return "fixed alpha";
    case Gate::kLadder:
      return "Ladder";
    case Gate::kOurs:
      return "ours";
    case Gate::kOursUncharged:
      return "ours, a sweep charged as one look";
    case Gate::kOursUngrouped:
      return "ours, without group_by";
  }
  return "";
}

std::string_view KinName(Kin kin) {
  switch (kin) {
    case Kin::kIndependent:
      return "independent candidates";
    case Kin::kChildren:
      return "children of the live version";
    case Kin::kChain:
      return "children of one another";
    case Kin::kSweeps:
      return "sweeps of 10 on the holdout";
  }
  return "";
}

NullResult SimulateShares(const Run& run, const NullPlan& plan, Kin kin, Gate gate) {
  std::uint64_t stream = 10 + 10 * static_cast<std::uint64_t>(kin) + static_cast<std::uint64_t>(gate);
  auto outcomes = RunTrials(run, stream, plan.sequences,
                            [&](std::mt19937_64& random) { return OneSequence(plan, kin, gate, random); });
  return Summary(gate, std::string(KinName(kin)), outcomes);
}

NullResult SimulateErrors(const Run& run, const NullPlan& plan, int groups, Gate gate) {
  std::uint64_t stream = 100 + static_cast<std::uint64_t>(gate) + (groups > 0 ? 10 : 0);
  auto outcomes = RunTrials(run, stream, plan.sequences, [&](std::mt19937_64& random) {
    return OneErrorSequence(plan, groups, gate, random);
  });
  return Summary(gate, groups > 0 ? std::to_string(groups) + " users, heavy-tailed errors" : "heavy-tailed errors", outcomes);
}

}  // namespace ratchet::bench
