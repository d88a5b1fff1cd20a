#include "gate/metrics.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/names.h"

namespace ratchet::gate {
namespace {

constexpr std::string_view kClassification = "classification", kRegression = "regression", kForecasting = "forecasting",
                           kRanking = "ranking", kTranscription = "transcription";
constexpr std::string_view kShare = "share of rows", kQueryShare = "share of queries", kTargetUnit = "target's unit",
                           kFraction = "fraction";

constexpr Metric Row(MetricId id, std::string_view name, std::string_view task, std::string_view unit, Goal goal,
                     Needs needs, Aggregate aggregate, std::optional<PerRow> per_row = {},
                     CutOff takes_cut_off = CutOff::kNone) {
  return {id, name, task, unit, goal, goal == Goal::kHigher, needs, aggregate, takes_cut_off, per_row};
}

constexpr Metric kMetrics[] = {
    Row(MetricId::kAccuracy, "accuracy", kClassification, kShare, Goal::kHigher, Needs::kClasses, Aggregate::kMean,
        PerRow::kCorrect),
    Row(MetricId::kBalancedAccuracy, "balanced_accuracy", kClassification, "mean share of each class's rows",
        Goal::kHigher, Needs::kClasses, Aggregate::kOfSet),
    Row(MetricId::kMacroF1, "macro_f1", kClassification, "mean F1 of the classes", Goal::kHigher, Needs::kClasses,
        Aggregate::kOfSet),
    Row(MetricId::kMicroF1, "micro_f1", kClassification, kShare, Goal::kHigher, Needs::kClasses, Aggregate::kMean),
    Row(MetricId::kLogLoss, "log_loss", kClassification, "nats", Goal::kLower, Needs::kTargetProbability,
        Aggregate::kMean, PerRow::kLogLoss),
    Row(MetricId::kBrier, "brier", kClassification, "squared probability", Goal::kLower, Needs::kSquareSum,
        Aggregate::kMean),
    Row(MetricId::kRocAuc, "roc_auc", kClassification, "share of pairs ranked right", Goal::kHigher,
        Needs::kPositiveProbability, Aggregate::kOfSet),
    Row(MetricId::kPrAuc, "pr_auc", kClassification, "average precision", Goal::kHigher, Needs::kPositiveProbability,
        Aggregate::kOfSet),
    Row(MetricId::kMae, "mae", kRegression, kTargetUnit, Goal::kLower, Needs::kPredictions, Aggregate::kMean,
        PerRow::kAbsoluteError),
    Row(MetricId::kRmse, "rmse", kRegression, kTargetUnit, Goal::kLower, Needs::kPredictions, Aggregate::kRootMean,
        PerRow::kSquaredError),
    Row(MetricId::kWape, "wape", kRegression, kFraction, Goal::kLower, Needs::kPredictions, Aggregate::kRatio),
    Row(MetricId::kMape, "mape", kRegression, kFraction, Goal::kLower, Needs::kPredictions, Aggregate::kMean),
    Row(MetricId::kSmape, "smape", kRegression, kFraction, Goal::kLower, Needs::kPredictions, Aggregate::kMean),
    Row(MetricId::kMase, "mase", kForecasting, "error of the seasonal naive forecast", Goal::kLower, Needs::kScales,
        Aggregate::kMean),
    Row(MetricId::kPinball, "pinball", kForecasting, kTargetUnit, Goal::kLower, Needs::kQuantiles, Aggregate::kMean),
    Row(MetricId::kWeightedQuantileLoss, "weighted_quantile_loss", kForecasting, kFraction, Goal::kLower,
        Needs::kQuantiles, Aggregate::kRatio),
    Row(MetricId::kCoverage, "coverage", kForecasting, kShare, Goal::kNominal, Needs::kQuantiles, Aggregate::kMean),
    Row(MetricId::kNdcg, "ndcg", kRanking, "share of the best gain", Goal::kHigher, Needs::kRankedLists,
        Aggregate::kMean, {}, CutOff::kRequired),
    Row(MetricId::kMrr, "mrr", kRanking, "reciprocal rank", Goal::kHigher, Needs::kRankedLists, Aggregate::kMean, {},
        CutOff::kOptional),
    Row(MetricId::kHitRate, "hit_rate", kRanking, kQueryShare, Goal::kHigher, Needs::kRankedLists, Aggregate::kMean, {},
        CutOff::kRequired),
    Row(MetricId::kRecall, "recall", kRanking, "share of the relevant", Goal::kHigher, Needs::kRankedLists,
        Aggregate::kMean, {}, CutOff::kRequired),
    Row(MetricId::kWer, "wer", kTranscription, "errors a word", Goal::kLower, Needs::kWordEdits, Aggregate::kRatio),
    Row(MetricId::kCer, "cer", kTranscription, "errors a character", Goal::kLower, Needs::kCharacterEdits,
        Aggregate::kRatio),
};

std::vector<std::string> NamesOf(bool (*wanted)(const Metric&)) {
  std::vector<std::string> names;
  for (const Metric& metric : kMetrics)
    if (wanted(metric))
      names.push_back(std::string(metric.name) + (metric.takes_cut_off == CutOff::kRequired ? "@k" : ""));
  return names;
}

// In words; empty for what a test step keeps.
std::string_view WhatIsNotKept(Needs needs) {
  switch (needs) {
    case Needs::kClasses:
    case Needs::kTargetProbability:
    case Needs::kSquareSum:
    case Needs::kPositiveProbability:
    case Needs::kConfidence:
    case Needs::kPredictions:
      return "";
    case Needs::kScales:
      return "the scale of each row's series";
    case Needs::kQuantiles:
      return "predicted quantiles";
    case Needs::kRankedLists:
      return "lists as ranked";
    case Needs::kWordEdits:
    case Needs::kCharacterEdits:
      return "transcripts";
  }
  return "";
}

bool IsKept(const Metric& metric) { return WhatIsNotKept(metric.needs).empty(); }

std::unexpected<Error> Unknown(std::string_view text, const std::vector<std::string>& names) {
  std::string near = NearestName(text, names);
  return Fail(ErrorCode::kNotFound, "find the metric", Quoted(text),
              fmt::format("the metrics are {}", fmt::join(names, ", ")),
              near.empty() ? "" : fmt::format("Did you mean '{}'?", near));
}

std::unexpected<Error> WrongCutOff(std::string_view text, std::string cause, std::string hint) {
  return Fail(ErrorCode::kInvalid, "read the metric", Quoted(text), std::move(cause), std::move(hint));
}

// `digits`: what stands behind the @.
Result<Metric> WithCutOff(Metric metric, std::string_view text, std::string_view digits) {
  if (metric.takes_cut_off == CutOff::kNone)
    return WrongCutOff(text, fmt::format("{} takes no cut-off", metric.name), fmt::format("Write {}.", metric.name));
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), metric.cut_off);
  if (error != std::errc() || end != digits.data() + digits.size() || metric.cut_off < 1 ||
      metric.cut_off > kMostCutOff)
    return WrongCutOff(text, fmt::format("the cut-off is not a whole number from 1 to {}", kMostCutOff),
                       fmt::format("Write, say, {}@10.", metric.name));
  return metric;
}

}  // namespace

