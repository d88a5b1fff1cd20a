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
  std::vector<double> candidate, opponent;  // per-row scores
  std::vector<std::uint64_t> group;         // by test.group_by: equal values, equal codes; a missing one stands alone
  std::vector<Column> columns;
};

// Errors as of lake::PackReader.
Result<TestScores> ReadTestScores(const std::string& path, const TestSpec& test);

}  // namespace ratchet::pipeline
