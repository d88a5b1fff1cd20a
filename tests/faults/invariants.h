#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registry/store.h"
#include "tests/faults/simulated_world.h"

// What holds whatever went wrong.
namespace ratchet::faults {

// Writes that Ratchet has said are done, as whoever asked for them remembers them.
struct Acknowledged {
  std::map<std::string, std::string> dataset_versions;  // "parcels@3" → SHA-256 of its manifest
  std::map<std::string, std::string> revisions;         // "sorter@2" → spec text
  std::map<std::int64_t, std::string> runs;             // id → pipeline
  std::map<std::int64_t, std::string> releases;         // id → kind
  std::map<std::int64_t, std::string> audit;            // id → hash
  std::map<std::int64_t, std::string> events;           // id → type and data
  std::map<std::string, bool> paused;                   // pipeline → as last asked
};

// Notes how far events and audit log have come.
void NoteFeed(registry::Store& store, Acknowledged& acknowledged);

struct Scene {
  registry::Store& store;
  std::string blobs;  // folder
  const Acknowledged& acknowledged;
  const SimulatedProcesses& processes;
  bool disk_failed = false;  // not just full: what a step made may be unreadable, and then its attempt fails
};

// Holds at every moment at which no write is under way. The first violation, in words.
std::optional<std::string> CheckAlways(const Scene& scene);
// Holds, beside the former, once all faults have ceased and nothing is left to do.
std::optional<std::string> CheckAtRest(const Scene& scene);

}  // namespace ratchet::faults
