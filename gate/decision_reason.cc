#include "gate/decision_reason.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <string_view>

namespace ratchet::gate {
namespace {

std::string_view TestTitle(const Decision& decision) {
  if (decision.test == "mcnemar_exact") return "exact McNemar";
  if (decision.test == "tango_score") return "Tango score test";
  if (decision.test == "clustered_t") return "t of group sums";
  return decision.test == "diebold_mariano" ? "Diebold-Mariano" : "paired t";
}

std::string BetterClause(const Decision& decision) {
  bool asks = decision.better_by > 0;
  std::string asked = asks ? fmt::format(" than the {:.4g} asked for", decision.better_by) : "";
  std::string gain = fmt::format("{:.4g}", std::fabs(decision.difference));
  if (decision.promotes) return asks ? fmt::format("better by {}, more{}", gain, asked) : "better by " + gain;
  if (decision.verdict == Verdict::kInconclusive)
    return fmt::format("its lead of {} is not proven{}", gain, asks ? fmt::format(" to be more{}", asked) : "");
  if (decision.difference == 0) return "not better, the two are equal";
  if (decision.difference < 0) return "not better, it is worse by " + gain;
  return fmt::format("not better, its lead of {} is not more{}", gain, asked);
}

std::string NotWorseClause(const Decision& decision) {
  std::string margin = fmt::format("the margin of {:.4g}", decision.margin);
  std::string gain = fmt::format("{:.4g}", std::fabs(decision.difference));
  std::string seen = decision.difference < 0 ? "it is worse by " + gain : "its lead is " + gain;
  if (decision.promotes) return fmt::format("not worse by more than {}, {}", margin, seen);
  if (decision.verdict == Verdict::kWorse) return fmt::format("worse by {}, no less than {}", gain, margin);
  return fmt::format("it is not proven to be within {}, {}", margin, seen);
}

std::string VerdictClause(const Decision& decision) {
  switch (decision.rule) {
    case RuleKind::kBetter:
      return BetterClause(decision);
    case RuleKind::kNotWorse:
      return NotWorseClause(decision);
  }
  return {};
}

// Below this a double is about to run out: what is left of the digits says nothing.
std::string PText(double p) { return p < 1e-300 ? "p < 1e-300" : fmt::format("p = {:.3g}", p); }

std::string Plural(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", WithCommas(count), noun, count == 1 ? "" : "s");
}

std::string RowsText(const Decision& decision) {
  std::string rows = Plural(decision.rows, "row");
  if (decision.units == decision.rows) return rows;
  return fmt::format("{} of {}", rows, Plural(decision.units, decision.test == "diebold_mariano" ? "time" : "group"));
}

std::string Further(const Decision& decision) {
  if (!decision.rows_needed) return {};
  return fmt::format("; about {} would settle it", Plural(*decision.rows_needed, "further row"));
}

std::string Grounds(const Decision& decision) {
  if (decision.test == "none")
    return "all rows are one observation, or too few beside the horizon, so there is nothing to measure chance by";
  std::string look;
  if (decision.look > 0)
    look = fmt::format(", look {} at these rows and so judged at level {:.3g}", decision.look, decision.alpha);
  return fmt::format("{:.4g} % interval {:.4g} to {:.4g}, {}, {} {} wins, {} losses{}", 100 * decision.confidence,
                     decision.interval_low, decision.interval_high, PText(decision.p_value), TestTitle(decision),
                     WithCommas(decision.wins), WithCommas(decision.losses), look);
}

}  // namespace

std::string WithCommas(std::int64_t count) {
  std::string text = std::to_string(count);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

std::string ReasonSentence(const Decision& decision) {
  return fmt::format("Candidate {:.4g} against {:.4g} on {}: {} ({}){}.", decision.candidate, decision.opponent,
                     RowsText(decision), VerdictClause(decision), Grounds(decision), Further(decision));
}

}  // namespace ratchet::gate
