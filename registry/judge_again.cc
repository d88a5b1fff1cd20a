// A decision that the world has overtaken. Declared in registry/runs.h.

#include "registry/events.h"
#include "registry/run_rows.h"

namespace ratchet::registry {
namespace {

std::string Shown(const std::string& model, const std::optional<std::int64_t>& version) {
  return version ? model + "@" + std::to_string(*version) : "nothing";
}

// Attempts so far belong to the comparison before.
Status MakePending(Db& db, std::int64_t now_us, const Run& run, std::string_view name) {
  const Step* step = run.FindStep(name);
  if (step == nullptr)
    return Fail(ErrorCode::kConflict, "judge again", std::to_string(run.id), "it has no step " + std::string(name));
  if (step->state == StepState::kPending) return {};
  if (step->state == StepState::kRunning) RATCHET_TRY(MoveStep(db, now_us, run.id, step->name, StepState::kCancelled));
  RATCHET_TRY(MoveStep(db, now_us, run.id, step->name, StepState::kPending));
  db.Exec("UPDATE steps SET attempts_before = ? WHERE run = ? AND name = ?", static_cast<std::int64_t>(step->attempts.size()),
          run.id, step->name);
  return {};
}

}  // namespace

Status JudgeAgain(Db& db, std::int64_t now_us, std::int64_t run, const StaleDecision& why) {
  RATCHET_ASSIGN(const Run record, GetRun(db, run));
  for (const std::string_view name : {"test", "gate", "release"}) RATCHET_TRY(MakePending(db, now_us, record, name));
  SetOutputs(db, run, "test", {{"judged_again", why.time}});
  db.Exec("UPDATE runs SET live_at_start = ?, outcome = NULL WHERE id = ?", why.live, run);
  CountBlocked(db, now_us, run);
  const Json against = why.judged_against ? Json(*why.judged_against) : Json(), live = why.live ? Json(*why.live) : Json();
  RunEvent(db, now_us, run, "decision.stale",
           {{"version", record.candidate ? Json(*record.candidate) : Json()}, {"step", why.step}, {"judged_against", against},
            {"live", live}, {"time", why.time}});
  AppendAudit(db, now_us, "gate", "version.stale", Shown(record.model, record.candidate),
              "judged against " + Shown(record.model, why.judged_against) + ", " +
                  (why.judged_against == why.live ? "which was not live all the time since" : Shown(record.model, why.live) + " is live now") +
                  ": it is judged again");
  return {};
}

}  // namespace ratchet::registry
