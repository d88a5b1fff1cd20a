#include "registry/runs.h"

#include <algorithm>
#include <limits>

#include "base/digest.h"
#include "registry/datasets.h"
#include "registry/events.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/run_rows.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, pipeline, revision, model, state, outcome, reason_json, overrides_json, spec_json, dataset,"
    " dataset_version, candidate, live_at_start, summary, error_json, cancel_asked, created_at, started_at, ended_at,"
    " priority, deadline_s, fresh, reproduces, trace_id FROM runs";
// The same without the spec, which may be long and never changes.
constexpr std::string_view kSelectLight =
    "SELECT id, pipeline, revision, model, state, outcome, reason_json, '{}', 'null', dataset,"
    " dataset_version, candidate, live_at_start, summary, error_json, cancel_asked, created_at, started_at, ended_at,"
    " priority, deadline_s, fresh, reproduces, trace_id FROM runs";

Run ReadRun(SQLite::Statement& row) {
  return {.id = row.getColumn(0).getInt64(), .pipeline = row.getColumn(1).getString(),
          .revision = row.getColumn(2).getInt64(), .model = row.getColumn(3).getString(),
          .state = StateColumn<RunState>(row, 4), .outcome = OptionalText(row, 5), .reason = JsonColumn(row, 6),
          .overrides = JsonColumn(row, 7), .spec = JsonColumn(row, 8), .dataset = row.getColumn(9).getString(),
          .dataset_version = row.getColumn(10).getInt64(), .candidate = OptionalInt(row, 11),
          .live_at_start = OptionalInt(row, 12), .summary = row.getColumn(13).getString(),
          .error = OptionalJson(row, 14), .cancel_asked = row.getColumn(15).getInt() != 0,
          .priority = row.getColumn(19).getInt64(), .deadline_s = OptionalInt(row, 20),
          .fresh = row.getColumn(21).getInt() != 0, .reproduces = OptionalInt(row, 22),
          .trace_id = row.getColumn(23).getString(), .created_at = row.getColumn(16).getInt64(),
          .started_at = OptionalInt(row, 17), .ended_at = OptionalInt(row, 18)};
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

// Steps that a retry does over: those that did not succeed, and the whole comparison where the gate or the release failed.
// A trial that was pruned stays so, and so does every one once the best has been picked.
std::vector<Step> StepsToRepeat(const Run& run) {
  auto failed = [&](std::string_view name) {
    const Step* step = run.FindStep(name);
    return step != nullptr && step->state != StepState::kSucceeded;
  };
  const bool compare_again = (failed("gate") || failed("release")) && !failed("test");
  const bool picked = !failed("train");
  std::vector<Step> found;
  for (const Step& step : run.steps) {
    if (step.kind == "trial" && picked) continue;
    bool compared = step.kind == "test" || step.kind == "gate" || step.kind == "release";
    bool pruned = step.kind == "trial" && step.state == StepState::kSkipped && !step.attempts.empty();
    if (!IsEnd(step.state) || pruned) continue;
    if (step.state != StepState::kSucceeded || (compare_again && compared)) found.push_back(step);
  }
  return found;
}

// What a new run is of.
struct RunSubject {
  Pipeline pipeline;
  std::string dataset;
  std::int64_t revision = 0, dataset_version = 0;
};

Result<RunSubject> SubjectOf(Db& db, const RunInput& input) {
  RunSubject subject;
  RATCHET_ASSIGN(subject.pipeline, GetPipeline(db, input.pipeline));
  if (input.reproduces) {
    RATCHET_ASSIGN(Run first, GetRun(db, *input.reproduces));
    subject.dataset = first.dataset;
    subject.dataset_version = first.dataset_version;
    subject.revision = first.revision;
    return subject;
  }
  RATCHET_ASSIGN(Dataset dataset, GetDataset(db, subject.pipeline.dataset));
  if (dataset.latest_version == 0)
    return Fail(ErrorCode::kConflict, "start a run of", input.pipeline,
                "its dataset '" + dataset.name + "' has no rows yet",
                "Push some first: `ratchet dataset push " + dataset.name + " FILE`");
  subject.dataset = dataset.name;
  subject.dataset_version = dataset.latest_version;
  subject.revision = subject.pipeline.revision;
  return subject;
}

}  // namespace

const Step* Run::FindStep(std::string_view name) const {
  for (const Step& step : steps)
    if (step.name == name) return &step;
  return nullptr;
}

