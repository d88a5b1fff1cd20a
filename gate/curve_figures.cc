// The figures that are areas under curves: the rows in the order of their scores.
#include <spdlog/fmt/fmt.h>

#include <ranges>
#include <string>
#include <vector>

#include "gate/score_order.h"
#include "gate/set_figures.h"

namespace ratchet::gate {
namespace {

// The rows of one score, together.
struct Step {
  size_t end = 0;  // after the last of them in the order
  double positives = 0, negatives = 0;
  double positives_above = 0, rows_above = 0;  // of this score or above; AddUpFromAbove
};

// Rows in ascending order of their scores, gathered into steps. Counts are sums of weights.
struct Curve {
  std::vector<ScoredRow> order;
  std::vector<Step> steps;
  double positives = 0, negatives = 0;
};

double WeightOf(std::span<const double> weight, size_t row) { return weight.empty() ? 1.0 : weight[row]; }

Result<Curve> CurveOf(std::string name, const ClassColumns& columns, std::span<const double> weight) {
  const size_t rows = columns.target.size();
  if (rows > static_cast<size_t>(kMostOrderedRows))
    return Fail(ErrorCode::kTooLarge, "evaluate", name, fmt::format("the most rows are {}", kMostOrderedRows));
  Curve curve{.order = AscendingByScore(columns.positive_probability)};
  for (size_t begin = 0; begin < rows;) {
    Step step{.end = begin};
    for (; step.end < rows && curve.order[step.end].score == curve.order[begin].score; ++step.end) {
      const size_t row = curve.order[step.end].row;
      (columns.target[row] == 1 ? step.positives : step.negatives) += WeightOf(weight, row);
    }
    curve.positives += step.positives;
    curve.negatives += step.negatives;
    curve.steps.push_back(step);
    begin = step.end;
  }
  if (!(curve.positives > 0) || !(curve.negatives > 0))
    return Fail(
        ErrorCode::kInvalid, "evaluate", name,
        fmt::format("all rows are of class {}, and it ranks one class above the other", curve.positives > 0 ? 1 : 0));
  return curve;
}

void AddUpFromAbove(std::vector<Step>& steps) {
  double positives = 0, rows = 0;
  for (Step& step : std::views::reverse(steps)) {
    step.positives_above = positives += step.positives;
    step.rows_above = rows += step.positives + step.negatives;
  }
}

// Calls each(row, is_positive) for the rows of one step.
template <typename EachRow>
void ForRowsOf(const Curve& curve, const ClassColumns& columns, size_t step, const EachRow& each) {
  for (size_t i = step == 0 ? 0 : curve.steps[step - 1].end; i < curve.steps[step].end; ++i) {
    const size_t row = curve.order[i].row;
    each(row, columns.target[row] == 1);
  }
}

}  // namespace

// A row's structural component is the share of the other class that it is ranked right against, ties half (DeLong,
// DeLong & Clarke-Pearson 1988, Biometrics 44:837–845; by midranks as Sun & Xu 2014, IEEE Signal Processing Letters
// 21:1389–1393). The area is the mean component of either class.
Result<Figure> RocAuc(const ClassColumns& columns, std::span<const double> weight) {
  RATCHET_ASSIGN(const Curve curve, CurveOf("roc_auc", columns, weight));
  const size_t rows = columns.target.size();
  Figure figure{0, std::vector<double>(rows)};
  double positives_below = 0, negatives_below = 0;
  for (size_t s = 0; s < curve.steps.size(); ++s) {
    const Step& step = curve.steps[s];
    const double of_positive = (negatives_below + step.negatives / 2) / curve.negatives;
    const double of_negative = 1 - (positives_below + step.positives / 2) / curve.positives;
    ForRowsOf(curve, columns, s,
              [&](size_t row, bool is_positive) { figure.influence[row] = is_positive ? of_positive : of_negative; });
    figure.value += step.positives * of_positive;
    positives_below += step.positives;
    negatives_below += step.negatives;
  }
  figure.value /= curve.positives;
  for (size_t i = 0; i < rows; ++i) {
    const double of_class = columns.target[i] == 1 ? curve.positives : curve.negatives;
    figure.influence[i] =
        static_cast<double>(rows) * WeightOf(weight, i) / of_class * (figure.influence[i] - figure.value);
  }
  return figure;
}

// AP = 1/P Σ p_s T_s / N_s over the steps s, with p_s the positives of the step, T_s and N_s the positives and rows of
// its score or above, P = all positives. So a row of step r adds to ∂(P·AP), for every step s at or below r:
// p_s (1 / N_s − T_s / N_s²) when positive and −p_s T_s / N_s² when not; a positive row adds its own T_r / N_r and
// takes AP for being one of P.
Result<Figure> PrAuc(const ClassColumns& columns, std::span<const double> weight) {
  RATCHET_ASSIGN(Curve curve, CurveOf("pr_auc", columns, weight));
  AddUpFromAbove(curve.steps);
  const size_t rows = columns.target.size();
  double sum = 0, inverse = 0, precision_inverse = 0;
  Figure figure{0, std::vector<double>(rows)};
  for (size_t s = 0; s < curve.steps.size(); ++s) {
    const Step& step = curve.steps[s];
    const double precision = step.rows_above > 0 ? step.positives_above / step.rows_above : 0;
    if (step.positives > 0) {
      sum += step.positives * precision;
      inverse += step.positives / step.rows_above;
      precision_inverse += step.positives * precision / step.rows_above;
    }
    ForRowsOf(curve, columns, s, [&](size_t row, bool is_positive) {
      figure.influence[row] = (is_positive ? precision + inverse : 0) - precision_inverse;
    });
  }
  figure.value = sum / curve.positives;
  for (size_t i = 0; i < rows; ++i) {
    if (columns.target[i] == 1) figure.influence[i] -= figure.value;
    figure.influence[i] *= static_cast<double>(rows) * WeightOf(weight, i) / curve.positives;
  }
  return figure;
}

}  // namespace ratchet::gate
