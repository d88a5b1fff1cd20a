#include "registry/runs.h"

#include <algorithm>
#include <limits>

#include "registry/datasets.h"
#include "registry/events.h"
#include "registry/models.h"
#include "registry/pipelines.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, pipeline, revision, model, state, outcome, reason_json, overrides_json, spec_json, dataset,"
    " dataset_version, candidate, live_at_start, summary, error_json, cancel_asked, created_at, started_at, ended_at"
    " FROM runs";

Run ReadRun(SQLite::Statement& row) {
  Run run{.id = row.getColumn(0).getInt64(), .pipeline = row.getColumn(1).getString(),
          .revision = row.getColumn(2).getInt64(), .model = row.getColumn(3).getString(),
          .state = StateColumn<RunState>(row, 4), .outcome = OptionalText(row, 5), .reason = JsonColumn(row, 6),
          .overrides = JsonColumn(row, 7), .spec = JsonColumn(row, 8), .dataset = row.getColumn(9).getString(),
          .dataset_version = row.getColumn(10).getInt64(), .candidate = OptionalInt(row, 11),
          .live_at_start = OptionalInt(row, 12), .summary = row.getColumn(13).getString(),
          .error = OptionalJson(row, 14), .cancel_asked = row.getColumn(15).getInt() != 0,
          .created_at = row.getColumn(16).getInt64(), .started_at = OptionalInt(row, 17),
          .ended_at = OptionalInt(row, 18)};
  return run;
}

Attempt ReadAttempt(SQLite::Statement& row) {
  return {.run = row.getColumn(0).getInt64(), .step = row.getColumn(1).getString(),
          .number = row.getColumn(2).getInt64(), .state = StateColumn<AttemptState>(row, 3),
          .pid = OptionalInt(row, 4), .started_at = row.getColumn(5).getInt64(), .ended_at = OptionalInt(row, 6),
          .error = OptionalJson(row, 7), .result = OptionalJson(row, 8), .cpu_s = OptionalReal(row, 9),
          .max_rss_bytes = OptionalInt(row, 10)};
}

void LoadSteps(Db& db, Run& run) {
  SQLite::Statement& steps =
      db.Prepare("SELECT name, state, started_at, ended_at FROM steps WHERE run = ? ORDER BY position", run.id);
  while (steps.executeStep())
    run.steps.push_back({.name = steps.getColumn(0).getString(), .state = StateColumn<StepState>(steps, 1),
                         .started_at = OptionalInt(steps, 2), .ended_at = OptionalInt(steps, 3)});
  SQLite::Statement& attempts = db.Prepare(
      "SELECT run, step, number, state, pid, started_at, ended_at, error_json, result_json, cpu_s, max_rss_bytes"
      " FROM attempts WHERE run = ? ORDER BY step, number", run.id);
  while (attempts.executeStep()) {
    Attempt attempt = ReadAttempt(attempts);
    for (Step& step : run.steps)
      if (step.name == attempt.step) step.attempts.push_back(attempt);
  }
}

void RunEvent(Db& db, std::int64_t now_us, std::int64_t run, const std::string& type, Json data) {
  SQLite::Statement& row = db.Prepare("SELECT pipeline, model FROM runs WHERE id = ?", run);
  if (!row.executeStep()) return;
  AppendEvent(db, {.type = type, .run = run, .pipeline = row.getColumn(0).getString(),
                   .model = row.getColumn(1).getString(), .data = std::move(data), .at = now_us});
}

template <typename State>
Status CheckMove(State from, State to, const std::string& subject) {
  if (MayMove(from, to)) return {};
  return Fail(ErrorCode::kConflict, "move", subject,
              "it is " + std::string(Name(from)) + " and cannot become " + std::string(Name(to)));
}

Result<RunState> StateOf(Db& db, std::int64_t run) {
  SQLite::Statement& row = db.Prepare("SELECT state FROM runs WHERE id = ?", run);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find run", std::to_string(run), "there is no such run",
                "`ratchet run list` shows those there are");
  return StateColumn<RunState>(row, 0);
}

