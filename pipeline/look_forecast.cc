#include "pipeline/look_forecast.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "gate/alpha_ledger.h"
#include "gate/metrics.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;
using registry::Version;

constexpr size_t kRecentPromotions = 5, kLeastPromotions = 3;
constexpr double kMostFurtherRows = 1e9;

// How far a candidate and the live version are apart, row by row.
struct Apart {
  const Version* from = nullptr;
  double live_score = 0;
  bool of_shares = false;  // 0/1 scores
  bool shares = false;     // `size` is the share of rows that differ; else the standard deviation of a unit's gain
  double size = 0;
  double units_per_row = 1;
};

std::optional<double> Number(const Json& report, const char* name) {
  const Json value = report.value(name, Json());
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

// Whether the report has figures by this metric.
bool Measures(const Version& version, const std::string& metric) {
  return version.decision && version.decision->value("metric", "") == metric && Number(*version.decision, "rows").value_or(0) > 0 &&
         Number(*version.decision, "candidate") && Number(*version.decision, "opponent");
}

bool Measure(const Json& report, double bar, Apart& into) {
  const double rows = Number(report, "rows").value_or(0), units = Number(report, "units").value_or(rows);
  const std::string test = report.value("test", "");
  into.units_per_row = units / rows;
  if (test == "mcnemar_exact" || test == "tango_score") {
    const double differing = (Number(report, "wins").value_or(0) + Number(report, "losses").value_or(0)) / rows;
    into.of_shares = true;
    into.shares = bar == 0;
    into.size = into.shares ? differing : std::sqrt(differing);
    return differing > 0;
  }
  const Json interval = report.value("interval", Json());
  if (!interval.is_array() || interval.size() != 2 || !interval[0].is_number() || !interval[1].is_number()) return false;
  into.size = gate::SpreadOfInterval(interval[0], interval[1], Number(report, "confidence").value_or(0.95), units);
  return std::isfinite(into.size) && into.size > 0;
}

// Against a baseline a version differs more than two models do from each other, which of two that err alike often, but
// independently, is 2e(1 − e) of the rows. Of other scores nothing like it is known.
bool LikeTwoModels(Apart& apart) {
  if (!apart.of_shares) return false;
  const double error = std::clamp(1 - apart.live_score, 0.0, 1.0), differing = 2 * error * (1 - error);
  const double known = apart.shares ? apart.size : apart.size * apart.size;
  apart.size = apart.shares ? std::min(known, differing) : std::sqrt(std::min(known, differing));
  return apart.size > 0;
}

std::optional<Apart> FindApart(const ForecastCase& at, double bar) {
  auto measured = [&](const Version& version, const char* live_side) -> std::optional<Apart> {
    Apart apart{.from = &version, .live_score = Number(*version.decision, live_side).value_or(0)};
    return Measure(*version.decision, bar, apart) ? std::optional(apart) : std::nullopt;
  };
  for (const Version& version : at.decided)
    if (version.opponent_version == at.live && Measures(version, at.metric))
      if (auto apart = measured(version, "opponent")) return apart;
  for (const Version& version : at.decided) {
    if (version.version != at.live || !Measures(version, at.metric)) continue;
    auto apart = measured(version, "candidate");
    if (apart && !version.opponent_version && !LikeTwoModels(*apart)) return std::nullopt;
    return apart;
  }
  return std::nullopt;
}

bool HasServed(const Version& version) {
  return version.shown_state == "live" || version.shown_state == "previous" || version.shown_state == "retired";
}

std::optional<double> BestRecentGain(const ForecastCase& at) {
  std::vector<double> gains;
  for (const Version& version : at.decided)
    if (gains.size() < kRecentPromotions && version.opponent_version && HasServed(version) && Measures(version, at.metric) &&
        version.decision->value("promotes", false))
      gains.push_back(Number(*version.decision, "difference").value_or(0));
  if (gains.size() < kLeastPromotions) return std::nullopt;
  return std::ranges::max(gains);
}

// By the normal approximation, beyond the bar.
gate::LookForecast Foresee(const Apart& apart, const gate::AlphaBudget& budget, std::int64_t rows, double hoped) {
  if (apart.shares) return gate::ForeseeShareLook(budget, rows, apart.size, hoped);
  const auto units = static_cast<std::int64_t>(std::floor(static_cast<double>(rows) * apart.units_per_row));
  return gate::ForeseeMeanLook(budget, std::max<std::int64_t>(1, units), apart.size, hoped);
}

// How many rows a new epoch must have for its first look to prove the gain that is hoped for.
std::optional<std::int64_t> RowsOfAWorthwhileEpoch(const Apart& apart, double alpha, double hoped) {
  const gate::AlphaBudget fresh = gate::BudgetAfter(alpha, 0);
  auto suffices = [&](std::int64_t rows) { return Foresee(apart, fresh, rows, hoped).worthwhile; };
  std::int64_t enough = 1;
  while (!suffices(enough)) {
    enough *= 2;
    if (static_cast<double>(enough) > kMostFurtherRows) return std::nullopt;
  }
  std::int64_t too_few = enough / 2;
  while (enough - too_few > 1) {
    const std::int64_t middle = too_few + (enough - too_few) / 2;
    (suffices(middle) ? enough : too_few) = middle;
  }
  return enough;
}

// Further sealed rows until a new epoch opens that is large enough.
std::optional<std::int64_t> RowsToPush(const ForecastCase& at, const Apart& apart, double hoped) {
  const auto needed = RowsOfAWorthwhileEpoch(apart, 1 - at.gate.confidence, hoped);
  if (!needed) return std::nullopt;
  return std::max<std::int64_t>(0, std::max(*needed, at.gate.fresh_rows) - at.unseen_rows);
}

std::vector<std::string> WaysOut(const ForecastCase& at, const std::optional<std::int64_t>& rows_to_push, double hoped) {
  if (hoped <= 0) return {"a smaller gate.better_by"};
  std::vector<std::string> ways;
  if (rows_to_push && *rows_to_push > 0) {
    const double pushed = at.holdout_share > 0 ? std::ceil(static_cast<double>(*rows_to_push) / at.holdout_share) : 0;
    ways.push_back(fmt::format("push rows until {} more of them are in the holdout{}", *rows_to_push,
                               pushed > 0 ? fmt::format(" (about {:.0f} rows in all)", pushed) : ""));
  }
  if (at.unseen_rows > 0 && at.unseen_rows < at.gate.fresh_rows)
    ways.push_back(fmt::format("`gate: {{fresh_rows: {}}}` judges on the {} sealed rows alone that no decision has seen", at.unseen_rows,
                               at.unseen_rows));
  ways.push_back("`ratchet dataset rotate-holdout` retires the rows that have been looked at into training");
  return ways;
}

std::string Sentence(const ForecastCase& at, const Json& forecast) {
  std::string text = fmt::format(
      "Look {} at the {} sealed rows of epoch {} is judged at level {:.2g}: ", forecast["look"].get<std::int64_t>(), at.epoch.rows,
      at.epoch.number, forecast["level"].get<double>());
  text += forecast["detectable_gain"].is_null()
              ? "no gain that is possible could be proven with 80 % power"
              : fmt::format("a true gain of {:.3g} in {} or more would be proven with 80 % power", forecast["detectable_gain"].get<double>(), at.metric);
  if (forecast["worthwhile"]) return text + ".";
  return text + fmt::format(", and no more than {:.3g} can be hoped for over {:.4g}. Before training: {}.", forecast["realistic_gain"].get<double>(),
                            forecast["live_score"].get<double>(), fmt::join(forecast["ways_out"].get<std::vector<std::string>>(), "; or "));
}

}  // namespace

