#pragma once

#include <span>
#include <vector>

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

// What the rows of each class, by target, add to a figure of a set that is `value`: their recall or F1 by the number of
// classes. An area under a curve is the mean over either class alone (average precision: over the positives), and so rests
// wholly on it.
std::vector<double> ClassParts(const Metric& metric, const ClassColumns& columns, std::span<const double> weight, double value);

// Weight of the rows of each class, by target; the predicted classes need not have been kept.
std::vector<double> TargetWeights(const ClassColumns& columns, std::span<const double> weight);

}  // namespace ratchet::gate
