#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"
#include "lake/split.h"

namespace ratchet::lake {

// Those of `hashes` (Splitter::HashOf) that rows of these packs have. Reads the key's column alone where the policy has one.
// The packs have the schema.
Result<std::unordered_set<std::uint64_t>> KeysHeld(const std::vector<std::string>& packs, const SplitPolicy& policy,
                                                   const Schema& schema, const std::unordered_set<std::uint64_t>& hashes);

}  // namespace ratchet::lake
