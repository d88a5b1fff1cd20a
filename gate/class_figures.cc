// The figures that are made of counts of classes.
#include <algorithm>
#include <vector>

#include "gate/set_figures.h"

namespace ratchet::gate {
namespace {

// Rows of each class, as many as their weights say.
struct ClassCounts {
  std::vector<double> target, predicted, correct;
  std::vector<char> seen;  // as target or as answer, whatever the weight
  double rows = 0;
};

ClassCounts CountClasses(const ClassColumns& columns, std::span<const double> weight) {
  const auto classes = static_cast<size_t>(columns.classes);
  ClassCounts counts{std::vector<double>(classes), std::vector<double>(classes), std::vector<double>(classes),
                     std::vector<char>(classes)};
  for (size_t i = 0; i < columns.target.size(); ++i) {
    const auto target = static_cast<size_t>(columns.target[i]), predicted = static_cast<size_t>(columns.predicted[i]);
    const double w = weight.empty() ? 1.0 : weight[i];
    counts.rows += w;
    counts.target[target] += w;
    counts.predicted[predicted] += w;
    if (target == predicted) counts.correct[target] += w;
    counts.seen[target] = counts.seen[predicted] = 1;
  }
  return counts;
}

double Quotient(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Of each class, by the number of classes that count.
std::vector<double> RecallParts(const ClassCounts& counts) {
  std::vector<double> part(counts.target.size());
  const auto classes = static_cast<double>(std::ranges::count_if(counts.target, [](double rows) { return rows > 0; }));
  for (size_t c = 0; c < part.size(); ++c) part[c] = Quotient(counts.correct[c], counts.target[c]) / classes;
  return part;
}

std::vector<double> F1Parts(const ClassCounts& counts) {
  std::vector<double> part(counts.target.size());
  const auto classes = static_cast<double>(std::ranges::count(counts.seen, char{1}));
  for (size_t c = 0; c < part.size(); ++c)
    part[c] = Quotient(2 * counts.correct[c], counts.target[c] + counts.predicted[c]) / classes;
  return part;
}

}  // namespace

Result<Figure> BalancedAccuracy(const ClassColumns& columns, std::span<const double> weight) {
  const ClassCounts counts = CountClasses(columns, weight);
  const size_t rows = columns.target.size();
  std::vector<double> recall(counts.target.size());
  double classes = 0, sum = 0;
  for (size_t c = 0; c < recall.size(); ++c) {
    recall[c] = Quotient(counts.correct[c], counts.target[c]);
    classes += counts.target[c] > 0;
    sum += recall[c];
  }
  if (classes < 2)
    return Fail(ErrorCode::kInvalid, "evaluate", "balanced_accuracy", "all rows are of one class", "Use accuracy.");
  Figure figure{sum / classes, std::vector<double>(rows)};
  for (size_t i = 0; i < rows; ++i) {
    const auto target = static_cast<size_t>(columns.target[i]);
    const double correct = columns.predicted[i] == columns.target[i] ? 1.0 : 0.0;
    figure.influence[i] = counts.rows / classes * Quotient(correct - recall[target], counts.target[target]);
  }
  return figure;
}

// The F1 of a class is 2 correct / (target + predicted); its influence is that of a ratio.
Result<Figure> MacroF1(const ClassColumns& columns, std::span<const double> weight) {
  const ClassCounts counts = CountClasses(columns, weight);
  const size_t rows = columns.target.size();
  std::vector<double> f1(counts.target.size());
  double classes = 0, sum = 0;
  for (size_t c = 0; c < f1.size(); ++c) {
    f1[c] = Quotient(2 * counts.correct[c], counts.target[c] + counts.predicted[c]);
    classes += counts.seen[c];
    sum += f1[c];
  }
  Figure figure{sum / classes, std::vector<double>(rows)};
  const auto loss = [&](size_t c) { return Quotient(f1[c], counts.target[c] + counts.predicted[c]); };
  for (size_t i = 0; i < rows; ++i) {
    const auto target = static_cast<size_t>(columns.target[i]), predicted = static_cast<size_t>(columns.predicted[i]);
    const double gain = target == predicted ? Quotient(2, counts.target[target] + counts.predicted[target]) : 0;
    figure.influence[i] = counts.rows / classes * (gain - loss(target) - loss(predicted));
  }
  return figure;
}

std::vector<double> ClassParts(const Metric& metric, const ClassColumns& columns, std::span<const double> weight, double value) {
  if (metric.id == MetricId::kBalancedAccuracy) return RecallParts(CountClasses(columns, weight));
  if (metric.id == MetricId::kMacroF1) return F1Parts(CountClasses(columns, weight));
  return {metric.id == MetricId::kRocAuc ? value : 0, value};
}

std::vector<double> TargetWeights(const ClassColumns& columns, std::span<const double> weight) {
  std::vector<double> of_class(static_cast<size_t>(columns.classes));
  for (size_t i = 0; i < columns.target.size(); ++i)
    of_class[static_cast<size_t>(columns.target[i])] += weight.empty() ? 1.0 : weight[i];
  return of_class;
}

}  // namespace ratchet::gate
