#include "pipeline/explain.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "pipeline/unscorable.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;

constexpr const char* kDecisive[] = {"verdict", "promotes", "difference", "lower_bound", "p_value", "alpha", "test", "rows", "units"};

Result<Explained> MakeAgain(const Json& report, const Case& at, const std::optional<TestScores>& scores) {
  Explained explained{.method = at.method};
  if (scores) {
    RATCHET_ASSIGN(Judged judged, JudgeCase(*scores, at));
    explained.recomputed = std::move(judged.report);
  } else {
    explained.recomputed = JudgeUnscorable(at).report;
  }
  for (const auto& [name, value] : report.items())
    if (name != "basis" && explained.recomputed.value(name, Json()) != value) explained.differences.push_back(name);
  explained.same_decision = std::ranges::none_of(kDecisive, [&](const char* name) {
    return std::ranges::count(explained.differences, name) > 0;
  });
  return explained;
}

// How well a way of making it again does.
int Rank(const Explained& explained) { return explained.differences.empty() ? 2 : explained.same_decision ? 1 : 0; }

}  // namespace

Result<Explained> ExplainDecision(const Json& report, const ReadScores& read) {
  RATCHET_ASSIGN(Case at, CaseOf(report));
  std::optional<TestScores> scores;
  if (read) {
    RATCHET_ASSIGN(scores, read(at.test));
  }
  RATCHET_ASSIGN(Explained best, MakeAgain(report, at, scores));
  if (report.at("basis").contains("method")) return best;
  best.method_named = false;
  for (auto number = static_cast<std::int64_t>(gate::kNewestMethod) - 1; number > 0 && Rank(best) < 2; --number) {
    at.method = *gate::MethodOf(number);
    RATCHET_ASSIGN(Explained other, MakeAgain(report, at, scores));
    other.method_named = false;
    if (Rank(other) > Rank(best)) best = std::move(other);
  }
  return best;
}

}  // namespace ratchet::pipeline
