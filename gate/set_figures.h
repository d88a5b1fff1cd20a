#pragma once

#include <span>

#include "base/result.h"
#include "gate/evaluate.h"
#include "gate/evidence.h"

// The figures that are of all rows together (Aggregate::kOfSet). A part of gate/evaluate.h, on evidence that passed
// CheckEvidence. `weight`: of each row, or empty.
namespace ratchet::gate {

Result<Figure> BalancedAccuracy(const ClassColumns& columns, std::span<const double> weight);
Result<Figure> MacroF1(const ClassColumns& columns, std::span<const double> weight);
Result<Figure> RocAuc(const ClassColumns& columns, std::span<const double> weight);
Result<Figure> PrAuc(const ClassColumns& columns, std::span<const double> weight);

}  // namespace ratchet::gate
