#include "gate/jackknife.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gate/mean_test.h"
#include "gate/sampling.h"

namespace ratchet::gate {
namespace {

std::unexpected<Error> Refuse(std::string cause) {
  return Fail(ErrorCode::kInvalid, "check the influence values", "by jackknife", std::move(cause));
}

double JackknifeError(const std::vector<double>& figures) {
  long double count = static_cast<long double>(figures.size()), mean = 0, squares = 0;
  for (double figure : figures) mean += figure / count;
  for (double figure : figures) squares += (figure - mean) * (figure - mean);
  return static_cast<double>(std::sqrt(squares * (count - 1) / count));
}

}  // namespace

Result<InfluenceCheck> CheckInfluence(std::span<const double> gain, std::span<const std::uint64_t> group,
                                      const std::function<double(std::uint64_t group)>& figure_without) {
  if (group.size() != gain.size()) return Refuse("each row needs one group");
  RATCHET_ASSIGN(Units units, SumUnits(gain, {.group = group}));
  std::vector<std::uint64_t> groups(group.begin(), group.end());
  std::ranges::sort(groups);
  groups.erase(std::ranges::unique(groups).begin(), groups.end());
  if (groups.size() < 2) return Refuse("there are fewer than two groups");
  std::vector<double> figures;
  for (std::uint64_t left_out : groups) figures.push_back(figure_without(left_out));
  if (!std::ranges::all_of(figures, [](double figure) { return std::isfinite(figure); }))
    return Refuse("without one of the groups there is no figure");
  InfluenceCheck check{.jackknife_error = JackknifeError(figures),
                       .influence_error = EstimateMean(units.units).standard_error};
  if (check.jackknife_error != 0 || check.influence_error != 0)
    check.ratio = check.influence_error / check.jackknife_error;
  return check;
}

}  // namespace ratchet::gate
