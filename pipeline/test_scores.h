#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/auto_slices.h"
#include "pipeline/spec.h"

namespace ratchet::pipeline {

// What a test step wrote of every scored row (scores.pack, docs/formats.md), ready for the gate. All vectors have one value
// a row, in the same order, or none.
struct TestScores {
  // A column of test.slices. Texts, and integers of few values, are categories; all other numbers are numbers.
  struct Column {
    std::string name;
    double margin = 0;
    std::vector<std::string> categories;
    std::vector<std::uint32_t> code;
    std::vector<double> number;  // NaN where missing

    gate::Feature Feature() const { return {.name = name, .categories = categories, .code = code, .number = number}; }
  };
  // What was kept of a row: its target and both answers, of classes or of numbers; of tests of before there was that, one
  // score a side.
  enum class Form { kScores, kClasses, kNumbers };
  // As the columns of gate/evidence.h; empty for the other forms.
  struct Answers {
    std::vector<std::int32_t> predicted;
    std::vector<double> target_probability, predicted_probability, square_sum;
    std::vector<double> positive_probability;  // of two classes only
    std::vector<double> prediction;
  };
  Form form = Form::kScores;
  std::vector<double> candidate, opponent;  // per-row scores
  std::vector<std::int32_t> target_class;
  std::vector<double> target_number;
  Answers candidate_answers, opponent_answers;
  std::vector<std::uint64_t> group;         // by test.group_by: equal values, equal codes; a missing one stands alone
  std::vector<Column> columns;
};

// Errors as of lake::PackReader; kCorrupt where a column of the form is not there.
Result<TestScores> ReadTestScores(const std::string& path, const TestSpec& test);

}  // namespace ratchet::pipeline
