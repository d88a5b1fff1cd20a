#pragma once

#include <cstdint>
#include <vector>

#include "gate/release_watch.h"
#include "registry/release_steps.h"

// What replicas count of a release (docs/formats.md, "Routes to replicas") → what the watch judges. Pure.
namespace ratchet::pipeline {

// What a shadow's answers say beside the live ones.
struct ShadowFigures {
  std::int64_t compared = 0, differing = 0, dropped = 0;  // dropped: copies that were not made, since the replica was busy
  double largest_difference = 0;
};

// The steps of a release so far, added up over replicas and their processes. What is no number counts as nothing.
std::vector<gate::WatchedStep> WatchedSteps(const std::vector<registry::ReplicaCounts>& counts, std::int64_t candidate, std::int64_t live,
                                            bool shadow);
ShadowFigures ShadowOf(const std::vector<registry::ReplicaCounts>& counts);

// The evidence as it stands in the release's record.
nlohmann::json EvidenceJson(const gate::WatchReport& report);

}  // namespace ratchet::pipeline
