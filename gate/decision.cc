#include "gate/decision.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/names.h"
#include "gate/paired_tests.h"

namespace ratchet::gate {
namespace {

constexpr double kPower = 0.8;
// Spread below this share of the scores' own size is rounding, not evidence.
constexpr double kRoundingShare = 1e-14;

using Pairs = std::vector<std::pair<double, double>>;  // candidate, opponent; sorted

std::unexpected<Error> Refuse(std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "decide", "between candidate and opponent", std::move(cause), std::move(hint));
}

Status CheckRule(const Rule& rule) {
  if (!std::isfinite(rule.better_by) || rule.better_by < 0) return Refuse("better_by is not a number of at least 0");
  if (!(rule.confidence >= 0.5 && rule.confidence < 1)) return Refuse("confidence is not from 0.5 to below 1");
  return {};
}

bool IsPossible(PerRow per_row, double score) {
  if (!std::isfinite(score)) return false;
  switch (per_row) {
    case PerRow::kCorrect:
      return score == 0 || score == 1;
    case PerRow::kAbsoluteError:
    case PerRow::kSquaredError:
      return score >= 0;
    case PerRow::kLogLoss:
      return true;
  }
  return false;
}

Status CheckScores(const PairedScores& scores) {
  if (scores.candidate.size() != scores.opponent.size())
    return Refuse(fmt::format("the candidate has {} scores and the opponent {}", scores.candidate.size(),
                              scores.opponent.size()));
  if (scores.candidate.empty()) return Refuse("there are no rows", "Push rows that fall into the holdout");
  for (auto side : {scores.candidate, scores.opponent}) {
    auto bad = std::ranges::find_if_not(side, [&](double score) { return IsPossible(scores.per_row, score); });
    if (bad != side.end())
      return Refuse(
          fmt::format("row {} has {} as its {} score", bad - side.begin() + 1, *bad, PerRowName(scores.per_row)));
  }
  return {};
}

// Sorted, so that sums do not depend on the order of the rows.
Pairs SortedPairs(const PairedScores& scores) {
  Pairs pairs(scores.candidate.size());
  for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = {scores.candidate[i], scores.opponent[i]};
  std::ranges::sort(pairs);
  return pairs;
}

struct Means {
  long double candidate = 0, opponent = 0;
};

Means MeansOf(const Pairs& pairs) {
  Means means;
  for (auto [candidate, opponent] : pairs) {
    means.candidate += candidate;
    means.opponent += opponent;
  }
  means.candidate /= pairs.size();
  means.opponent /= pairs.size();
  return means;
}

// Gain per row is opponent_weight · opponent − candidate_weight · candidate.
GainMoments WeightedMoments(const Pairs& pairs, long double candidate_weight, long double opponent_weight) {
  auto gain = [&](const auto& pair) { return opponent_weight * pair.second - candidate_weight * pair.first; };
  long double sum = 0, largest = 0, squares = 0;
  for (const auto& pair : pairs) {
    sum += gain(pair);
    largest = std::max({largest, std::fabs(opponent_weight * pair.second), std::fabs(candidate_weight * pair.first)});
  }
  long double mean = sum / pairs.size();
  for (const auto& pair : pairs) squares += (gain(pair) - mean) * (gain(pair) - mean);
  GainMoments moments{.rows = static_cast<std::int64_t>(pairs.size()), .mean = static_cast<double>(mean)};
  long double deviation = pairs.size() > 1 ? std::sqrt(squares / (pairs.size() - 1)) : 0;
  if (deviation > kRoundingShare * largest) moments.standard_deviation = static_cast<double>(deviation);
  return moments;
}

long double HalfInverseRoot(long double mean) { return mean > 0 ? 1 / (2 * std::sqrt(mean)) : 0; }

// Error scores: lower is better.
GainMoments ErrorMoments(const Pairs& pairs, PerRow per_row) {
  if (per_row != PerRow::kSquaredError) return WeightedMoments(pairs, 1, 1);
  Means means = MeansOf(pairs);
  GainMoments moments = WeightedMoments(pairs, HalfInverseRoot(means.candidate), HalfInverseRoot(means.opponent));
  moments.mean = static_cast<double>(std::sqrt(means.opponent) - std::sqrt(means.candidate));
  return moments;
}

ShareCounts CountShares(const Pairs& pairs) {
  ShareCounts counts{.rows = static_cast<std::int64_t>(pairs.size())};
  for (auto [candidate, opponent] : pairs) {
    counts.wins += candidate > opponent;
    counts.losses += candidate < opponent;
  }
  return counts;
}

std::optional<std::int64_t> FurtherRows(double rows_in_all, std::int64_t rows) {
  double further = std::ceil(rows_in_all - static_cast<double>(rows));
  if (!(further <= static_cast<double>(kMostRowsNeeded))) return std::nullopt;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(further));
}

