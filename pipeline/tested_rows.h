#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "gate/comparison.h"
#include "gate/evidence.h"
#include "gate/metrics.h"
#include "gate/slices.h"
#include "pipeline/test_scores.h"
#include "registry/records.h"

namespace ratchet::pipeline {

// The rows of a test as its metric compares them, and as people want to see them. Borrows the scores.
class TestedRows {
 public:
  // `tested`: result.json of the test step. kNotFound: no such metric; kCorrupt: the result and the scores are of
  // different forms.
  static Result<TestedRows> Of(const TestScores& scores, const registry::Json& tested, gate::Method method = gate::kNewestMethod);

  // Errors as of gate::Compare, and of gate::CompareScores for a test that kept scores only.
  Result<gate::Comparison> Compare() const;

  // These rows, by index, of the comparison. A metric that is no mean over rows is computed anew for them; where it has
  // no figure there (of an area under a curve, rows of one class), the slice is one of which nothing can be told.
  gate::SliceInput Slice(std::string name, double margin, const gate::Comparison& whole, const gate::Sampling& sampling,
                         std::span<const std::uint32_t> rows) const;

  // For the decision report (docs/formats.md, "class_report"); null where the test kept no classes or too many.
  Result<registry::Json> ClassReport() const;

  bool higher_is_better() const { return higher_is_better_; }

 private:
  TestedRows(const TestScores& scores, gate::Method method) : scores_(scores), method_(method) {}
  gate::Evidence Side(const TestScores& scores, const TestScores::Answers& answers) const;
  Result<gate::Comparison> CompareOf(const TestScores& scores) const;
  Result<registry::Json> SideReport(const TestScores::Answers& answers) const;

  const TestScores& scores_;
  gate::Method method_;
  std::optional<gate::Metric> metric_;  // none for a test that kept scores only
  gate::PerRow per_row_ = gate::PerRow::kCorrect;
  bool higher_is_better_ = true;
  std::int64_t classes_ = 0;
  registry::Json names_ = registry::Json::array();  // of the classes; empty where there are too many
};

}  // namespace ratchet::pipeline
