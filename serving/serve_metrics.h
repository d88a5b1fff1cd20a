#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "serving/version_statistics.h"

namespace ratchet::serving {

// Upper bounds of the latency histogram's buckets, in microseconds; one more bucket takes the rest.
inline constexpr std::array<std::int64_t, 14> kLatencyBoundsUs = {
    100, 250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 1'000'000, 5'000'000, 30'000'000};

// Upper bounds of the buckets for rows of one call of a model; one more bucket takes the rest.
inline constexpr std::array<std::int64_t, 8> kBatchBounds = {1, 2, 4, 8, 16, 32, 64, 128};

// Counters of one version of one model. Any thread, without locks.
class VersionMetrics {
 public:
  void Count(int http_status, std::int64_t latency_us);
  void CountCall(std::int64_t rows, std::int64_t took_us);  // of the model
  std::atomic<std::int64_t> waiting{0};                     // requests, now

  struct Values {
    std::uint64_t requests = 0, client_errors = 0, server_errors = 0;
    std::int64_t latency_sum_us = 0;
    std::array<std::uint64_t, kLatencyBoundsUs.size() + 1> buckets{};
    std::int64_t computed_us = 0, rows = 0;
    std::array<std::uint64_t, kBatchBounds.size() + 1> batches{};
  };
  Values Read() const;

  VersionStatistics statistics;

 private:
  std::atomic<std::uint64_t> requests_{0}, client_errors_{0}, server_errors_{0};
  std::atomic<std::int64_t> latency_sum_us_{0};
  std::array<std::atomic<std::uint64_t>, kLatencyBoundsUs.size() + 1> buckets_{};
  std::atomic<std::int64_t> computed_us_{0}, rows_{0};
  std::array<std::atomic<std::uint64_t>, kBatchBounds.size() + 1> batches_{};
};

// What became of predictions on their way to the control plane. Any thread, without locks.
struct PredictionCounts {
  std::atomic<std::uint64_t> logged{0};           // in the spool
  std::atomic<std::uint64_t> shipped{0};          // taken by the control plane
  std::atomic<std::uint64_t> dropped_queue{0};    // no room on the way to the spool
  std::atomic<std::uint64_t> dropped_spool{0};    // the spool was full, or its disk refused
  std::atomic<std::uint64_t> dropped_refused{0};  // the control plane would not have it
  std::atomic<std::int64_t> spool_bytes{0};       // now
};

// All counters of the program, for /metrics. A version's numbers stay after it is unloaded. Any thread.
class ServeMetrics {
 public:
  std::shared_ptr<VersionMetrics> Of(const std::string& model, std::int64_t version);
  // By model and version number.
  using Version = std::pair<std::pair<std::string, std::int64_t>, std::shared_ptr<const VersionMetrics>>;
  std::vector<Version> Versions() const;
  // Prometheus text format 0.0.4.
  std::string PrometheusText() const;

  std::atomic<std::uint64_t> shed{0};        // requests answered 429 or 503 for want of room
  std::atomic<std::int64_t> connections{0};  // open now
  std::atomic<std::uint64_t> swaps{0};       // changes of a model's live version
  std::atomic<std::uint64_t> failed_loads{0};
  PredictionCounts predictions;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::int64_t>, std::shared_ptr<VersionMetrics>> versions_;
};

}  // namespace ratchet::serving
