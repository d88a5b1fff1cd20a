#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "registry/runs.h"

// Which queued runs are begun next. Pure.
namespace ratchet::pipeline {

struct QueueFacts {
  std::vector<registry::QueuedRun> queued;         // any order
  std::set<std::string> running;                   // pipelines that have a run under way: one at a time
  std::map<std::string, std::int64_t> last_begun;  // of each queued pipeline, microseconds; 0 = never
  std::int64_t free_places = 0;                    // of the cap on parallel runs
};

// Ids in the order to begin them. Higher priority goes first; among equals the pipeline whose last run was begun longest
// ago, so that one that queues many runs does not hold the others up; then the older run. A cancelled run needs no place.
std::vector<std::int64_t> NextToBegin(const QueueFacts& facts);

}  // namespace ratchet::pipeline