// The tail of the decision, the same for both families of tests: `p_of(gain)`, `lower_of(alpha)`, `upper_of(alpha)` and
// `rows_of()` are the test, its bounds and its power.
void Judge(Decision& decision, auto p_of, auto lower_of, auto upper_of, auto rows_of) {
  decision.p_value = p_of(decision.better_by);
  decision.lower_bound = lower_of(decision.alpha);
  decision.interval_low = lower_of(decision.alpha / 2);
  decision.interval_high = upper_of(decision.alpha / 2);
  bool better = decision.p_value <= decision.alpha;
  // The bound is the test turned round; only rounding can set them apart, and the test has the last word.
  if (better) {
    decision.verdict = Verdict::kBetter;
    double just_above = std::nextafter(decision.better_by, std::numeric_limits<double>::infinity());
    decision.lower_bound = std::max(decision.lower_bound, just_above);
    return;
  }
  decision.lower_bound = std::min(decision.lower_bound, decision.better_by);
  decision.interval_low = std::min(decision.interval_low, decision.better_by);
  if (decision.difference <= decision.better_by) {
    decision.verdict = Verdict::kNotBetter;
    return;
  }
  decision.verdict = Verdict::kInconclusive;
  decision.rows_needed = FurtherRows(rows_of(), decision.rows);
}

void JudgeShares(Decision& decision, const Pairs& pairs) {
  ShareCounts counts = CountShares(pairs);
  ShareCounts mirrored{counts.rows, counts.losses, counts.wins};
  decision.test = decision.better_by > 0 ? "tango_score" : "mcnemar_exact";
  decision.difference = static_cast<double>(counts.wins - counts.losses) / static_cast<double>(counts.rows);
  Judge(
      decision, [&](double gain) { return ShareP(counts, gain); },
      [&](double alpha) { return ShareLowerBound(counts, alpha); },
      [&](double alpha) { return -ShareLowerBound(mirrored, alpha); },
      [&] { return ShareRowsForPower(counts, decision.better_by, decision.alpha, kPower); });
}

void JudgeErrors(Decision& decision, const GainMoments& moments) {
  GainMoments mirrored{moments.rows, -moments.mean, moments.standard_deviation};
  decision.test = "paired_t";
  decision.difference = moments.mean;
  Judge(
      decision, [&](double gain) { return MeanP(moments, gain); },
      [&](double alpha) { return MeanLowerBound(moments, alpha); },
      [&](double alpha) { return -MeanLowerBound(mirrored, alpha); },
      [&] { return MeanRowsForPower(moments, decision.better_by, decision.alpha, kPower); });
}

std::string WithCommas(std::int64_t count) {
  std::string text = std::to_string(count);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), ",");
  return text;
}

std::string_view TestTitle(const Decision& decision) {
  if (decision.test == "mcnemar_exact") return "exact McNemar";
  return decision.test == "tango_score" ? "Tango score test" : "paired t";
}

