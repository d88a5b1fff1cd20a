#pragma once

#include <string>
#include <vector>

#include "bench/gate/coverage.h"
#include "bench/gate/power.h"
#include "bench/gate/sequences.h"

// The results as Markdown.
namespace ratchet::bench {

std::string NullTable(const NullPlan& plan, const std::vector<NullResult>& results);
std::string PowerTable(const std::vector<PowerCell>& cells);
std::string SliceNullTable(const std::vector<SliceCell>& cells);
std::string SlicePowerTable(double alpha, const std::vector<SliceCell>& cells);
std::string CoverageTable(const std::vector<CoverageRow>& rows);

}  // namespace ratchet::bench
