#include "gate/class_report.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

namespace ratchet::gate {
namespace {

double WeightOf(const Evidence& evidence, size_t row) { return evidence.weight.empty() ? 1.0 : evidence.weight[row]; }

std::optional<double> Quotient(double part, double whole) {
  if (!(whole > 0)) return std::nullopt;
  return part / whole;
}

// What single precision may have rounded over the end is still one.
bool IsProbability(double value) { return value > -1e-5 && value < 1 + 1e-5; }

// Edges are i / bins, and a probability on an edge belongs to the bin below it. The division alone might round a
// probability that is next to an edge over it.
size_t BinOf(double probability, int bins) {
  const auto edge = [&](int i) { return static_cast<double>(i) / bins; };
  int bin = std::clamp(static_cast<int>(probability * bins), 0, bins - 1);
  while (bin > 0 && probability <= edge(bin)) --bin;
  while (bin < bins - 1 && probability > edge(bin + 1)) ++bin;
  return static_cast<size_t>(bin);
}

// Turns the sums of each bin into means.
void Finish(Calibration& calibration, double rows) {
  for (ReliabilityBin& bin : calibration.bins) {
    if (!(bin.rows > 0)) continue;
    bin.mean_confidence /= bin.rows;
    bin.share_true /= bin.rows;
    const double error = std::abs(bin.share_true - bin.mean_confidence);
    calibration.expected_error += bin.rows / rows * error;
    calibration.largest_error = std::max(calibration.largest_error, error);
  }
}

}  // namespace

Result<ConfusionMatrix> Confusion(const Evidence& evidence) {
  RATCHET_TRY(CheckEvidence("the confusion matrix", Needs::kClasses, evidence));
  const auto& columns = std::get<ClassColumns>(evidence.columns);
  if (columns.classes > kMostMatrixClasses)
    return Fail(ErrorCode::kTooLarge, "make", "the confusion matrix",
                fmt::format("there are {} classes; the most is {}", columns.classes, kMostMatrixClasses));
  ConfusionMatrix matrix{columns.classes, std::vector<double>(static_cast<size_t>(columns.classes * columns.classes))};
  for (size_t i = 0; i < columns.target.size(); ++i)
    matrix.cells[static_cast<size_t>(columns.target[i] * columns.classes + columns.predicted[i])] +=
        WeightOf(evidence, i);
  return matrix;
}

Result<std::vector<ClassFigures>> PerClass(const Evidence& evidence) {
  RATCHET_TRY(CheckEvidence("the figures of the classes", Needs::kClasses, evidence));
  const auto& columns = std::get<ClassColumns>(evidence.columns);
  std::vector<ClassFigures> figures(static_cast<size_t>(columns.classes));
  std::vector<double> right(figures.size());
  for (size_t i = 0; i < columns.target.size(); ++i) {
    const auto target = static_cast<size_t>(columns.target[i]), predicted = static_cast<size_t>(columns.predicted[i]);
    figures[target].support += WeightOf(evidence, i);
    figures[predicted].predicted += WeightOf(evidence, i);
    if (target == predicted) right[target] += WeightOf(evidence, i);
  }
  for (size_t c = 0; c < figures.size(); ++c) {
    ClassFigures& one = figures[c];
    one.precision = Quotient(right[c], one.predicted);
    one.recall = Quotient(right[c], one.support);
    one.f1 = Quotient(2 * right[c], one.support + one.predicted);
  }
  return figures;
}

Result<Calibration> Calibrate(const Evidence& evidence, Confidence confidence, int bins) {
  const bool of_answer = confidence == Confidence::kPredictedClass;
  if (bins < 1 || bins > kMostBins)
    return Fail(ErrorCode::kInvalid, "make", "the reliability curve",
                fmt::format("it has 1 to {} bins, not {}", kMostBins, bins));
  const Needs needs = of_answer ? Needs::kConfidence : Needs::kPositiveProbability;
  RATCHET_TRY(CheckEvidence("the reliability curve", needs, evidence));
  const auto& columns = std::get<ClassColumns>(evidence.columns);
  const auto probability = of_answer ? columns.predicted_probability : columns.positive_probability;
  if (auto bad = std::ranges::find_if_not(probability, IsProbability); bad != probability.end())
    return Fail(ErrorCode::kInvalid, "make", "the reliability curve",
                fmt::format("row {} has {}, which is no probability", bad - probability.begin() + 1, *bad));
  Calibration calibration{.bins = std::vector<ReliabilityBin>(static_cast<size_t>(bins))};
  for (int i = 0; i < bins; ++i) {
    calibration.bins[static_cast<size_t>(i)].low = static_cast<double>(i) / bins;
    calibration.bins[static_cast<size_t>(i)].high = static_cast<double>(i + 1) / bins;
  }
  double rows = 0;
  for (size_t i = 0; i < probability.size(); ++i) {
    const bool came_true = of_answer ? columns.predicted[i] == columns.target[i] : columns.target[i] == 1;
    const double weight = WeightOf(evidence, i);
    ReliabilityBin& bin = calibration.bins[BinOf(probability[i], bins)];
    bin.rows += weight;
    bin.mean_confidence += weight * probability[i];
    if (came_true) bin.share_true += weight;
    rows += weight;
  }
  Finish(calibration, rows);
  return calibration;
}

}  // namespace ratchet::gate
