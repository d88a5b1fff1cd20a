#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// What a serving process counts of the versions that share a model's traffic, within one step of a release. Any thread,
// without locks.
namespace ratchet::serving {

// Buckets of latency: 16 to each doubling, so that a bound is at most 6.3 % above what lies in the bucket. From 16 us (all below
// is one) to some 18 minutes (so is all above).
inline constexpr size_t kLatencyBuckets = 16 * 26 + 1;
size_t LatencyBucketOf(std::int64_t latency_us);
std::int64_t LatencyBoundOf(size_t bucket);  // the largest latency in it, in microseconds

struct ArmValues {
  std::uint64_t requests = 0, errors = 0, unkeyed = 0;
  std::vector<std::pair<std::int64_t, std::uint64_t>> latencies;  // bound in microseconds → how many; empty buckets left out
};

class ArmCounter {
 public:
  // An answer by the version: `failed` where the version is at fault; `keyed` where a sticky key chose the arm.
  void Count(bool failed, bool keyed, std::int64_t latency_us);
  ArmValues Read() const;

 private:
  std::atomic<std::uint64_t> requests_{0}, errors_{0}, unkeyed_{0};
  std::array<std::atomic<std::uint32_t>, kLatencyBuckets> buckets_{};
};

struct ShadowValues {
  std::uint64_t compared = 0, differing = 0, dropped = 0;
  double largest_difference = 0;
};

class ShadowCounter {
 public:
  void Compared(bool differs, double difference);
  void Dropped() { ++dropped_; }
  ShadowValues Read() const;

 private:
  std::atomic<std::uint64_t> compared_{0}, differing_{0}, dropped_{0};
  std::atomic<double> largest_{0};
};

// As told to the control plane: cumulative since these counts, `instance`, were begun.
struct ArmsTold {
  std::int64_t release = 0, step = 0;
  std::string instance;
  std::map<std::int64_t, ArmValues> arms;  // by version
  std::optional<ShadowValues> shadow;
};

// The counters of one step.
class SplitCounts {
 public:
  SplitCounts(std::int64_t release, std::int64_t step, const std::vector<std::int64_t>& versions, bool shadow, std::string instance);
  std::int64_t release() const { return release_; }
  std::int64_t step() const { return step_; }
  // Of one of the versions; shares the life of these counts. Null for another version.
  static std::shared_ptr<ArmCounter> Arm(const std::shared_ptr<SplitCounts>& counts, std::int64_t version);
  ShadowCounter& shadow() { return shadow_; }
  ArmsTold Told() const;

 private:
  const std::int64_t release_, step_;
  const bool is_shadow_;
  const std::string instance_;
  std::map<std::int64_t, ArmCounter> arms_;  // its keys never change
  ShadowCounter shadow_;
};

// A name that no other counts have: 16 hex digits.
std::string FreshInstance();

}  // namespace ratchet::serving
