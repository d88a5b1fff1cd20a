#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"

// Delete-a-group jackknife: the error of any figure by working it out anew without each group in turn. Slow (one
// computation a group) and free of derivatives, hence a check on the influence values behind a metric's gains.
namespace ratchet::gate {

struct InfluenceCheck {
  double jackknife_error = 0;  // √((G−1)/G Σ (figure without g − their mean)²), Quenouille and Tukey
  double influence_error = 0;  // of the gains summed by group
  // influence_error / jackknife_error; 1 where both are 0. From 0.9 to 1.1 is what influence values should give from
  // some 50 groups on.
  double ratio = 1;
};

// `group` and `gain`: one a row. `figure_without` gives the figure (the difference of candidate and opponent, oriented)
// over the rows whose group is not the given one. kInvalid: fewer than two groups, lengths that differ, figures that are
// not finite.
Result<InfluenceCheck> CheckInfluence(std::span<const double> gain, std::span<const std::uint64_t> group,
                                      const std::function<double(std::uint64_t group)>& figure_without);

}  // namespace ratchet::gate
