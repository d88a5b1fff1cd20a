#include "gate/shown_interval.h"

#include <algorithm>
#include <variant>

namespace ratchet::gate {

ShownInterval IntervalToShow(const Measured& measured, const BcaOptions& options, Method method) {
  const double tail = (1 - options.confidence) / 2;
  const ShownInterval test{LowerBound(measured, tail), UpperBound(measured, tail), "test"};
  if (!measured.can_tell || measured.timed) return test;
  const Interval resampled = BcaInterval(measured.units.units, options);
  // The comparison is false for NaN, too: what cannot be resampled.
  if (resampled.method == IntervalMethod::kNone || !(resampled.low <= resampled.high)) return test;
  const std::string_view name = IntervalMethodName(resampled.method);
  const bool alone = method == Method::kFirst || std::holds_alternative<ShareCounts>(measured.statistic);
  if (alone) return {resampled.low, resampled.high, name};
  return {std::min(resampled.low, test.low), std::max(resampled.high, test.high), name};
}

}  // namespace ratchet::gate
