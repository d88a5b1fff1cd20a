#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "registry/db.h"

// Rows of events.db for the watch of a release.
namespace ratchet::registry {

struct NumberedScore {
  std::int64_t number = 0;  // grows in the order of joining
  double score = 0;
};
// The scores of a version's answers since `since_us` whose version the route chose (not the client), joined after number
// `after`, in that order; at most `most`.
std::vector<NumberedScore> ScoresAfter(Db& db, const std::string& model, std::int64_t version, std::int64_t since_us,
                                       std::int64_t after, std::int64_t most);

}  // namespace ratchet::registry
