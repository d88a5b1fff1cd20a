#include "serving/batch_cost.h"

#include <algorithm>

namespace ratchet::serving {

void BatchCost::Saw(std::int64_t rows, std::int64_t took_us) {
  const double n = static_cast<double>(rows), t = static_cast<double>(took_us);
  const double weight = std::max(kForget, 1.0 / ++seen_);
  seen_ = std::min(seen_, 1000);
  const auto blend = [&](double& mean, double value) { mean += weight * (value - mean); };
  blend(rows_, n);
  blend(us_, t);
  blend(rows_rows_, n * n);
  blend(rows_us_, n * t);
}

std::int64_t BatchCost::Expect(std::int64_t rows) const {
  if (!Known()) return 0;
  const double spread = rows_rows_ - rows_ * rows_, together = rows_us_ - rows_ * us_;
  const double most = us_ / std::max(1.0, rows_);  // per row, if a call cost nothing by itself
  // With calls of one size only there is no line; then a row costs its share.
  const double slope = spread > 0.01 * rows_ * rows_ ? std::clamp(together / spread, 0.0, most) : most;
  const double fixed = us_ - slope * rows_;
  return static_cast<std::int64_t>(fixed + slope * static_cast<double>(rows));
}

}  // namespace ratchet::serving
