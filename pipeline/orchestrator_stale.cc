// A decision holds for the version that was live while it was made, and for no other. Declared in pipeline/orchestrator.h.

#include "base/log.h"
#include "pipeline/orchestrator_run.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::LiveState;
using registry::Run;
using registry::StepState;

std::optional<std::int64_t> Number(const Json& outputs, const char* name) {
  const Json value = outputs.value(name, Json());
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

// That someone has let the candidate in by force meanwhile leaves nothing to decide.
Status CheckUndecided(Db& db, const Run& run) {
  RATCHET_ASSIGN(const registry::Version version, registry::GetVersion(db, run.model, run.candidate.value_or(0)));
  if (version.shown_state == Name(version.state)) return {};
  return Fail(ErrorCode::kConflict, "judge", run.model + "@" + std::to_string(version.version),
              "it was released while it was judged, and is " + version.shown_state + " now",
              "`ratchet release list " + run.model + "` says by whom");
}

}  // namespace

// Whether the version that the test was made against is not live any more, or not all the time since: then the run is back
// at its test. Called inside the transaction that would act on the decision. kConflict: it has happened too often.
Result<bool> Orchestrator::JudgeAgainIfStale(Db& db, const Context& at, const std::string& step) {
  const Run& run = at.run();
  RATCHET_TRY(CheckUndecided(db, run));
  const Json tested = registry::OutputsOf(db, run.id, "test").value_or(Json::object());
  const LiveState against{Number(tested, "opponent_version"), Number(tested, "route_epoch")};
  const LiveState live = registry::LiveStateOf(db, run.model);
  if (Same(against, live)) return false;
  const std::int64_t time = Number(tested, "judged_again").value_or(0) + 1;
  if (time > kMostJudgedAgain)
    return Fail(ErrorCode::kConflict, "judge", run.model + "@" + std::to_string(run.candidate.value_or(0)),
                "the live version has changed under each of " + std::to_string(time) + " comparisons",
                "`ratchet run retry " + std::to_string(run.id) + "` once the releases of " + run.model + " have calmed down");
  RATCHET_TRY(registry::JudgeAgain(db, now_us_, run.id, {.step = step, .judged_against = against.version, .live = live.version, .time = time}));
  spdlog::info("run {}: the live version has changed since the test; it is tested again ({} of {})", run.id, time, kMostJudgedAgain);
  return true;
}

// A rollback has aborted the release. Where that changed what is live, the candidate is judged anew; where it is still on
// its way, or came to nothing, the release begins anew when it has ended.
bool Orchestrator::AfterAbort(Context& at) {
  const Run& run = at.run();
  Status moved = store_.Write([&](Db& db) -> Status {
    RATCHET_ASSIGN(const bool again, JudgeAgainIfStale(db, at, "release"));
    if (again) return {};
    RATCHET_TRY(registry::MoveStep(db, now_us_, run.id, "release", StepState::kCancelled));
    return registry::MoveStep(db, now_us_, run.id, "release", StepState::kPending);
  });
  if (moved) return true;
  return IsPassing(moved.error()) ? Postpone(run, moved.error()) : FailRunStep(at, "release", moved.error());
}

}  // namespace ratchet::pipeline
