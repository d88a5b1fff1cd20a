#include "gate/decision.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/names.h"
#include "gate/alpha_ledger.h"
#include "gate/decision_reason.h"
#include "gate/paired_statistic.h"
#include "gate/shown_interval.h"

namespace ratchet::gate {
namespace {

constexpr double kPower = 0.8;

std::unexpected<Error> Refuse(std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "decide", "between candidate and opponent", std::move(cause), std::move(hint));
}

Status CheckRule(const Rule& rule, const Look& look) {
  if (!std::isfinite(rule.better_by) || rule.better_by < 0) return Refuse("better_by is not a number of at least 0");
  if (!(rule.confidence >= 0.5 && rule.confidence < 1)) return Refuse("confidence is not from 0.5 to below 1");
  if (!std::isfinite(rule.margin) || rule.margin < 0) return Refuse("margin is not a number of at least 0");
  if (rule.kind == RuleKind::kNotWorse && rule.margin == 0)
    return Refuse("the rule is not_worse and there is no margin", "Give the loss that does not matter as margin");
  if (look.number < 0 || !(look.level >= 0 && look.level <= 0.5))
    return Refuse("the number or the level of the look is out of range", "Levels lie from 0 to 0.5");
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

double Bar(const Rule& rule) {
  switch (rule.kind) {
    case RuleKind::kBetter:
      return rule.better_by;
    case RuleKind::kNotWorse:
      return -rule.margin;
  }
  return rule.better_by;
}

std::optional<std::int64_t> FurtherRows(double rows_in_all, std::int64_t rows) {
  double further = std::ceil(rows_in_all - static_cast<double>(rows));
  if (!(further <= static_cast<double>(kMostRowsNeeded))) return std::nullopt;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(further));
}

void Judge(Decision& decision, const Measured& measured, double bar) {
  bool asks_better = decision.rule == RuleKind::kBetter;
  decision.p_value = PValue(measured, bar);
  decision.lower_bound = LowerBound(measured, decision.alpha);
  decision.promotes = decision.p_value <= decision.alpha;
  // The bound is the test turned round; only rounding can set them apart, and the test has the last word.
  if (decision.promotes) {
    decision.verdict = asks_better ? Verdict::kBetter : Verdict::kNotWorse;
    double just_above = std::nextafter(bar, std::numeric_limits<double>::infinity());
    decision.lower_bound = std::max(decision.lower_bound, just_above);
    return;
  }
  decision.lower_bound = std::min(decision.lower_bound, bar);
  if (measured.can_tell && decision.difference <= bar) {
    decision.verdict = asks_better ? Verdict::kNotBetter : Verdict::kWorse;
    return;
  }
  decision.verdict = Verdict::kInconclusive;
  if (decision.difference > bar)
    decision.rows_needed = FurtherRows(RowsForPower(measured, bar, decision.alpha, kPower), decision.rows);
}

void Show(Decision& decision, const Measured& measured, const Shown& shown, Method method) {
  const ShownInterval interval = IntervalToShow(
      measured, {.confidence = decision.confidence, .seed = shown.seed, .most_draws = shown.most_draws}, method);
  decision.interval_low = interval.low;
  decision.interval_high = interval.high;
  decision.interval_method = interval.method;
}

// Summed in sorted order, so that the order of the rows does not matter; sums of whole numbers do without.
double MeanOf(std::span<const double> scores, bool whole) {
  std::vector<double> sorted(scores.begin(), scores.end());
  if (!whole) std::ranges::sort(sorted);
  long double sum = 0;
  for (double score : sorted) sum += score;
  return static_cast<double>(sum / static_cast<long double>(sorted.size()));
}

double HalfInverse(double root) { return root > 0 ? 1 / (2 * root) : 0; }

// √ is linearised at each model's own mean; what that leaves out of the difference is spread over the rows.
std::vector<double> RootGains(const PairedScores& scores, double candidate, double opponent) {
  double per_candidate = HalfInverse(candidate), per_opponent = HalfInverse(opponent);
  double rest = (opponent - candidate) / 2;
  std::vector<double> gain(scores.candidate.size());
  for (size_t i = 0; i < gain.size(); ++i)
    gain[i] = per_opponent * scores.opponent[i] - per_candidate * scores.candidate[i] + rest;
  return gain;
}

std::vector<double> MeanGains(const PairedScores& scores) {
  double sign = scores.per_row == PerRow::kCorrect ? 1 : -1;
  std::vector<double> gain(scores.candidate.size());
  for (size_t i = 0; i < gain.size(); ++i) gain[i] = sign * (scores.candidate[i] - scores.opponent[i]);
  return gain;
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kNotBetter:
      return "not_better";
    case Verdict::kNotWorse:
      return "not_worse";
    case Verdict::kWorse:
      return "worse";
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

Look LookUnder(const Rule& rule, std::int64_t number) {
  return {.number = number, .level = LevelOfLook(1 - rule.confidence, number)};
}

Result<Decision> Decide(const Comparison& comparison, const Sampling& sampling, const Rule& rule, const Look& look,
                        const Shown& shown) {
  RATCHET_TRY(CheckRule(rule, look));
  RATCHET_ASSIGN(Measured measured, Measure(comparison, sampling));
  Decision decision{.test = std::string(TestName(measured, Bar(rule))),
                    .rows = measured.units.rows,
                    .units = static_cast<std::int64_t>(measured.units.units.size()),
                    .candidate = comparison.candidate,
                    .opponent = comparison.opponent,
                    .difference = measured.difference,
                    .confidence = rule.confidence,
                    .look = look.number,
                    .alpha = look.level > 0 ? look.level : 1 - rule.confidence,
                    .wins = measured.wins,
                    .losses = measured.losses,
                    .rule = rule.kind,
                    .better_by = rule.better_by,
                    .margin = rule.margin};
  Judge(decision, measured, Bar(rule));
  Show(decision, measured, shown, rule.method);
  decision.reason = ReasonSentence(decision);
  return decision;
}

Result<Comparison> CompareScores(const PairedScores& scores) {
  RATCHET_TRY(CheckScores(scores));
  bool root = scores.per_row == PerRow::kSquaredError;
  bool whole = scores.per_row == PerRow::kCorrect;
  double candidate = MeanOf(scores.candidate, whole), opponent = MeanOf(scores.opponent, whole);
  if (!std::isfinite(candidate) || !std::isfinite(opponent))
    return Refuse("the scores are too large for their mean to be a number");
  Comparison comparison{.candidate = root ? std::sqrt(candidate) : candidate,
                        .opponent = root ? std::sqrt(opponent) : opponent,
                        .zero_one = whole};
  comparison.gain = root ? RootGains(scores, comparison.candidate, comparison.opponent) : MeanGains(scores);
  if (!std::ranges::all_of(comparison.gain, [](double gain) { return std::isfinite(gain); }))
    return Refuse("the scores are too large for their difference to be a number");
  return comparison;
}

Result<Decision> Decide(const PairedScores& scores, const Rule& rule, const Shown& shown) {
  RATCHET_TRY(CheckRule(rule, {}));
  RATCHET_ASSIGN(Comparison comparison, CompareScores(scores));
  RATCHET_ASSIGN(Decision decision, Decide(comparison, {}, rule, {}, shown));
  if (scores.per_row != PerRow::kSquaredError) return decision;
  // The gains of rows are shares of the difference of two roots; who won a row, the scores say.
  decision.wins = decision.losses = 0;
  for (size_t i = 0; i < scores.candidate.size(); ++i) {
    decision.wins += scores.candidate[i] < scores.opponent[i];
    decision.losses += scores.candidate[i] > scores.opponent[i];
  }
  decision.reason = ReasonSentence(decision);
  return decision;
}

}  // namespace ratchet::gate
