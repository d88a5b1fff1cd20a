#include <utility>
#include <variant>

#include "worker/bundle_check.h"
#include "worker/progress_log.h"
#include "worker/serving_probe.h"
#include "worker/steps.h"
#include "worker/test_contest.h"
#include "worker/test_evidence.h"
#include "worker/test_scoring.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;
using registry::Signature;

// What a test has to work with beside its contest.
struct Bench {
  const StepSpec& spec;
  SandboxMeans sandbox;
  const Clock& clock;
  ProgressLog& progress;
};

// The candidate as it would serve: result.json's `serving`.
StepOutcome Serve(const Bench& at, const Contest& contest, const Heard& heard) {
  at.progress.Append({{"phase", "serve"}, {"message", "asking the candidate over HTTP"}});
  const Signature& signature = contest.candidate.signature;
  const ClassMap map = contest.Classifies() ? MapClasses(ClassValues(signature.classes), contest.classes) : ClassMap();
  const auto rows = ProbedRows(HoldoutOf(at.spec, contest), signature, heard.alone,
                               {.answers = heard.candidate, .map = map, .targets = contest.targets.classes});
  if (!rows) return std::unexpected(rows.error());
  return ProbeServing(ProbePlanOf(at.spec, at.sandbox), signature, *rows, at.clock);
}

// The evidence of what was heard, and what it says in short.
StepOutcome Conclude(const Bench& at, const Contest& contest, Heard& heard) {
  json serving;
  if (at.spec.serving) {
    auto served = Serve(at, contest, heard);
    if (!served) return served;
    serving = std::move(*served);
  }
  if (!contest.Classifies()) SettleNumbers(contest, heard);
  RATCHET_STEP_TRY(WriteEvidence(at.spec, contest, heard));
  json summary = TestSummary(contest, heard);
  if (!serving.is_null()) summary["serving"] = std::move(serving);
  return summary;
}

// Without the rows that training has, too, which do not depend on what the live version is.
StepOutcome Compare(const Bench& at, Contest& contest, const LeakCheck& leaks, const PluginHost& plugins) {
  if (auto left = LeaveOut(leaks, contest); !left) return std::unexpected(left.error());
  auto scored = ScoreContest(at.spec, contest, at.sandbox, at.progress);
  if (!scored) return std::unexpected(scored.error());
  if (auto* heard = std::get_if<Heard>(&*scored)) return Conclude(at, contest, *heard);
  auto instead = PrepareContest(at.spec, plugins, std::get<Unscorable>(std::move(*scored)));
  if (!instead) return std::unexpected(instead.error());
  if (!instead->IsCompared()) return NotCompared(*instead);
  return Compare(at, *instead, leaks, plugins);  // with the baseline, which cannot fail so
}

}  // namespace

StepOutcome RunTest(const StepSpec& spec, const PluginHost& plugins, SandboxMeans sandbox, const Clock& clock) {
  auto contest = PrepareContest(spec, plugins);
  if (!contest) return std::unexpected(contest.error());
  if (!contest->IsCompared()) return NotCompared(*contest);
  auto leaks = CheckLeaks(spec, InputColumns(contest->candidate.signature));
  if (!leaks) return std::unexpected(leaks.error());
  ProgressLog progress(spec.folder, clock);
  auto summary = Compare({spec, sandbox, clock, progress}, *contest, *leaks, plugins);
  if (summary && !leaks->report.is_null()) (*summary)["leakage"] = std::move(leaks->report);
  return summary;
}

}  // namespace ratchet::worker
