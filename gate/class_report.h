#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "gate/evidence.h"

// What a classifier gets wrong, for people: shown with the decision, not judged by. Rows count by their weights where
// there are any. Errors: as CheckEvidence, and below.
namespace ratchet::gate {

inline constexpr std::int64_t kMostMatrixClasses = 2'000;  // 32 MB of cells
inline constexpr int kMostBins = 1'000;

struct ConfusionMatrix {
  std::int64_t classes = 0;
  std::vector<double> cells;  // classes × classes: cells[target · classes + predicted] is rows

  double At(std::int64_t target, std::int64_t predicted) const {
    return cells[static_cast<size_t>(target * classes + predicted)];
  }
};

// kTooLarge above kMostMatrixClasses.
Result<ConfusionMatrix> Confusion(const Evidence& evidence);

// Nothing where there is nothing to divide by.
struct ClassFigures {
  double support = 0;               // rows whose target it is
  double predicted = 0;             // rows whose answer it is
  std::optional<double> precision;  // of the rows with this answer, the share that is right
  std::optional<double> recall;     // of the rows with this target, the share that is found
  std::optional<double> f1;         // 2 · right / (support + predicted)
};

// One for each class, in the order of the classes.
Result<std::vector<ClassFigures>> PerClass(const Evidence& evidence);

// Which probability is held against what became of it.
enum class Confidence {
  kPredictedClass,  // of the answer, against whether it was right
  kPositiveClass,   // of class 1 of two, against whether it was the target
};

// The rows whose probability is above `low`, at most `high`; the first bin holds 0 too.
struct ReliabilityBin {
  double low = 0, high = 0;
  double rows = 0;             // 0: the other two are 0 as well
  double mean_confidence = 0;  // mean probability
  double share_true = 0;       // how often it came true
};

struct Calibration {
  // Expected calibration error: Σ rows / all rows · |share_true − mean_confidence| (Naeini, Cooper & Hauskrecht 2015,
  // AAAI 29:2901–2907; over the answers' probability: Guo, Pleiss, Sun & Weinberger 2017, ICML 70:1321–1330).
  double expected_error = 0;
  double largest_error = 0;          // the largest of the bins with rows
  std::vector<ReliabilityBin> bins;  // of equal width, ascending: the reliability curve
};

// `bins`: 1 … kMostBins, otherwise kInvalid.
Result<Calibration> Calibrate(const Evidence& evidence, Confidence confidence, int bins = 15);

}  // namespace ratchet::gate
