#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

// What people and meters are shown of runs beyond their rows. Reads only.
namespace ratchet::registry {

// What stands before a queued run.
struct QueuePlace {
  bool paused = false;                     // its pipeline is
  std::optional<std::int64_t> under_way;   // a running run of the same pipeline
  std::optional<std::int64_t> goes_first;  // a queued one of the same pipeline
  std::int64_t running = 0;                // runs of all pipelines
};
QueuePlace PlaceInQueue(Db& db, const Run& run);

// When attempts of other runs ran that were begun about when this run was, oldest first, at most 10,000.
struct BusySpan {
  std::int64_t from = 0;
  std::optional<std::int64_t> until;  // nothing = still
};
std::vector<BusySpan> BusyElsewhere(Db& db, const Run& run);

// The present row of one step, without its attempts.
struct StepFacts {
  std::string kind;
  std::int64_t attempts_before = 0;
  std::optional<std::int64_t> ready_at, started_at, ended_at;
  bool cached = false;   // another run did the work
  bool keyed = false;    // it was looked up in the cache
};
std::optional<StepFacts> FindStepFacts(Db& db, std::int64_t run, const std::string& step);

// Steps of running runs that run, and that could but do not.
struct StepLoad {
  std::int64_t running = 0, ready = 0;
};
StepLoad CountSteps(Db& db);

}  // namespace ratchet::registry
