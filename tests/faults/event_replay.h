#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "registry/events.h"

// The present state as the events tell it, from the first to the last.
namespace ratchet::faults {

struct Replay {
  std::map<std::string, std::string> runs;       // "5" → "running"
  std::map<std::string, std::string> steps;      // "5/train" → "succeeded"
  std::map<std::string, std::string> attempts;   // "5/train-1" → "lost"
  std::map<std::string, std::string> versions;   // "sorter@2" → "passed"
  std::map<std::string, std::string> releases;   // "3" → "done"
  std::map<std::string, std::string> live;       // "sorter" → "2"
  std::map<std::string, std::string> revisions;  // "sorter" → "2"
  std::map<std::string, std::string> datasets;   // "parcels" → "4"
  std::string violation;  // of what must not happen on the way

  void Take(const registry::Event& event);

 private:
  void TakeStep(const std::string& run, const registry::Json& data);
  std::map<std::string, std::int64_t> steps_of_;  // release → its latest step
  std::map<std::string, int> succeeded_;  // attempts of a step in the present try
};

}  // namespace ratchet::faults