std::string VerdictClause(const Decision& decision) {
  std::string asked = decision.better_by > 0 ? fmt::format(" than the {:.4g} asked for", decision.better_by) : "";
  std::string gain = fmt::format("{:.4g}", std::fabs(decision.difference));
  switch (decision.verdict) {
    case Verdict::kBetter:
      return decision.better_by > 0 ? fmt::format("better by {}, more{}", gain, asked) : "better by " + gain;
    case Verdict::kNotBetter:
      if (decision.difference == 0) return "not better, the two are equal";
      if (decision.difference < 0) return "not better, it is worse by " + gain;
      return fmt::format("not better, its lead of {} is not more{}", gain, asked);
    case Verdict::kInconclusive:
      return fmt::format("its lead of {} is not proven{}", gain,
                         decision.better_by > 0 ? fmt::format(" to be more{}", asked) : "");
  }
  return {};
}

// Below this a double is about to run out: what is left of the digits says nothing.
std::string PText(double p) { return p < 1e-300 ? "p < 1e-300" : fmt::format("p = {:.3g}", p); }

std::string ReasonSentence(const Decision& decision) {
  std::string rows = fmt::format("{} row{}", WithCommas(decision.rows), decision.rows == 1 ? "" : "s");
  std::string further;
  if (decision.rows_needed)
    further = fmt::format("; about {} further row{} would settle it", WithCommas(*decision.rows_needed),
                          *decision.rows_needed == 1 ? "" : "s");
  return fmt::format(
      "Candidate {:.4g} against {:.4g} on {}: {} ({:.4g} % interval {:.4g} to {:.4g}, {}, {} {} "
      "wins, {} losses){}.",
      decision.candidate, decision.opponent, rows, VerdictClause(decision), 100 * decision.confidence,
      decision.interval_low, decision.interval_high, PText(decision.p_value), TestTitle(decision), WithCommas(decision.wins),
      WithCommas(decision.losses), further);
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kNotBetter:
      return "not_better";
    case Verdict::kInconclusive:
      return "inconclusive";
  }
  return "inconclusive";
}

std::string_view PerRowName(PerRow per_row) {
  switch (per_row) {
    case PerRow::kCorrect:
      return "correct";
    case PerRow::kAbsoluteError:
      return "absolute_error";
    case PerRow::kSquaredError:
      return "squared_error";
    case PerRow::kLogLoss:
      return "log_loss";
  }
  return "correct";
}

Result<PerRow> PerRowFromName(std::string_view name) {
  for (PerRow per_row : {PerRow::kCorrect, PerRow::kAbsoluteError, PerRow::kSquaredError, PerRow::kLogLoss})
    if (PerRowName(per_row) == name) return per_row;
  return Fail(ErrorCode::kInvalid, "read the kind of per-row score", Quoted(name), "no such kind",
              "Use correct, absolute_error, squared_error or log_loss");
}

Result<Decision> Decide(const PairedScores& scores, const Rule& rule) {
  RATCHET_TRY(CheckRule(rule));
  RATCHET_TRY(CheckScores(scores));
  Pairs pairs = SortedPairs(scores);
  Means means = MeansOf(pairs);
  bool root = scores.per_row == PerRow::kSquaredError;
  Decision decision{.rows = static_cast<std::int64_t>(pairs.size()),
                    .candidate = static_cast<double>(root ? std::sqrt(means.candidate) : means.candidate),
                    .opponent = static_cast<double>(root ? std::sqrt(means.opponent) : means.opponent),
                    .confidence = rule.confidence,
                    .alpha = 1 - rule.confidence,
                    .better_by = rule.better_by};
  ShareCounts higher = CountShares(pairs);
  bool higher_is_better = scores.per_row == PerRow::kCorrect;
  decision.wins = higher_is_better ? higher.wins : higher.losses;
  decision.losses = higher_is_better ? higher.losses : higher.wins;
  if (higher_is_better) {
    JudgeShares(decision, pairs);
  } else {
    GainMoments moments = ErrorMoments(pairs, scores.per_row);
    if (!std::isfinite(moments.mean) || !std::isfinite(moments.standard_deviation))
      return Refuse("the scores are too large for their spread to be a number");
    JudgeErrors(decision, moments);
  }
  decision.reason = ReasonSentence(decision);
  return decision;
}

}  // namespace ratchet::gate
