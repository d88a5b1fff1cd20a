#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

namespace ratchet::serving {

inline constexpr size_t kMaxBatchSizesKept = 128;  // further ones count in the sums only

// How often, and how long in all.
struct DurationCount {
  std::uint64_t count = 0;
  std::int64_t us = 0;
};

// Of one request, in microseconds.
struct RequestTimes {
  std::int64_t total = 0;   // from its admission to its answer
  std::int64_t queue = 0;   // before anything was done
  std::int64_t input = 0;   // reading its tensors
  std::int64_t infer = 0;   // in the model
  std::int64_t output = 0;  // writing the answer
};

// What Triton's statistics extension and metrics tell of one version since it was first loaded. Any thread.
class VersionStatistics {
 public:
  // A request that was answered, of so many rows, at this wall time.
  void CountSuccess(std::int64_t rows, const RequestTimes& times, std::int64_t wall_us);
  // One that was not, once it was admitted: whoever was at fault.
  void CountFailure(std::int64_t total_us);
  // One call of the model for so many rows, those of one request or of many.
  void CountExecution(std::int64_t rows, std::int64_t infer_us);

  struct Values {
    std::uint64_t rows = 0, executions = 0;
    std::int64_t last_success_us = 0;  // wall time; 0 = none yet
    DurationCount success, fail, queue, input, infer, output;
    std::map<std::int64_t, DurationCount> batches;  // by rows
  };
  Values Read() const;

 private:
  struct Sum {
    void Add(std::int64_t its_us) {
      ++count;
      us += its_us;
    }
    DurationCount Read() const { return {.count = count, .us = us}; }
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::int64_t> us{0};
  };

  std::atomic<std::uint64_t> rows_{0}, executions_{0};
  std::atomic<std::int64_t> last_success_us_{0};
  Sum success_, fail_, queue_, input_, infer_, output_;
  mutable std::mutex mutex_;
  std::map<std::int64_t, DurationCount> batches_;
};

}  // namespace ratchet::serving
