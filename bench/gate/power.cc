#include "bench/gate/power.h"

#include <algorithm>
#include <cmath>

#include "gate/alpha_ledger.h"
#include "gate/paired_tests.h"
#include "gate/slices.h"

namespace ratchet::bench {
namespace {

std::uint64_t StreamOf(double a, double b, std::int64_t c, std::int64_t d) {
  return 1'000 + static_cast<std::uint64_t>(std::llround(a * 10'000)) * 1'000'003 +
         static_cast<std::uint64_t>(std::llround(b * 1'000)) * 10'007 + static_cast<std::uint64_t>(c) * 31 +
         static_cast<std::uint64_t>(d);
}

gate::ShareCounts DrawCounts(std::int64_t rows, double differing, double gain, std::mt19937_64& random) {
  std::int64_t differ = DrawBinomial(rows, differing, random);
  std::int64_t wins = DrawBinomial(differ, (differing + gain) / 2 / differing, random);
  return {rows, wins, differ - wins};
}

void Append(std::vector<double>& gain, const gate::ShareCounts& counts) {
  gain.insert(gain.end(), static_cast<size_t>(counts.wins), 1);
  gain.insert(gain.end(), static_cast<size_t>(counts.losses), -1);
  gain.insert(gain.end(), static_cast<size_t>(counts.rows - counts.wins - counts.losses), 0);
}

std::vector<gate::SliceInput> DrawSlices(const SliceCell& cell, std::mt19937_64& random) {
  std::vector<gate::SliceInput> slices(static_cast<size_t>(cell.slices));
  gate::Comparison whole{.zero_one = true};
  for (size_t s = 0; s < slices.size(); ++s) {
    slices[s].margin = cell.margin;
    slices[s].comparison.zero_one = true;
    Append(slices[s].comparison.gain, DrawCounts(cell.rows, cell.differing, s == 0 ? -cell.loss : 0, random));
    whole.gain.insert(whole.gain.end(), slices[s].comparison.gain.begin(), slices[s].comparison.gain.end());
  }
  if (!cell.crossed) return slices;
  std::ranges::shuffle(whole.gain, random);
  for (int s = 0; s < cell.slices; ++s) {
    gate::SliceInput other{.margin = cell.margin, .comparison = {.zero_one = true}};
    auto first = whole.gain.begin() + s * cell.rows;
    other.comparison.gain.assign(first, first + cell.rows);
    slices.push_back(std::move(other));
  }
  return slices;
}

}  // namespace

PowerCell SimulatePower(const Run& run, double alpha, const PowerCell& cell, int trials) {
  PowerCell result = cell;
  result.level = gate::LevelOfLook(alpha, cell.look);
  result.least_gain = gate::LeastShareGain(result.level, cell.rows, cell.differing);
  std::uint64_t stream = StreamOf(cell.gain, cell.differing, cell.rows, cell.look);
  auto p_values = RunTrials(run, stream, trials, [&](std::mt19937_64& random) {
    return gate::McnemarP(DrawCounts(cell.rows, cell.differing, cell.gain, random));
  });
  auto share_at = [&](double level) {
    return static_cast<double>(std::ranges::count_if(p_values, [&](double p) { return p <= level; })) / trials;
  };
  result.ours = share_at(result.level);
  result.fixed = share_at(alpha);
  return result;
}

SliceCell SimulateSlices(const Run& run, double alpha, const SliceCell& cell, int trials) {
  struct Seen {
    bool caught = false, blocked = false;
  };
  std::uint64_t stream = StreamOf(cell.loss, cell.differing, cell.rows, cell.slices + 100 * cell.crossed);
  auto seen = RunTrials(run, stream, trials, [&](std::mt19937_64& random) {
    auto slices = DrawSlices(cell, random);
    auto report = gate::JudgeSlices(slices, {.confidence = 1 - alpha, .shown = {.most_draws = 0}}).value();
    return Seen{report.slices[0].state == gate::SliceState::kWorse, report.any_worse};
  });
  SliceCell result = cell;
  auto count = [&](bool Seen::* what) { return std::ranges::count_if(seen, [&](const Seen& s) { return s.*what; }); };
  result.caught = ShareOf(count(&Seen::caught), trials);
  result.blocked = ShareOf(count(&Seen::blocked), trials);
  return result;
}

double BestSlicePower(double alpha, const SliceCell& cell) {
  using Binomial = boost::math::binomial_distribution<double>;
  const double level = 1 - std::pow(1 - alpha, 1.0 / cell.slices), lost = (cell.differing + cell.loss) / 2 / cell.differing;
  double power = 0;
  for (std::int64_t differ = 1; differ <= cell.rows; ++differ) {
    const Binomial equal(static_cast<double>(differ), 0.5), worse(static_cast<double>(differ), lost);
    std::int64_t least = differ + 1;  // losses that refute
    while (least > 0 && gate::McnemarP({cell.rows, least - 1, differ - least + 1}) <= level) --least;
    double sure = least > differ ? 0 : gate::McnemarP({cell.rows, least, differ - least});
    const double edge = static_cast<double>(least - 1), drawn = (level - sure) / boost::math::pdf(equal, edge);
    const double found = boost::math::cdf(boost::math::complement(worse, edge)) + drawn * boost::math::pdf(worse, edge);
    power += found * boost::math::pdf(Binomial(static_cast<double>(cell.rows), cell.differing), static_cast<double>(differ));
  }
  return power;
}

std::int64_t SliceRowsNeeded(double alpha, int slices, double differing, double loss) {
  constexpr std::int64_t kManyRows = 1'000'000;
  double n = static_cast<double>(kManyRows);
  gate::ShareCounts mirrored{kManyRows, std::llround(n * (differing + loss) / 2), std::llround(n * (differing - loss) / 2)};
  return std::llround(std::ceil(gate::ShareRowsForPower(mirrored, 0, alpha / slices, 0.8)));
}

}  // namespace ratchet::bench
