#include "gate/slices.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "gate/alpha_ledger.h"
#include "gate/paired_statistic.h"
#include "gate/shown_interval.h"
#include "gate/step_down.h"

namespace ratchet::gate {
namespace {

constexpr double kPower = 0.8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kMostNamed = 5;  // slices that the sentence names

template <typename T>
std::vector<T> Picked(std::span<const T> values, std::span<const std::uint32_t> rows) {
  std::vector<T> picked;
  if (values.empty()) return picked;
  picked.reserve(rows.size());
  for (std::uint32_t row : rows) picked.push_back(values[row]);
  return picked;
}

Status CheckRule(std::span<const SliceInput> slices, const SliceRule& rule) {
  auto refuse = [](std::string subject, std::string cause) {
    return Fail(ErrorCode::kInvalid, "judge", std::move(subject), std::move(cause));
  };
  if (!(rule.confidence >= 0.5 && rule.confidence < 1)) return refuse("slices", "confidence is not from 0.5 to below 1");
  if (rule.min_rows < 1) return refuse("slices", "min_rows is not at least 1");
  for (const SliceInput& slice : slices)
    if (!std::isfinite(slice.margin) || slice.margin < 0)
      return refuse("slice " + slice.name, "margin is not a number of at least 0");
  return {};
}

struct Seen {
  SliceOutcome outcome;
  Statistic statistic;
};

bool HasRows(const SliceInput& slice) {
  auto counts = [](double weight) { return weight != 0; };
  return !slice.comparison.gain.empty() && (slice.weight.empty() || std::ranges::any_of(slice.weight, counts));
}

Result<Seen> LookAt(const SliceInput& slice, const SliceRule& rule, const Shown& shown) {
  Seen seen;
  SliceOutcome& outcome = seen.outcome;
  outcome = {.name = slice.name, .state = SliceState::kTooSmall, .margin = slice.margin, .interval_low = -kInfinity,
             .interval_high = kInfinity, .test = "none", .detectable_loss = kInfinity};
  if (!HasRows(slice)) return seen;
  auto measured = Measure(slice.comparison, {slice.group, slice.weight, slice.time, slice.horizon});
  if (!measured) {
    Error error = measured.error();
    error.subject = "slice " + slice.name;
    return std::unexpected(error);
  }
  seen.statistic = measured->statistic;
  outcome.rows = measured->units.rows;
  outcome.units = static_cast<std::int64_t>(measured->units.units.size());
  outcome.wins = measured->wins, outcome.losses = measured->losses;
  outcome.difference = measured->difference;
  const ShownInterval interval =
      IntervalToShow(*measured, {.confidence = rule.confidence, .seed = shown.seed, .most_draws = shown.most_draws}, rule.method);
  outcome.interval_low = interval.low, outcome.interval_high = interval.high;
  if (outcome.rows < rule.min_rows) return seen;
  outcome.state = measured->can_tell ? SliceState::kHolds : SliceState::kCannotTell;
  if (!measured->can_tell) return seen;
  outcome.test = TestName(*measured, -slice.margin);
  outcome.p_worse = PValueOfLoss(*measured, -slice.margin);
  return seen;
}

double DetectableLoss(const Statistic& statistic, double margin, double level) {
  if (auto* estimate = std::get_if<MeanEstimate>(&statistic))
    return margin + LeastMeanGain(level, 1, estimate->standard_error, kPower);
  const ShareCounts& counts = std::get<ShareCounts>(statistic);
  double differing = static_cast<double>(counts.wins + counts.losses) / static_cast<double>(counts.rows);
  return margin + LeastShareGain(level, counts.rows, differing, kPower);
}

bool IsTested(const SliceOutcome& outcome) {
  return outcome.state == SliceState::kHolds || outcome.state == SliceState::kWorse;
}

TestedP TestOf(const Seen& seen) {
  const auto* counts = std::get_if<ShareCounts>(&seen.statistic);
  bool exact = counts && seen.outcome.margin == 0;
  return {.p = seen.outcome.p_worse, .differing = exact ? counts->wins + counts->losses : -1};
}

// Adjusts the p of all that are tested, and blames those that stay at most alpha.
void Adjust(std::vector<Seen>& seen, double alpha, Method method) {
  std::vector<TestedP> tests;
  for (const Seen& one : seen)
    if (IsTested(one.outcome)) tests.push_back(TestOf(one));
  const std::vector<double> adjusted = method == Method::kFirst ? AdjustByHolm(tests) : AdjustStepDown(tests);
  const double level = alpha / static_cast<double>(std::max<size_t>(1, tests.size()));
  auto next = adjusted.begin();
  for (Seen& one : seen) {
    SliceOutcome& outcome = one.outcome;
    if (!IsTested(outcome)) continue;
    outcome.p_adjusted = *next++;
    if (outcome.p_adjusted <= alpha) outcome.state = SliceState::kWorse;
    outcome.detectable_loss = DetectableLoss(one.statistic, outcome.margin, level);
  }
}

std::string Names(const std::vector<SliceOutcome>& outcomes, SliceState state) {
  std::string names;
  size_t count = 0;
  for (const SliceOutcome& outcome : outcomes) {
    if (outcome.state != state || ++count > kMostNamed) continue;
    if (!names.empty()) names += ", ";
    names += outcome.name;
    if (state == SliceState::kWorse) names += fmt::format(" by {:.3g}", -outcome.difference);
  }
  return count > kMostNamed ? fmt::format("{} and {} more", names, count - kMostNamed) : names;
}

std::string Sentence(const std::vector<SliceOutcome>& outcomes) {
  if (outcomes.empty()) return {};
  std::string worse = Names(outcomes, SliceState::kWorse), small = Names(outcomes, SliceState::kTooSmall);
  std::string untold = Names(outcomes, SliceState::kCannotTell);
  std::string text = "Proven worse beyond the margin: " + worse;
  if (worse.empty())
    text = fmt::format("None of {} slices is proven worse", std::ranges::count_if(outcomes, IsTested));
  if (!small.empty()) text += "; too small to tell: " + small;
  if (!untold.empty()) text += "; one group only, so nothing to tell chance by: " + untold;
  return text + ".";
}

}  // namespace

SliceInput PickSlice(std::string name, double margin, const Comparison& whole, const Sampling& sampling,
                     std::span<const std::uint32_t> rows) {
  return {.name = std::move(name),
          .margin = margin,
          .comparison = {whole.candidate, whole.opponent, whole.zero_one, Picked(std::span(whole.gain), rows)},
          .group = Picked(sampling.group, rows),
          .weight = Picked(sampling.weight, rows),
          .time = Picked(sampling.time, rows),
          .horizon = sampling.horizon};
}

std::string_view SliceStateName(SliceState state) {
  switch (state) {
    case SliceState::kHolds:
      return "holds";
    case SliceState::kWorse:
      return "worse";
    case SliceState::kTooSmall:
      return "too_small";
    case SliceState::kCannotTell:
      return "cannot_tell";
  }
  return "holds";
}

Result<SliceReport> JudgeSlices(std::span<const SliceInput> slices, const SliceRule& rule) {
  RATCHET_TRY(CheckRule(slices, rule));
  SliceReport report;
  if (slices.empty()) return report;
  const double alpha = 1 - rule.confidence;
  Shown shown = rule.shown;
  shown.most_draws /= static_cast<std::int64_t>(slices.size());
  std::vector<Seen> all;
  for (const SliceInput& slice : slices) {
    RATCHET_ASSIGN(Seen seen, LookAt(slice, rule, shown));
    all.push_back(std::move(seen));
  }
  Adjust(all, alpha, rule.method);
  for (Seen& seen : all) report.slices.push_back(std::move(seen.outcome));
  report.any_worse = std::ranges::any_of(report.slices, [](auto& s) { return s.state == SliceState::kWorse; });
  report.reason = Sentence(report.slices);
  return report;
}

Decision WithSlices(Decision decision, const SliceReport& report) {
  if (report.any_worse) decision.promotes = false;
  if (!report.reason.empty()) decision.reason += " " + report.reason;
  return decision;
}

}  // namespace ratchet::gate
