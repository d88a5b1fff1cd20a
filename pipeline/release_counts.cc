#include "pipeline/release_counts.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace ratchet::pipeline {
namespace {

using nlohmann::json;

std::int64_t Count(const json& object, const char* name) {
  const json value = object.is_object() ? object.value(name, json()) : json();
  return value.is_number_integer() ? std::clamp<std::int64_t>(value.get<std::int64_t>(), 0, std::int64_t{1} << 50) : 0;
}

void Add(gate::ArmCounts& into, const json& counts, std::int64_t version) {
  const json arms = counts.is_object() ? counts.value("arms", json()) : json();
  const json arm = arms.is_object() ? arms.value(std::to_string(version), json()) : json();
  if (!arm.is_object()) return;
  const std::int64_t requests = Count(arm, "requests");
  into.requests += requests;
  into.errors += std::min(Count(arm, "errors"), requests);
  into.unkeyed += std::min(Count(arm, "unkeyed"), requests);
  const json latencies = arm.value("latencies", json());
  if (!latencies.is_array()) return;
  for (const json& bucket : latencies)
    if (bucket.is_array() && bucket.size() == 2 && bucket[0].is_number_integer() && bucket[1].is_number_integer())
      into.latencies[bucket[0].get<std::int64_t>()] += std::max<std::int64_t>(bucket[1].get<std::int64_t>(), 0);
}

json BoundsJson(const gate::Bounds& bounds) {
  return json::array({bounds.low, std::isfinite(bounds.high) ? json(bounds.high) : json()});
}

}  // namespace

std::vector<gate::WatchedStep> WatchedSteps(const std::vector<registry::ReplicaCounts>& counts, std::int64_t candidate, std::int64_t live,
                                            bool shadow) {
  std::map<std::int64_t, gate::WatchedStep> steps;
  for (const registry::ReplicaCounts& each : counts) {
    gate::WatchedStep& step = steps[each.step];
    step.share = each.share;
    step.paired = shadow;
    Add(step.candidate, each.counts, candidate);
    Add(step.live, each.counts, live);
  }
  std::vector<gate::WatchedStep> in_order;
  for (auto& [number, step] : steps) in_order.push_back(std::move(step));
  return in_order;
}

ShadowFigures ShadowOf(const std::vector<registry::ReplicaCounts>& counts) {
  ShadowFigures figures;
  for (const registry::ReplicaCounts& each : counts) {
    const json shadow = each.counts.is_object() ? each.counts.value("shadow", json()) : json();
    figures.compared += Count(shadow, "compared");
    figures.differing += Count(shadow, "differing");
    figures.dropped += Count(shadow, "dropped");
    const json largest = shadow.is_object() ? shadow.value("largest_difference", json()) : json();
    if (largest.is_number()) figures.largest_difference = std::max(figures.largest_difference, largest.get<double>());
  }
  return figures;
}

json EvidenceJson(const gate::WatchReport& report) {
  json signals = json::array();
  for (const gate::Signal& signal : report.signals)
    signals.push_back({{"name", signal.name}, {"state", gate::SignalStateName(signal.state)}, {"candidate", signal.candidate},
                       {"live", signal.live}, {"candidate_bounds", BoundsJson(signal.candidate_bounds)},
                       {"live_bounds", BoundsJson(signal.live_bounds)}, {"limit", signal.limit}, {"p", signal.p}, {"level", signal.level},
                       {"candidate_seen", signal.candidate_seen}, {"live_seen", signal.live_seen}});
  return {{"requests", report.requests}, {"signals", std::move(signals)},
          {"mismatch", {{"found", report.mismatch}, {"p", report.mismatch_p}}}};
}

}  // namespace ratchet::pipeline
