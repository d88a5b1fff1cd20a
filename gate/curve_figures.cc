// The figures that are areas under curves: the rows in the order of their scores.
#include <spdlog/fmt/fmt.h>

#include <string>
#include <vector>

#include "gate/score_order.h"
#include "gate/set_figures.h"

namespace ratchet::gate {
namespace {

double WeightOf(std::span<const double> weight, size_t row) { return weight.empty() ? 1.0 : weight[row]; }

// Positive and negative rows, as many as their weights say.
struct Counts {
  double positives = 0, negatives = 0;

  double Rows() const { return positives + negatives; }
  void Add(const Counts& other) {
    positives += other.positives;
    negatives += other.negatives;
  }
};

// Rows in ascending order of their scores. Those of one score make a step.
struct Curve {
  std::vector<OrderedRow> order;
  std::span<const double> weight;
  Counts all;

  size_t EndOfStep(size_t begin) const {
    size_t end = begin + 1;
    while (end < order.size() && order[end].key == order[begin].key) ++end;
    return end;
  }
  size_t BeginOfStep(size_t end) const {
    size_t begin = end - 1;
    while (begin > 0 && order[begin - 1].key == order[begin].key) --begin;
    return begin;
  }
  Counts Count(size_t begin, size_t end) const {
    Counts counts;
    for (size_t i = begin; i < end; ++i)
      (order[i].target == 1 ? counts.positives : counts.negatives) += WeightOf(weight, order[i].row);
    return counts;
  }
};

Result<Curve> CurveOf(std::string name, const ClassColumns& columns, std::span<const double> weight) {
  if (columns.target.size() > static_cast<size_t>(kMostOrderedRows))
    return Fail(ErrorCode::kTooLarge, "evaluate", name, fmt::format("the most rows are {}", kMostOrderedRows));
  Curve curve{AscendingByScore(columns.positive_probability, columns.target), weight, {}};
  curve.all = curve.Count(0, curve.order.size());
  if (curve.all.positives > 0 && curve.all.negatives > 0) return curve;
  return Fail(
      ErrorCode::kInvalid, "evaluate", name,
      fmt::format("all rows are of class {}, and it ranks one class above the other", curve.all.positives > 0 ? 1 : 0));
}

}  // namespace

// A row's structural component is the share of the other class that it is ranked right against, ties half (DeLong,
// DeLong & Clarke-Pearson 1988, Biometrics 44:837–845; by midranks as Sun & Xu 2014, IEEE Signal Processing Letters
// 21:1389–1393). The area is the mean component of either class.
Result<Figure> RocAuc(const ClassColumns& columns, std::span<const double> weight) {
  RATCHET_ASSIGN(const Curve curve, CurveOf("roc_auc", columns, weight));
  const size_t rows = columns.target.size();
  Figure figure{0, std::vector<double>(rows)};
  Counts below;
  for (size_t begin = 0, end = 0; begin < rows; begin = end) {
    end = curve.EndOfStep(begin);
    const Counts step = curve.Count(begin, end);
    const double of_positive = (below.negatives + step.negatives / 2) / curve.all.negatives;
    const double of_negative = 1 - (below.positives + step.positives / 2) / curve.all.positives;
    for (size_t i = begin; i < end; ++i)
      figure.influence[curve.order[i].row] = curve.order[i].target == 1 ? of_positive : of_negative;
    figure.value += step.positives * of_positive;
    below.Add(step);
  }
  figure.value /= curve.all.positives;
  for (size_t i = 0; i < rows; ++i) {
    const double of_class = columns.target[i] == 1 ? curve.all.positives : curve.all.negatives;
    figure.influence[i] = curve.all.Rows() / of_class * (figure.influence[i] - figure.value);
  }
  return figure;
}

// AP = 1/P Σ p_s T_s / N_s over the steps s, with p_s the positives of the step, T_s and N_s the positives and rows of
// its score or above, P = all positives. So a row of step r adds to ∂(P·AP), for every step s at or below r:
// p_s (1 / N_s − T_s / N_s²) when positive and −p_s T_s / N_s² when not; a positive row adds its own T_r / N_r and
// takes AP for being one of P.
//
// Precisions add up from the best score down, what a row adds to others from the worst up: two walks, and the first
// leaves T and N of each step with the step's last row.
Result<Figure> PrAuc(const ClassColumns& columns, std::span<const double> weight) {
  RATCHET_ASSIGN(const Curve curve, CurveOf("pr_auc", columns, weight));
  const size_t rows = columns.target.size();
  std::vector<Counts> above(rows);
  Counts sum;
  for (size_t end = rows, begin = 0; end > 0; end = begin) {
    begin = curve.BeginOfStep(end);
    sum.Add(curve.Count(begin, end));
    above[end - 1] = sum;
  }
  Figure figure{0, std::vector<double>(rows)};
  double inverse = 0, precision_inverse = 0;
  for (size_t begin = 0, end = 0; begin < rows; begin = end) {
    end = curve.EndOfStep(begin);
    const double positives = curve.Count(begin, end).positives, rows_above = above[end - 1].Rows();
    const double precision = rows_above > 0 ? above[end - 1].positives / rows_above : 0;
    if (positives > 0) {
      figure.value += positives * precision / curve.all.positives;
      inverse += positives / rows_above;
      precision_inverse += positives * precision / rows_above;
    }
    for (size_t i = begin; i < end; ++i)
      figure.influence[curve.order[i].row] = (curve.order[i].target == 1 ? precision + inverse : 0) - precision_inverse;
  }
  for (size_t i = 0; i < rows; ++i) {
    const double of_all = columns.target[i] == 1 ? figure.value : 0;
    figure.influence[i] = curve.all.Rows() / curve.all.positives * (figure.influence[i] - of_all);
  }
  return figure;
}

}  // namespace ratchet::gate