Json ForecastLook(const ForecastCase& at) {
  const double bar = at.gate.rule == "not_worse" ? -at.gate.margin : at.gate.better_by;
  const auto apart = FindApart(at, bar);
  if (!apart || at.epoch.rows <= 0) return {};
  const auto known = gate::FindMetric(at.metric);
  const double error = !known || known->higher_is_better ? 1 - apart->live_score : apart->live_score;
  const auto best = BestRecentGain(at);
  const double realistic = std::max(0.0, best ? std::min(error / 2, *best) : error / 2), hoped = realistic - bar;
  const gate::LookForecast look = Foresee(*apart, gate::BudgetAfter(1 - at.gate.confidence, at.epoch.looks), at.epoch.rows, hoped);
  const bool possible = !apart->shares || look.least_gain <= apart->size;
  const auto rows_to_push = look.worthwhile ? std::nullopt : RowsToPush(at, *apart, hoped);
  Json forecast = {{"epoch", at.epoch.number}, {"rows", at.epoch.rows}, {"look", look.look}, {"level", look.level},
                   {"metric", at.metric}, {"live", at.live}, {"live_score", apart->live_score}, {"from_version", apart->from->version},
                   {"detectable_gain", possible ? Json(look.least_gain + bar) : Json()}, {"realistic_gain", realistic},
                   {"best_recent_gain", best ? Json(*best) : Json()}, {"worthwhile", look.worthwhile},
                   {"rows_to_push", rows_to_push ? Json(*rows_to_push) : Json()}, {"ways_out", Json::array()}};
  if (!look.worthwhile) forecast["ways_out"] = WaysOut(at, rows_to_push, hoped);
  forecast["sentence"] = Sentence(at, forecast);
  return forecast;
}

}  // namespace ratchet::pipeline
