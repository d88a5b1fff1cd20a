#include "pipeline/tested_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "gate/class_report.h"
#include "gate/evaluate.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;

constexpr std::int64_t kMostMatrixShown = 50;

template <typename T>
std::vector<T> Pick(const std::vector<T>& values, std::span<const std::uint32_t> rows) {
  std::vector<T> picked;
  if (values.empty()) return picked;
  picked.reserve(rows.size());
  for (const std::uint32_t row : rows) picked.push_back(values[row]);
  return picked;
}

TestScores::Answers Pick(const TestScores::Answers& from, std::span<const std::uint32_t> rows) {
  return {.predicted = Pick(from.predicted, rows),
          .target_probability = Pick(from.target_probability, rows),
          .predicted_probability = Pick(from.predicted_probability, rows),
          .square_sum = Pick(from.square_sum, rows),
          .positive_probability = Pick(from.positive_probability, rows),
          .prediction = Pick(from.prediction, rows)};
}

// Without groups and slices: those the caller has of the whole.
TestScores Pick(const TestScores& from, std::span<const std::uint32_t> rows) {
  TestScores picked;
  picked.form = from.form;
  picked.target_class = Pick(from.target_class, rows);
  picked.target_number = Pick(from.target_number, rows);
  picked.candidate_answers = Pick(from.candidate_answers, rows);
  picked.opponent_answers = Pick(from.opponent_answers, rows);
  return picked;
}

// A slice of which nothing can be told is one whose rows are one observation.
void TellNothing(gate::SliceInput& slice) {
  const size_t rows = slice.comparison.gain.size();
  slice.comparison.gain.assign(rows, 0.0);
  slice.comparison.zero_one = false;
  slice.group.assign(rows, 0);
}

Json NumberOrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json MatrixJson(const gate::ConfusionMatrix& matrix) {
  Json rows = Json::array();
  for (std::int64_t target = 0; target < matrix.classes; ++target) {
    Json& cells = rows.emplace_back(Json::array());
    for (std::int64_t predicted = 0; predicted < matrix.classes; ++predicted) cells.push_back(matrix.At(target, predicted));
  }
  return rows;
}

Json PerClassJson(const std::vector<gate::ClassFigures>& classes) {
  Json list = Json::array();
  for (const gate::ClassFigures& figures : classes)
    list.push_back({{"support", figures.support},
                    {"predicted", figures.predicted},
                    {"precision", NumberOrNull(figures.precision)},
                    {"recall", NumberOrNull(figures.recall)},
                    {"f1", NumberOrNull(figures.f1)}});
  return list;
}

Json ReliabilityJson(const gate::Calibration& calibration) {
  Json list = Json::array();
  for (const gate::ReliabilityBin& bin : calibration.bins)
    list.push_back({{"low", bin.low}, {"high", bin.high}, {"rows", bin.rows}, {"mean_confidence", bin.mean_confidence},
                    {"share_true", bin.share_true}});
  return list;
}

}  // namespace

Result<TestedRows> TestedRows::Of(const TestScores& scores, const Json& tested, gate::Method method) {
  TestedRows rows(scores, method);
  if (scores.form == TestScores::Form::kScores) {
    RATCHET_ASSIGN(rows.per_row_, gate::PerRowFromName(tested.value("per_row", "")));
    rows.higher_is_better_ = tested.value("higher_is_better", true);
    return rows;
  }
  const bool classes = scores.form == TestScores::Form::kClasses;
  if (tested.value("evidence", "") != (classes ? "classes" : "numbers"))
    return Fail(ErrorCode::kCorrupt, "read the scores of", "the test", "they are not of the kind that its result says");
  RATCHET_ASSIGN(rows.metric_, gate::FindMetric(tested.value("metric", "")));
  rows.higher_is_better_ = rows.metric_->higher_is_better;
  rows.classes_ = tested.value("classes", std::int64_t{0});
  rows.names_ = tested.value("class_names", Json::array());
  return rows;
}

gate::Evidence TestedRows::Side(const TestScores& scores, const TestScores::Answers& answers) const {
  if (scores.form == TestScores::Form::kNumbers)
    return {.columns = gate::NumberColumns{.target = scores.target_number, .prediction = answers.prediction, .scale = {}, .levels = {}, .quantiles = {}},
            .weight = {}};
  return {.columns = gate::ClassColumns{.classes = classes_,
                                        .target = scores.target_class,
                                        .predicted = answers.predicted,
                                        .target_probability = answers.target_probability,
                                        .predicted_probability = answers.predicted_probability,
                                        .square_sum = answers.square_sum,
                                        .positive_probability = answers.positive_probability},
          .weight = {}};
}

Result<gate::Comparison> TestedRows::CompareOf(const TestScores& scores) const {
  return gate::Compare(*metric_, Side(scores, scores.candidate_answers), Side(scores, scores.opponent_answers), method_);
}

Result<gate::Comparison> TestedRows::Compare() const {
  if (metric_) return CompareOf(scores_);
  return gate::CompareScores({.per_row = per_row_, .candidate = scores_.candidate, .opponent = scores_.opponent});
}

gate::SliceInput TestedRows::Slice(std::string name, double margin, const gate::Comparison& whole,
                                   const gate::Sampling& sampling, std::span<const std::uint32_t> rows) const {
  gate::SliceInput slice = gate::PickSlice(std::move(name), margin, whole, sampling, rows);
  if (!metric_ || metric_->aggregate == gate::Aggregate::kMean || rows.empty()) return slice;
  const TestScores picked = Pick(scores_, rows);
  if (auto own = CompareOf(picked)) slice.comparison = std::move(*own);
  else TellNothing(slice);
  return slice;
}

Result<Json> TestedRows::SideReport(const TestScores::Answers& answers) const {
  const gate::Evidence evidence = Side(scores_, answers);
  RATCHET_ASSIGN(const auto per_class, gate::PerClass(evidence));
  RATCHET_ASSIGN(const auto calibration, gate::Calibrate(evidence, gate::Confidence::kPredictedClass));
  Json report{{"per_class", PerClassJson(per_class)},
              {"confusion", nullptr},
              {"expected_calibration_error", calibration.expected_error},
              {"largest_calibration_error", calibration.largest_error},
              {"reliability", ReliabilityJson(calibration)}};
  if (classes_ > kMostMatrixShown) return report;
  RATCHET_ASSIGN(const auto matrix, gate::Confusion(evidence));
  report["confusion"] = MatrixJson(matrix);
  return report;
}

Result<Json> TestedRows::ClassReport() const {
  if (scores_.form != TestScores::Form::kClasses || names_.empty()) return Json();
  RATCHET_ASSIGN(Json candidate, SideReport(scores_.candidate_answers));
  RATCHET_ASSIGN(Json opponent, SideReport(scores_.opponent_answers));
  return Json{{"classes", names_}, {"candidate", std::move(candidate)}, {"opponent", std::move(opponent)}};
}

}  // namespace ratchet::pipeline