Result<Run> CreateRun(Db& db, std::int64_t now_us, const RunInput& input) {
  RATCHET_ASSIGN(RunSubject subject, SubjectOf(db, input));
  SQLite::Statement& live = db.Prepare("SELECT live FROM models WHERE name = ?", subject.pipeline.model);
  std::optional<std::int64_t> live_version = live.executeStep() ? OptionalInt(live, 0) : std::nullopt;
  db.Exec("INSERT INTO runs (pipeline, revision, model, state, reason_json, overrides_json, spec_json, dataset,"
          " dataset_version, live_at_start, created_at, priority, deadline_s, fresh, reproduces)"
          " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          input.pipeline, subject.revision, subject.pipeline.model, input.reason, input.overrides, input.spec,
          subject.dataset, subject.dataset_version, live_version, now_us, input.priority, input.deadline_s,
          input.fresh ? 1 : 0, input.reproduces);
  std::int64_t id = db.database().getLastInsertRowid();
  db.Exec("UPDATE runs SET trace_id = ? WHERE id = ?",
          Sha256Hex("run " + std::to_string(id) + " " + std::to_string(now_us) + " " + input.pipeline).substr(0, 32), id);
  InsertSteps(db, now_us, id, input.steps);
  RunEvent(db, now_us, id, "run.created", {{"reason", input.reason}, {"dataset_version", subject.dataset_version}});
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

std::vector<RunWork> RunningRuns(Db& db) {
  SQLite::Statement& rows = db.Prepare(std::string(kSelectLight) + " INDEXED BY runs_running WHERE state = 'running' ORDER BY id");
  std::vector<RunWork> found;
  while (rows.executeStep()) found.push_back({.run = ReadRun(rows), .open = {}});
  for (RunWork& work : found) LoadOpenSteps(db, work);
  return found;
}

Result<RunWork> WorkOf(Db& db, std::int64_t run) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectLight) + " WHERE id = ?", run);
  if (!row.executeStep()) return Fail(ErrorCode::kNotFound, "find run", std::to_string(run), "there is no such run");
  RunWork work{.run = ReadRun(row), .open = {}};
  LoadOpenSteps(db, work);
  return work;
}

std::vector<QueuedRun> QueuedRuns(Db& db, int limit) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT r.id, r.pipeline, r.priority, r.cancel_asked FROM runs r INDEXED BY runs_queued JOIN pipelines p ON p.name = r.pipeline"
      " WHERE r.state = 'queued' AND (p.paused = 0 OR r.cancel_asked = 1) ORDER BY r.priority DESC, r.id LIMIT ?", limit);
  std::vector<QueuedRun> found;
  while (rows.executeStep())
    found.push_back({.id = rows.getColumn(0).getInt64(), .pipeline = rows.getColumn(1).getString(),
                     .priority = rows.getColumn(2).getInt64(), .cancel_asked = rows.getColumn(3).getInt() != 0});
  return found;
}

std::vector<std::string> RunningPipelines(Db& db) {
  SQLite::Statement& rows = db.Prepare("SELECT pipeline FROM runs INDEXED BY runs_running WHERE state = 'running'");
  std::vector<std::string> names;
  while (rows.executeStep()) names.push_back(rows.getColumn(0).getString());
  return names;
}

std::int64_t LastBegunAt(Db& db, const std::string& pipeline) {
  SQLite::Statement& row =
      db.Prepare("SELECT coalesce(max(started_at), 0) FROM (SELECT started_at FROM runs WHERE pipeline = ?"
                 " ORDER BY id DESC LIMIT 100)", pipeline);
  row.executeStep();
  return row.getColumn(0).getInt64();
}

ActiveCounts CountActiveRuns(Db& db) {
  ActiveCounts counts;
  SQLite::Statement& rows =
      db.Prepare("SELECT 'queued', count(*) FROM runs WHERE state = 'queued' UNION ALL"
                 " SELECT 'running', count(*) FROM runs WHERE state = 'running'");
  while (rows.executeStep())
    (StateColumn<RunState>(rows, 0) == RunState::kQueued ? counts.queued : counts.running) = rows.getColumn(1).getInt64();
  return counts;
}

std::optional<Run> LastRun(Db& db, const std::string& pipeline) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectLight) + " WHERE pipeline = ? ORDER BY id DESC LIMIT 1", pipeline);
  if (!row.executeStep()) return std::nullopt;
  return ReadRun(row);
}

bool WasStartedFor(Db& db, const std::string& pipeline, const std::string& reason_kind, std::int64_t after) {
  SQLite::Statement& row = db.Prepare(
      "SELECT count(*) FROM (SELECT reason_json FROM runs WHERE pipeline = ? AND id > ? ORDER BY id DESC LIMIT 1000)"
      " WHERE json_extract(reason_json, '$.kind') = ?",
      pipeline, after, reason_kind);
  return row.executeStep() && row.getColumn(0).getInt64() > 0;
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

void NoteOutcome(Db& db, std::int64_t run, const std::string& outcome) {
  db.Exec("UPDATE runs SET outcome = ? WHERE id = ?", outcome, run);
}

void NoteError(Db& db, std::int64_t run, const Json& error) {
  db.Exec("UPDATE runs SET error_json = ? WHERE id = ?", error, run);
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
  db.Exec("UPDATE runs SET outcome = NULL, error_json = NULL, started_at = NULL, ended_at = NULL, cancel_asked = 0, summary = '',"
          " live_at_start = (SELECT live FROM models WHERE name = runs.model) WHERE id = ?", run);
  for (const Step& step : StepsToRepeat(record)) {
    RATCHET_TRY(MoveStep(db, now_us, run, step.name, StepState::kPending));
    db.Exec("UPDATE steps SET attempts_before = ? WHERE run = ? AND name = ?",
            static_cast<std::int64_t>(step.attempts.size()), run, step.name);
  }
  CountBlocked(db, now_us, run);
  RunEvent(db, now_us, run, "run.state", {{"state", "queued"}});
  AppendAudit(db, now_us, actor, "run.retry", std::to_string(run), "");
  return GetRun(db, run);
}

}  // namespace ratchet::registry
