#include "serving/version_statistics.h"

namespace ratchet::serving {

void VersionStatistics::CountSuccess(std::int64_t rows, const RequestTimes& times, std::int64_t wall_us) {
  rows_ += static_cast<std::uint64_t>(rows);
  last_success_us_ = wall_us;
  success_.Add(times.total);
  queue_.Add(times.queue);
  input_.Add(times.input);
  infer_.Add(times.infer);
  output_.Add(times.output);
}

void VersionStatistics::CountFailure(std::int64_t total_us) { fail_.Add(total_us); }

void VersionStatistics::CountExecution(std::int64_t rows, std::int64_t infer_us) {
  ++executions_;
  std::lock_guard lock(mutex_);
  auto batch = batches_.find(rows);
  if (batch == batches_.end()) {
    if (batches_.size() >= kMaxBatchSizesKept) return;
    batch = batches_.emplace(rows, DurationCount{}).first;
  }
  ++batch->second.count;
  batch->second.us += infer_us;
}

VersionStatistics::Values VersionStatistics::Read() const {
  Values values{.rows = rows_,
                .executions = executions_,
                .last_success_us = last_success_us_,
                .success = success_.Read(),
                .fail = fail_.Read(),
                .queue = queue_.Read(),
                .input = input_.Read(),
                .infer = infer_.Read(),
                .output = output_.Read()};
  std::lock_guard lock(mutex_);
  values.batches = batches_;
  return values;
}

}  // namespace ratchet::serving
