#include "serving/arm_counts.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <bit>
#include <random>

namespace ratchet::serving {

namespace {
constexpr int kSubBits = 4;  // 16 buckets to each doubling
}

size_t LatencyBucketOf(std::int64_t latency_us) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(latency_us, 0));
  if (us < (1u << kSubBits)) return 0;
  const int doubling = std::bit_width(us) - 1 - kSubBits;  // from 0
  const std::uint64_t within = (us >> doubling) - (1u << kSubBits);
  return std::min<size_t>(1 + static_cast<size_t>(doubling) * (1u << kSubBits) + within, kLatencyBuckets - 1);
}

std::int64_t LatencyBoundOf(size_t bucket) {
  if (bucket == 0) return (1 << kSubBits) - 1;
  const size_t doubling = (bucket - 1) >> kSubBits, within = (bucket - 1) & ((1u << kSubBits) - 1);
  return (static_cast<std::int64_t>((1u << kSubBits) + within + 1) << doubling) - 1;
}

void ArmCounter::Count(bool failed, bool keyed, std::int64_t latency_us) {
  buckets_[LatencyBucketOf(latency_us)].fetch_add(1, std::memory_order_relaxed);
  if (failed) errors_.fetch_add(1, std::memory_order_relaxed);
  if (!keyed) unkeyed_.fetch_add(1, std::memory_order_relaxed);
  requests_.fetch_add(1, std::memory_order_release);  // last: a reader never finds more errors than requests
}

ArmValues ArmCounter::Read() const {
  ArmValues values;
  // Errors first: what is counted meanwhile is told the next time.
  values.errors = errors_.load(std::memory_order_acquire);
  values.unkeyed = unkeyed_.load(std::memory_order_acquire);
  values.requests = std::max({requests_.load(std::memory_order_acquire), values.errors, values.unkeyed});
  for (size_t i = 0; i < buckets_.size(); ++i)
    if (const std::uint64_t count = buckets_[i].load(std::memory_order_relaxed)) values.latencies.push_back({LatencyBoundOf(i), count});
  return values;
}

void ShadowCounter::Compared(bool differs, double difference) {
  if (differs) ++differing_;
  double known = largest_.load();
  while (difference > known && !largest_.compare_exchange_weak(known, difference)) {
  }
  ++compared_;
}

ShadowValues ShadowCounter::Read() const {
  return {.compared = compared_, .differing = differing_, .dropped = dropped_, .largest_difference = largest_};
}

SplitCounts::SplitCounts(std::int64_t release, std::int64_t step, const std::vector<std::int64_t>& versions, bool shadow, std::string instance)
    : release_(release), step_(step), is_shadow_(shadow), instance_(std::move(instance)) {
  for (std::int64_t version : versions) arms_.try_emplace(version);
}

std::shared_ptr<ArmCounter> SplitCounts::Arm(const std::shared_ptr<SplitCounts>& counts, std::int64_t version) {
  const auto found = counts->arms_.find(version);
  return found == counts->arms_.end() ? nullptr : std::shared_ptr<ArmCounter>(counts, &found->second);
}

ArmsTold SplitCounts::Told() const {
  ArmsTold told{.release = release_, .step = step_, .instance = instance_, .arms = {}, .shadow = {}};
  for (const auto& [version, counter] : arms_) told.arms[version] = counter.Read();
  if (is_shadow_) told.shadow = shadow_.Read();
  return told;
}

std::string FreshInstance() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace ratchet::serving