Status MoveRun(Db& db, std::int64_t run, RunState to) {
  RATCHET_ASSIGN(RunState from, StateOf(db, run));
  RATCHET_TRY(CheckMove(from, to, "run " + std::to_string(run)));
  db.Exec("UPDATE runs SET state = ? WHERE id = ?", Name(to), run);
  return {};
}

// A candidate that was rejected or has served is not judged again: its decision stands.
Status CheckUndecided(Db& db, const Run& run) {
  if (!run.candidate) return {};
  RATCHET_ASSIGN(Version version, GetVersion(db, run.model, *run.candidate));
  if (version.shown_state == "candidate" || version.shown_state == "passed") return {};
  return Fail(ErrorCode::kConflict, "retry run", std::to_string(run.id),
              "its candidate " + run.model + "@" + std::to_string(*run.candidate) + " is " + version.shown_state + " already",
              "Start a new run with `ratchet run start " + run.pipeline + "`");
}

}  // namespace

const Step* Run::FindStep(std::string_view name) const {
  for (const Step& step : steps)
    if (step.name == name) return &step;
  return nullptr;
}

Result<Run> CreateRun(Db& db, std::int64_t now_us, const RunInput& input) {
  RATCHET_ASSIGN(Pipeline pipeline, GetPipeline(db, input.pipeline));
  RATCHET_ASSIGN(Dataset dataset, GetDataset(db, pipeline.dataset));
  if (dataset.latest_version == 0)
    return Fail(ErrorCode::kConflict, "start a run of", input.pipeline,
                "its dataset '" + dataset.name + "' has no rows yet",
                "Push some first: `ratchet dataset push " + dataset.name + " FILE`");
  SQLite::Statement& live = db.Prepare("SELECT live FROM models WHERE name = ?", pipeline.model);
  std::optional<std::int64_t> live_version = live.executeStep() ? OptionalInt(live, 0) : std::nullopt;
  db.Exec("INSERT INTO runs (pipeline, revision, model, state, reason_json, overrides_json, spec_json, dataset,"
          " dataset_version, live_at_start, created_at) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
          pipeline.name, pipeline.revision, pipeline.model, input.reason, input.overrides, input.spec, dataset.name,
          dataset.latest_version, live_version, now_us);
  std::int64_t id = db.database().getLastInsertRowid();
  int position = 0;
  for (const char* name : kStepNames)
    db.Exec("INSERT INTO steps (run, position, name, state) VALUES (?, ?, ?, 'pending')", id, position++, name);
  RunEvent(db, now_us, id, "run.created", {{"reason", input.reason}, {"dataset_version", dataset.latest_version}});
  return GetRun(db, id);
}

Result<Run> GetRun(Db& db, std::int64_t id) {
  SQLite::Statement& row = db.Prepare(std::string(kSelect) + " WHERE id = ?", id);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find run", std::to_string(id), "there is no such run",
                "`ratchet run list` shows those there are");
  Run run = ReadRun(row);
  LoadSteps(db, run);
  return run;
}

