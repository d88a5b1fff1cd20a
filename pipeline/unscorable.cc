#include "pipeline/unscorable.h"

#include <spdlog/fmt/fmt.h>

#include "gate/metrics.h"
#include "pipeline/step_folder.h"

namespace ratchet::pipeline {
namespace {

using registry::Json;

std::string LiveName(const Json& unscorable) {
  return fmt::format("{}@{}", unscorable.value("model", ""), unscorable.value("live", std::int64_t{0}));
}

std::string Sentence(const Json& unscorable) {
  std::string ways;
  for (const Json& way : unscorable.at("ways_out")) ways += (ways.empty() ? "" : "; or ") + way.get<std::string>();
  return fmt::format("The live version {} cannot be scored any more: {}. Nothing was compared, and no look was spent. Ways out: {}.",
                     LiveName(unscorable), unscorable.value("message", ""), ways);
}

}  // namespace

Json UnscorablePart(const Json& tested, const UnscorableNames& names) {
  if (!tested.contains(kLiveUnscorable)) return {};
  const Json& why = tested[kLiveUnscorable];
  Json part = {{"reason", why.at("reason")}, {"message", why.at("message")}, {"model", names.model}, {"live", names.live},
               {"reset", HasScores(tested)}};
  if (part["reset"]) return part;
  part["ways_out"] = {
      fmt::format("`ratchet promote {}@{} --force --reason TEXT` lets the candidate in unjudged", names.model, names.candidate),
      fmt::format("`gate: {{baseline: reset}}` in the spec, or `ratchet run start {} --set gate.baseline=reset` for one run, has "
                  "candidates judged against their baseline, as a first version is, for as long as the live version cannot be scored",
                  names.pipeline),
      "data that the live version understands"};
  return part;
}

Judged JudgeUnscorable(const Case& at) {
  const Json none;
  const std::string metric = at.tested.value("metric", "");
  const auto known = gate::FindMetric(metric);
  Judged judged;
  judged.report = {{"verdict", kLiveUnscorable}, {"promotes", false}, {"reason", Sentence(at.unscorable)}, {"metric", metric},
                   {"higher_is_better", !known || known->higher_is_better}, {"candidate", none}, {"opponent", none},
                   {"opponent_kind", "live"}, {"opponent_version", at.unscorable.at("live")}, {"difference", none},
                   {"interval", {none, none}}, {"confidence", at.gate.confidence}, {"alpha", none}, {"p_value", none},
                   {"test", "none"}, {"rows", 0}, {"wins", 0}, {"losses", 0}, {"units", 0}, {"rule", at.gate.rule},
                   {"better_by", at.gate.better_by}, {"margin", at.gate.margin}, {"interval_method", "test"},
                   {"forced", false}, {"rows_needed", none}, {"decided_at", at.decided_at}, {kLiveUnscorable, at.unscorable}};
  AddBasis(at, judged.report);
  return judged;
}

std::string ResetSentence(const Json& unscorable) {
  return fmt::format(" The live version {} cannot be scored any more ({}), so by gate.baseline: reset the candidate was judged as a first "
                     "version is.", LiveName(unscorable), unscorable.value("message", ""));
}

}  // namespace ratchet::pipeline
