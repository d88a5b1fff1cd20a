#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/judge.h"

// A kept decision made again, from the scores that were kept with it. Pure.
namespace ratchet::pipeline {

struct Explained {
  registry::Json recomputed;             // the report as it comes out now
  std::vector<std::string> differences;  // members of the kept report that came out otherwise; not `basis`, which it is made from
  bool same_decision = false;            // verdict, whether it promotes, and all that these rest on: gain, bound, p-value, level
  gate::Method method = gate::kNewestMethod;
  bool method_named = true;  // false: the report is of before methods had names, and this one is the newest that gives the same
                             // report, or else the same decision, or else the newest of all
};

// Reads the scores that a test spec asks for (ReadTestScores); empty where none were kept.
using ReadScores = std::function<Result<TestScores>(const TestSpec& test)>;

// Errors as of CaseOf, the reading of scores and JudgeCase.
Result<Explained> ExplainDecision(const registry::Json& report, const ReadScores& scores);

}  // namespace ratchet::pipeline
