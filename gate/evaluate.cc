#include "gate/evaluate.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "gate/row_terms.h"
#include "gate/set_figures.h"

namespace ratchet::gate {
namespace {

using Span = std::span<const double>;

std::unexpected<Error> Refuse(const Metric& metric, std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "evaluate", MetricText(metric), std::move(cause), std::move(hint));
}

bool AllFinite(Span values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

double Sum(Span values, Span weight) {
  if (weight.empty()) return static_cast<double>(std::accumulate(values.begin(), values.end(), 0.0L));
  long double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += static_cast<long double>(weight[i]) * values[i];
  return static_cast<double>(sum);
}

double TotalWeight(size_t rows, Span weight) { return weight.empty() ? static_cast<double>(rows) : Sum(weight, {}); }

Figure MeanFigure(Span scores, Span weight) {
  Figure figure{Sum(scores, weight) / TotalWeight(scores.size(), weight), std::vector<double>(scores.size())};
  for (size_t i = 0; i < scores.size(); ++i) figure.influence[i] = scores[i] - figure.value;
  return figure;
}

// The delta method. Without any error there is none to differ by either.
Figure RootOf(Figure mean) {
  Figure figure{std::sqrt(mean.value), std::move(mean.influence)};
  const double slope = figure.value > 0 ? 1 / (2 * figure.value) : 0;
  for (double& influence : figure.influence) influence *= slope;
  return figure;
}

Result<Figure> RatioFigure(const Metric& metric, const RowTerms& terms, Span weight) {
  const double whole = Sum(terms.denominator, weight);
  if (!(whole > 0)) {
    const bool texts = metric.needs == Needs::kWordEdits || metric.needs == Needs::kCharacterEdits;
    return Refuse(metric, texts ? "all references are empty" : "all targets are 0", texts ? "" : "Use mae.");
  }
  Figure figure{Sum(terms.numerator, weight) / whole, std::vector<double>(terms.numerator.size())};
  const double times = TotalWeight(terms.numerator.size(), weight) / whole;
  for (size_t i = 0; i < figure.influence.size(); ++i)
    figure.influence[i] = times * (terms.numerator[i] - figure.value * terms.denominator[i]);
  return figure;
}

Result<Figure> SumFigure(const Metric& metric, const RowTerms& terms, Span weight) {
  if (metric.aggregate == Aggregate::kRatio) return RatioFigure(metric, terms, weight);
  Figure mean = MeanFigure(terms.numerator, weight);
  return metric.aggregate == Aggregate::kRootMean ? RootOf(std::move(mean)) : std::move(mean);
}

Result<Figure> FigureOf(const Metric& metric, const Evidence& evidence, Span weight) {
  const auto classes = [&] { return std::get<ClassColumns>(evidence.columns); };
  if (metric.id == MetricId::kBalancedAccuracy) return BalancedAccuracy(classes(), weight);
  if (metric.id == MetricId::kMacroF1) return MacroF1(classes(), weight);
  if (metric.id == MetricId::kRocAuc) return RocAuc(classes(), weight);
  if (metric.id == MetricId::kPrAuc) return PrAuc(classes(), weight);
  RATCHET_ASSIGN(RowTerms terms, TermsOf(metric, evidence));
  return SumFigure(metric, terms, weight);
}

// Metrics that did not come from ParseMetric.
Status CheckCutOff(const Metric& metric) {
  const bool needed = metric.takes_cut_off == CutOff::kRequired;
  if (metric.cut_off >= (needed ? 1 : 0) && metric.cut_off <= kMostCutOff) return {};
  return Refuse(metric, fmt::format("its cut-off is {}, not from 1 to {}", metric.cut_off, kMostCutOff));
}

Status CheckFigure(const Metric& metric, double value, Span of_rows) {
  if (std::isfinite(value) && AllFinite(of_rows)) return {};
  return Refuse(metric, "the numbers are so large that the figure is not finite");
}

bool IsRightOrWrong(MetricId id) {
  return id == MetricId::kAccuracy || id == MetricId::kMicroF1 || id == MetricId::kHitRate;
}

double NominalOf(const Metric& metric, const Evidence& evidence) {
  if (metric.goal != Goal::kNominal) return 0;
  const Span levels = std::get<NumberColumns>(evidence.columns).levels;
  return levels.back() - levels.front();
}

// By how much the gain rises when this side's figure does, for the candidate's side.
double SlopeOf(Goal goal, double value, double nominal) {
  switch (goal) {
    case Goal::kHigher:
      return 1;
    case Goal::kLower:
      return -1;
    case Goal::kNominal:
      return value >= nominal ? -1 : 1;
  }
  return 0;
}

// The scores of a mean need no detour by their mean: right or wrong stays −1, 0, 1 to the last bit.
Result<Comparison> CompareMeans(const Metric& metric, const Evidence& candidate, const Evidence& opponent,
                                Span weight) {
  RATCHET_ASSIGN(RowTerms ours, TermsOf(metric, candidate));
  RATCHET_ASSIGN(const RowTerms theirs, TermsOf(metric, opponent));
  const double total = TotalWeight(ours.numerator.size(), weight);
  Comparison comparison{.candidate = Sum(ours.numerator, weight) / total,
                        .opponent = Sum(theirs.numerator, weight) / total,
                        .zero_one = IsRightOrWrong(metric.id),
                        .gain = std::move(ours.numerator)};
  const double slope = SlopeOf(metric.goal, 0, 0);
  for (size_t i = 0; i < comparison.gain.size(); ++i)
    comparison.gain[i] = slope * (comparison.gain[i] - theirs.numerator[i]);
  return comparison;
}

// Influence values spread about their class's mean, so a rare class whose rows all changed the same way, or that has one row,
// would seem to be known for sure. About 0, where the mean is if neither side is better, its spread is what that many rows
// can tell (the variance of a score test, as McNemar's is); classes of many rows hardly notice. The mean gain stays.
void SpreadAboutZero(Comparison& comparison, const Metric& metric, const Evidence& candidate, const Evidence& opponent,
                     Span weight) {
  const auto& ours = std::get<ClassColumns>(candidate.columns);
  std::vector<double> part = ClassParts(metric, ours, weight, comparison.candidate);
  const std::vector<double> theirs =
      ClassParts(metric, std::get<ClassColumns>(opponent.columns), weight, comparison.opponent);
  const std::vector<double> of_class = TargetWeights(ours, weight);
  const double rows = TotalWeight(ours.target.size(), weight);
  double sum = 0;
  for (size_t c = 0; c < part.size(); ++c) {
    part[c] = of_class[c] > 0 ? part[c] - theirs[c] : 0;
    sum += part[c];
    if (of_class[c] > 0) part[c] *= rows / of_class[c];
  }
  for (size_t i = 0; i < comparison.gain.size(); ++i) comparison.gain[i] += part[static_cast<size_t>(ours.target[i])] - sum;
}

Result<Comparison> CompareFigures(const Metric& metric, const Evidence& candidate, const Evidence& opponent,
                                  Span weight, Method method) {
  RATCHET_ASSIGN(Figure ours, FigureOf(metric, candidate, weight));
  RATCHET_ASSIGN(const Figure theirs, FigureOf(metric, opponent, weight));
  const double nominal = NominalOf(metric, candidate);
  const double difference = OrientedDifference(metric.goal, ours.value, theirs.value, nominal);
  const double our_slope = SlopeOf(metric.goal, ours.value, nominal);
  const double their_slope = SlopeOf(metric.goal, theirs.value, nominal);
  Comparison comparison{.candidate = ours.value, .opponent = theirs.value, .gain = std::move(ours.influence)};
  for (size_t i = 0; i < comparison.gain.size(); ++i)
    comparison.gain[i] = difference + (our_slope * comparison.gain[i] - their_slope * theirs.influence[i]);
  if (metric.aggregate == Aggregate::kOfSet && method >= Method::kSecond) SpreadAboutZero(comparison, metric, candidate, opponent, weight);
  return comparison;
}

}  // namespace

Result<Figure> Evaluate(const Metric& metric, const Evidence& evidence) {
  RATCHET_TRY(CheckCutOff(metric));
  RATCHET_TRY(CheckEvidence(MetricText(metric), metric.needs, evidence));
  RATCHET_ASSIGN(Figure figure, FigureOf(metric, evidence, UnequalWeights(evidence)));
  RATCHET_TRY(CheckFigure(metric, figure.value, figure.influence));
  return figure;
}

Result<Comparison> Compare(const Metric& metric, const Evidence& candidate, const Evidence& opponent, Method method) {
  const std::string subject = MetricText(metric);
  RATCHET_TRY(CheckCutOff(metric));
  RATCHET_TRY(CheckEvidence(subject, metric.needs, candidate));
  RATCHET_TRY(CheckEvidence(subject, metric.needs, opponent));
  RATCHET_TRY(CheckPaired(subject, metric.needs, candidate, opponent));
  const Span weight = UnequalWeights(candidate);
  const bool is_mean = metric.aggregate == Aggregate::kMean && metric.goal != Goal::kNominal;
  RATCHET_ASSIGN(Comparison comparison, is_mean ? CompareMeans(metric, candidate, opponent, weight)
                                                : CompareFigures(metric, candidate, opponent, weight, method));
  RATCHET_TRY(CheckFigure(metric, comparison.candidate - comparison.opponent, comparison.gain));
  return comparison;
}

double OrientedDifference(Goal goal, double candidate, double opponent, double nominal) {
  switch (goal) {
    case Goal::kHigher:
      return candidate - opponent;
    case Goal::kLower:
      return opponent - candidate;
    case Goal::kNominal:
      return std::abs(opponent - nominal) - std::abs(candidate - nominal);
  }
  return 0;
}

}  // namespace ratchet::gate