Page<Run> ListRuns(Db& db, const RunFilter& filter, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  std::int64_t before = ParseCursor(after, std::numeric_limits<std::int64_t>::max()).value_or(0);
  SQLite::Statement& rows = db.Prepare(
      std::string(kSelect) + " WHERE id < ?1 AND (?2 IS NULL OR pipeline = ?2) AND (?3 IS NULL OR state = ?3)"
                             " ORDER BY id DESC LIMIT ?4",
      before, filter.pipeline, filter.state, limit + 1);
  Page<Run> page;
  while (rows.executeStep()) page.items.push_back(ReadRun(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = std::to_string(page.items.back().id);
  }
  for (Run& run : page.items) LoadSteps(db, run);
  return page;
}

std::vector<Run> ActiveRuns(Db& db) {
  SQLite::Statement& rows = db.Prepare(std::string(kSelect) + " WHERE state IN ('queued', 'running') ORDER BY id");
  std::vector<Run> runs;
  while (rows.executeStep()) runs.push_back(ReadRun(rows));
  for (Run& run : runs) LoadSteps(db, run);
  return runs;
}

std::optional<Run> LastRun(Db& db, const std::string& pipeline) {
  SQLite::Statement& row = db.Prepare(std::string(kSelect) + " WHERE pipeline = ? ORDER BY id DESC LIMIT 1", pipeline);
  if (!row.executeStep()) return std::nullopt;
  return ReadRun(row);
}

Status StartRun(Db& db, std::int64_t now_us, std::int64_t run) {
  RATCHET_TRY(MoveRun(db, run, RunState::kRunning));
  db.Exec("UPDATE runs SET started_at = coalesce(started_at, ?) WHERE id = ?", now_us, run);
  RunEvent(db, now_us, run, "run.state", {{"state", "running"}});
  return {};
}

Status EndRun(Db& db, std::int64_t now_us, std::int64_t run, RunState to, const RunEnd& end) {
  RATCHET_TRY(MoveRun(db, run, to));
  db.Exec("UPDATE runs SET outcome = ?, summary = ?, error_json = ?, ended_at = ? WHERE id = ?", end.outcome,
          end.summary, end.error, now_us, run);
  RunEvent(db, now_us, run, "run.state",
           {{"state", Name(to)}, {"outcome", end.outcome}, {"summary", end.summary}});
  return {};
}

Status MoveStep(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step, StepState to) {
  SQLite::Statement& row = db.Prepare("SELECT state FROM steps WHERE run = ? AND name = ?", run, step);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find step", std::to_string(run) + "/" + step, "there is no such step");
  RATCHET_TRY(CheckMove(StateColumn<StepState>(row, 0), to, "step " + std::to_string(run) + "/" + step));
  if (to == StepState::kPending)
    db.Exec("UPDATE steps SET state = 'pending', started_at = NULL, ended_at = NULL WHERE run = ? AND name = ?", run, step);
  else if (to == StepState::kRunning)
    db.Exec("UPDATE steps SET state = 'running', started_at = ? WHERE run = ? AND name = ?", now_us, run, step);
  else
    db.Exec("UPDATE steps SET state = ?, ended_at = ? WHERE run = ? AND name = ?", Name(to), now_us, run, step);
  RunEvent(db, now_us, run, "step.state", {{"step", step}, {"state", Name(to)}});
  return {};
}

Result<Attempt> StartAttempt(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step) {
  SQLite::Statement& state = db.Prepare("SELECT state FROM steps WHERE run = ? AND name = ?", run, step);
  if (state.executeStep() && StateColumn<StepState>(state, 0) == StepState::kPending)
    RATCHET_TRY(MoveStep(db, now_us, run, step, StepState::kRunning));
  SQLite::Statement& last =
      db.Prepare("SELECT coalesce(max(number), 0) FROM attempts WHERE run = ? AND step = ?", run, step);
  last.executeStep();
  Attempt attempt{.run = run, .step = step, .number = last.getColumn(0).getInt64() + 1,
                  .state = AttemptState::kRunning, .started_at = now_us};
  db.Exec("INSERT INTO attempts (run, step, number, state, started_at) VALUES (?, ?, ?, 'running', ?)", run, step,
          attempt.number, now_us);
  RunEvent(db, now_us, run, "step.state", {{"step", step}, {"state", "running"}, {"attempt", attempt.number}});
  return attempt;
}

void SetAttemptPid(Db& db, std::int64_t run, const std::string& step, std::int64_t number, std::int64_t pid) {
  db.Exec("UPDATE attempts SET pid = ? WHERE run = ? AND step = ? AND number = ?", pid, run, step, number);
}

Status EndAttempt(Db& db, std::int64_t now_us, const Attempt& attempt, AttemptState to, const AttemptEnd& end) {
  SQLite::Statement& row = db.Prepare("SELECT state FROM attempts WHERE run = ? AND step = ? AND number = ?",
                                      attempt.run, attempt.step, attempt.number);
  std::string subject = "attempt " + std::to_string(attempt.run) + "/" + attempt.step + "-" + std::to_string(attempt.number);
  if (!row.executeStep()) return Fail(ErrorCode::kNotFound, "find", subject, "there is no such attempt");
  RATCHET_TRY(CheckMove(StateColumn<AttemptState>(row, 0), to, subject));
  db.Exec("UPDATE attempts SET state = ?, ended_at = ?, error_json = ?, result_json = ?, cpu_s = ?, max_rss_bytes = ?"
          " WHERE run = ? AND step = ? AND number = ?",
          Name(to), now_us, end.error, end.result, end.cpu_s, end.max_rss_bytes, attempt.run, attempt.step,
          attempt.number);
  Json data = {{"step", attempt.step}, {"attempt", attempt.number}, {"attempt_state", Name(to)}};
  if (end.error) data["error"] = *end.error;
  RunEvent(db, now_us, attempt.run, "step.state", std::move(data));
  return {};
}

Status SetCandidate(Db& db, std::int64_t run, std::int64_t version) {
  db.Exec("UPDATE runs SET candidate = ? WHERE id = ?", version, run);
  return {};
}

Result<Run> AskCancel(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run) {
  RATCHET_ASSIGN(RunState state, StateOf(db, run));
  if (IsEnd(state))
    return Fail(ErrorCode::kConflict, "cancel run", std::to_string(run), "it has " + std::string(Name(state)) + " already");
  db.Exec("UPDATE runs SET cancel_asked = 1 WHERE id = ?", run);
  AppendAudit(db, now_us, actor, "run.cancel", std::to_string(run), "");
  return GetRun(db, run);
}

Result<Run> RetryRun(Db& db, std::int64_t now_us, const std::string& actor, std::int64_t run) {
  RATCHET_ASSIGN(Run record, GetRun(db, run));
  if (record.state != RunState::kFailed && record.state != RunState::kCancelled)
    return Fail(ErrorCode::kConflict, "retry run", std::to_string(run),
                "it is " + std::string(Name(record.state)) + "; only a failed or cancelled run can be retried",
                "Start a new one with `ratchet run start " + record.pipeline + "`");
  if (auto pipeline = GetPipeline(db, record.pipeline); !pipeline)
    return Fail(ErrorCode::kConflict, "retry run", std::to_string(run),
                "its pipeline " + record.pipeline + " was deleted",
                "Bring the pipeline back with `ratchet pipeline apply FILE`, then retry");
  RATCHET_TRY(CheckUndecided(db, record));
  RATCHET_TRY(MoveRun(db, run, RunState::kQueued));
  db.Exec("UPDATE runs SET outcome = NULL, error_json = NULL, ended_at = NULL, cancel_asked = 0, summary = '',"
          " live_at_start = (SELECT live FROM models WHERE name = runs.model) WHERE id = ?", run);
  auto failed = std::find_if(record.steps.begin(), record.steps.end(),
                             [](const Step& step) { return step.state != StepState::kSucceeded; });
  if (failed != record.steps.end() && (failed->name == "gate" || failed->name == "release"))
    failed = std::find_if(record.steps.begin(), record.steps.end(), [](const Step& s) { return s.name == "test"; });
  for (; failed != record.steps.end(); ++failed)
    if (IsEnd(failed->state)) RATCHET_TRY(MoveStep(db, now_us, run, failed->name, StepState::kPending));
  RunEvent(db, now_us, run, "run.state", {{"state", "queued"}});
  AppendAudit(db, now_us, actor, "run.retry", std::to_string(run), "");
  return GetRun(db, run);
}

}  // namespace ratchet::registry
