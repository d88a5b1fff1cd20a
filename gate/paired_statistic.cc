#include "gate/paired_statistic.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace ratchet::gate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::unexpected<Error> Refuse(std::string cause) {
  return Fail(ErrorCode::kInvalid, "decide", "between candidate and opponent", std::move(cause));
}

Status CheckZeroOne(const Comparison& comparison) {
  auto bad = std::ranges::find_if(comparison.gain, [](double g) { return g != 0 && g != 1 && g != -1; });
  if (!comparison.zero_one || bad == comparison.gain.end()) return {};
  return Refuse(fmt::format("row {} gains {}, but rows that are right or wrong gain -1, 0 or 1",
                            bad - comparison.gain.begin() + 1, *bad));
}

void CountRows(Measured& measured, std::span<const double> gain, std::span<const double> weight) {
  for (size_t i = 0; i < gain.size(); ++i) {
    if (!weight.empty() && weight[i] == 0) continue;
    measured.wins += gain[i] > 0;
    measured.losses += gain[i] < 0;
  }
}

ShareCounts Swapped(const ShareCounts& counts) { return {counts.rows, counts.losses, counts.wins}; }

double P(const Statistic& statistic, double gain) {
  if (auto* counts = std::get_if<ShareCounts>(&statistic)) return ShareP(*counts, std::clamp(gain, -1.0, 1.0));
  return MeanP(std::get<MeanEstimate>(statistic), gain);
}

double Lower(const Statistic& statistic, double alpha) {
  if (auto* counts = std::get_if<ShareCounts>(&statistic)) return ShareLowerBound(*counts, alpha);
  return MeanLowerBound(std::get<MeanEstimate>(statistic), alpha);
}

Statistic Turned(const Statistic& statistic) {
  if (auto* counts = std::get_if<ShareCounts>(&statistic)) return Swapped(*counts);
  return Mirrored(std::get<MeanEstimate>(statistic));
}

}  // namespace

Result<Measured> Measure(const Comparison& comparison, const Sampling& sampling) {
  RATCHET_ASSIGN(Units units, SumUnits(comparison.gain, sampling));
  RATCHET_TRY(CheckZeroOne(comparison));
  Measured measured{.units = std::move(units)};
  CountRows(measured, comparison.gain, sampling.weight);
  measured.timed = measured.units.timed;
  measured.can_tell = measured.units.plain || measured.units.units.size() > 1;
  if (comparison.zero_one && measured.units.plain) {
    measured.statistic = ShareCounts{measured.units.rows, measured.wins, measured.losses};
    measured.difference =
        static_cast<double>(measured.wins - measured.losses) / static_cast<double>(measured.units.rows);
    return measured;
  }
  double scale = std::max(std::fabs(comparison.candidate), std::fabs(comparison.opponent));
  MeanEstimate estimate = measured.timed
                              ? EstimateForecastMean(measured.units.units, sampling.horizon, scale)
                              : EstimateMean(measured.units.units, scale);
  bool open = measured.timed && std::isinf(estimate.standard_error);
  if (!std::isfinite(estimate.mean) || (!open && !std::isfinite(estimate.standard_error)))
    return Refuse("the scores are too large for their spread to be a number");
  measured.can_tell = measured.can_tell && !open;
  measured.difference = estimate.mean;
  measured.statistic = estimate;
  return measured;
}

double PValue(const Measured& measured, double gain) { return measured.can_tell ? P(measured.statistic, gain) : 1; }

double PValueOfLoss(const Measured& measured, double gain) {
  return measured.can_tell ? P(Turned(measured.statistic), -gain) : 1;
}

double LowerBound(const Measured& measured, double alpha) {
  return measured.can_tell ? Lower(measured.statistic, alpha) : -kInfinity;
}

double UpperBound(const Measured& measured, double alpha) {
  return measured.can_tell ? -Lower(Turned(measured.statistic), alpha) : kInfinity;
}

double RowsForPower(const Measured& measured, double gain, double alpha, double power) {
  if (!measured.can_tell) return kInfinity;
  if (auto* counts = std::get_if<ShareCounts>(&measured.statistic)) return ShareRowsForPower(*counts, gain, alpha, power);
  const MeanEstimate& estimate = std::get<MeanEstimate>(measured.statistic);
  double rows_per_unit = static_cast<double>(measured.units.rows) / static_cast<double>(estimate.units);
  return MeanUnitsForPower(estimate, gain, alpha, power) * rows_per_unit;
}

std::string_view TestName(const Measured& measured, double gain) {
  if (!measured.can_tell) return "none";
  if (std::holds_alternative<ShareCounts>(measured.statistic)) return gain == 0 ? "mcnemar_exact" : "tango_score";
  if (measured.timed) return "diebold_mariano";
  return measured.units.plain ? "paired_t" : "clustered_t";
}

}  // namespace ratchet::gate