std::span<const Metric> KnownMetrics() { return kMetrics; }

Result<Metric> ParseMetric(std::string_view text) {
  size_t at = text.find('@');
  auto found = std::ranges::find(kMetrics, text.substr(0, at), &Metric::name);
  if (found == std::end(kMetrics)) return Unknown(text, NamesOf([](const Metric&) { return true; }));
  if (at != std::string_view::npos) return WithCutOff(*found, text, text.substr(at + 1));
  if (found->takes_cut_off == CutOff::kRequired)
    return WrongCutOff(text, fmt::format("{} needs a cut-off", found->name), fmt::format("Write, say, {}@10.", text));
  return *found;
}

std::string MetricText(const Metric& metric) {
  return metric.cut_off > 0 ? fmt::format("{}@{}", metric.name, metric.cut_off) : std::string(metric.name);
}

std::vector<std::string> MetricNames() { return NamesOf(IsKept); }

Result<Metric> FindMetric(std::string_view name) {
  auto found = std::ranges::find(kMetrics, name, &Metric::name);
  if (found != std::end(kMetrics) && IsKept(*found)) return *found;
  if (auto other = ParseMetric(name))
    return Fail(ErrorCode::kNotFound, "find the metric", Quoted(name),
                fmt::format("{} is for {} and needs {}, which a test does not keep yet", MetricText(*other), other->task,
                            WhatIsNotKept(other->needs)),
                fmt::format("Use one of {}.", fmt::join(MetricNames(), ", ")));
  return Unknown(name, MetricNames());
}

double FigureOfMean(Aggregate aggregate, double mean) {
  return aggregate == Aggregate::kRootMean ? std::sqrt(mean) : mean;
}

}  // namespace ratchet::gate
