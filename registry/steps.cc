// The steps of a run and their attempts. Declared in registry/runs.h.

#include <algorithm>

#include "base/digest.h"
#include "registry/events.h"
#include "registry/run_rows.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelectSteps =
    "SELECT name, kind, state, params_json, blocked, ready_at, started_at, ended_at, attempts_before, cached_from,"
    " outputs_json FROM steps";
constexpr std::string_view kSelectAttempts =
    "SELECT run, step, number, state, pid, started_at, ended_at, error_json, result_json, cpu_s, max_rss_bytes, read_bytes"
    " FROM attempts";

Step ReadStep(SQLite::Statement& row) {
  return {.name = row.getColumn(0).getString(), .kind = row.getColumn(1).getString(),
          .state = StateColumn<StepState>(row, 2), .needs = {}, .params = OptionalJson(row, 3),
          .blocked = row.getColumn(4).getInt64(), .ready_at = OptionalInt(row, 5), .started_at = OptionalInt(row, 6),
          .ended_at = OptionalInt(row, 7), .attempts_before = row.getColumn(8).getInt64(),
          .cached_from = OptionalInt(row, 9), .outputs = OptionalJson(row, 10), .attempts = {}};
}

Attempt ReadAttempt(SQLite::Statement& row) {
  return {.run = row.getColumn(0).getInt64(), .step = row.getColumn(1).getString(),
          .number = row.getColumn(2).getInt64(), .state = StateColumn<AttemptState>(row, 3),
          .pid = OptionalInt(row, 4), .started_at = row.getColumn(5).getInt64(), .ended_at = OptionalInt(row, 6),
          .error = OptionalJson(row, 7), .result = OptionalJson(row, 8), .cpu_s = OptionalReal(row, 9),
          .max_rss_bytes = OptionalInt(row, 10), .read_bytes = OptionalInt(row, 11)};
}

// 16 hex digits, as OpenTelemetry has them; the same for the same attempt.
std::string SpanId(const std::string& trace_id, const std::string& step, std::int64_t attempt) {
  return Sha256Hex(trace_id + "/" + step + "-" + std::to_string(attempt)).substr(0, 16);
}

// A need that has ended well no longer stands in the way; a trial has its say however it ends.
constexpr std::string_view kCountBlocked =
    "UPDATE steps SET blocked = (SELECT count(*) FROM step_needs n JOIN steps s ON s.run = n.run AND s.name = n.need"
    " WHERE n.run = steps.run AND n.step = steps.name AND s.state <> 'succeeded'"
    " AND NOT (s.kind = 'trial' AND s.state IN ('failed', 'cancelled', 'skipped'))) WHERE run = ?";

struct StepRow {
  StepState state;
  std::string kind;
};

Result<StepRow> FindStepRow(Db& db, std::int64_t run, const std::string& step) {
  SQLite::Statement& row = db.Prepare("SELECT state, kind FROM steps WHERE run = ? AND name = ?", run, step);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find step", std::to_string(run) + "/" + step, "there is no such step");
  return StepRow{StateColumn<StepState>(row, 0), row.getColumn(1).getString()};
}

void Unblock(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step) {
  db.Exec("UPDATE steps SET blocked = blocked - 1, ready_at = CASE WHEN blocked = 1 THEN ?1 END"
          " WHERE run = ?2 AND name IN (SELECT step FROM step_needs WHERE run = ?2 AND need = ?3)", now_us, run, step);
}

}  // namespace

void InsertSteps(Db& db, std::int64_t now_us, std::int64_t run, const std::vector<StepInput>& steps) {
  int position = 0;
  for (const StepInput& step : steps) {
    const auto blocked = static_cast<std::int64_t>(step.needs.size());
    db.Exec("INSERT INTO steps (run, position, name, kind, state, params_json, blocked, ready_at)"
            " VALUES (?, ?, ?, ?, 'pending', ?, ?, ?)",
            run, position++, step.name, step.kind, step.params, blocked,
            blocked == 0 ? std::optional(now_us) : std::nullopt);
    for (const std::string& need : step.needs)
      db.Exec("INSERT INTO step_needs (run, step, need) VALUES (?, ?, ?)", run, step.name, need);
  }
}

void LoadSteps(Db& db, Run& run) {
  SQLite::Statement& steps = db.Prepare(std::string(kSelectSteps) + " WHERE run = ? ORDER BY position", run.id);
  while (steps.executeStep()) run.steps.push_back(ReadStep(steps));
  auto find = [&](const std::string& name) {
    return std::ranges::find_if(run.steps, [&](const Step& step) { return step.name == name; });
  };
  SQLite::Statement& needs = db.Prepare("SELECT step, need FROM step_needs WHERE run = ? ORDER BY step, need", run.id);
  while (needs.executeStep()) find(needs.getColumn(0).getString())->needs.push_back(needs.getColumn(1).getString());
  SQLite::Statement& attempts =
      db.Prepare(std::string(kSelectAttempts) + " WHERE run = ? ORDER BY step, number", run.id);
  while (attempts.executeStep()) {
    Attempt attempt = ReadAttempt(attempts);
    auto step = find(attempt.step);
    step->attempts.push_back(std::move(attempt));
  }
}

void LoadOpenSteps(Db& db, RunWork& work) {
  SQLite::Statement& running = db.Prepare(
      std::string(kSelectSteps) + " INDEXED BY steps_running WHERE run = ? AND state = 'running' ORDER BY position", work.run.id);
  while (running.executeStep()) work.open.push_back(ReadStep(running));
  SQLite::Statement& ready = db.Prepare(
      std::string(kSelectSteps) +
          " INDEXED BY steps_ready WHERE run = ? AND state = 'pending' AND blocked = 0 ORDER BY position LIMIT ?",
      work.run.id, kMostReadySteps);
  while (ready.executeStep()) work.open.push_back(ReadStep(ready));
  for (Step& step : work.open) {
    SQLite::Statement& attempts = db.Prepare(
        std::string(kSelectAttempts) + " WHERE run = ? AND step = ? ORDER BY number", work.run.id, step.name);
    while (attempts.executeStep()) step.attempts.push_back(ReadAttempt(attempts));
  }
}

void CountBlocked(Db& db, std::int64_t now_us, std::int64_t run) {
  db.Exec(kCountBlocked, run);
  db.Exec("UPDATE steps SET ready_at = CASE WHEN blocked = 0 THEN ? END WHERE run = ? AND state = 'pending'", now_us, run);
}

void RunEvent(Db& db, std::int64_t now_us, std::int64_t run, const std::string& type, Json data) {
  SQLite::Statement& row = db.Prepare("SELECT pipeline, model, trace_id FROM runs WHERE id = ?", run);
  if (!row.executeStep()) return;
  const std::string trace_id = row.getColumn(2).getString();
  data["trace_id"] = trace_id;
  const std::string run_span = trace_id.substr(0, 16);
  data["span_id"] = run_span;
  if (data.contains("attempt")) {
    data["span_id"] = SpanId(trace_id, data.value("step", ""), data.value("attempt", std::int64_t{0}));
    data["parent_span_id"] = run_span;
  }
  AppendEvent(db, {.type = type, .run = run, .pipeline = row.getColumn(0).getString(),
                   .model = row.getColumn(1).getString(), .data = std::move(data), .at = now_us});
}

Status MoveStep(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step, StepState to) {
  RATCHET_ASSIGN(StepRow row, FindStepRow(db, run, step));
  RATCHET_TRY(CheckMove(row.state, to, "step " + std::to_string(run) + "/" + step));
  if (to == StepState::kPending)
    db.Exec("UPDATE steps SET state = 'pending', started_at = NULL, ended_at = NULL, cached_from = NULL, outputs_json = NULL"
            " WHERE run = ? AND name = ?", run, step);
  else if (to == StepState::kRunning)
    db.Exec("UPDATE steps SET state = 'running', started_at = ? WHERE run = ? AND name = ?", now_us, run, step);
  else
    db.Exec("UPDATE steps SET state = ?, ended_at = ? WHERE run = ? AND name = ?", Name(to), now_us, run, step);
  if (to == StepState::kSucceeded || (row.kind == "trial" && IsEnd(to))) Unblock(db, now_us, run, step);
  RunEvent(db, now_us, run, "step.state", {{"step", step}, {"state", Name(to)}});
  return {};
}

Result<Attempt> StartAttempt(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step) {
  RATCHET_ASSIGN(StepRow row, FindStepRow(db, run, step));
  if (row.state == StepState::kPending)
    db.Exec("UPDATE steps SET state = 'running', started_at = ? WHERE run = ? AND name = ?", now_us, run, step);
  else
    RATCHET_CHECK(row.state == StepState::kRunning);
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
  db.Exec("UPDATE attempts SET state = ?, ended_at = ?, error_json = ?, result_json = ?, cpu_s = ?, max_rss_bytes = ?,"
          " read_bytes = ? WHERE run = ? AND step = ? AND number = ?",
          Name(to), now_us, end.error, end.result, end.cpu_s, end.max_rss_bytes, end.read_bytes, attempt.run,
          attempt.step, attempt.number);
  Json data = {{"step", attempt.step}, {"attempt", attempt.number}, {"attempt_state", Name(to)}};
  if (end.error) data["error"] = *end.error;
  RunEvent(db, now_us, attempt.run, "step.state", std::move(data));
  return {};
}

void SetOutputs(Db& db, std::int64_t run, const std::string& step, const Json& outputs) {
  db.Exec("UPDATE steps SET outputs_json = ? WHERE run = ? AND name = ?", outputs, run, step);
}

std::optional<CachedStep> FindCached(Db& db, const std::string& key) {
  SQLite::Statement& row = db.Prepare("SELECT run, step, result, outputs FROM step_cache WHERE key = ?", key);
  if (!row.executeStep()) return std::nullopt;
  return CachedStep{row.getColumn(0).getInt64(), row.getColumn(1).getString(), JsonColumn(row, 2), OptionalJson(row, 3)};
}

void KeepCached(Db& db, std::int64_t now_us, const CachedStep& step) {
  db.Exec("INSERT INTO step_cache (key, run, step, result, outputs, at)"
          " SELECT cache_key, ?1, ?2, ?3, ?4, ?5 FROM steps WHERE run = ?1 AND name = ?2 AND cache_key IS NOT NULL"
          " ON CONFLICT (key) DO NOTHING",
          step.run, step.step, step.result, step.outputs, now_us);
}

void SetCacheKey(Db& db, std::int64_t run, const std::string& step, const std::string& key) {
  db.Exec("UPDATE steps SET cache_key = ? WHERE run = ? AND name = ?", key, run, step);
}

std::optional<Json> OutputsOf(Db& db, std::int64_t run, const std::string& step) {
  SQLite::Statement& row = db.Prepare("SELECT outputs_json FROM steps WHERE run = ? AND name = ?", run, step);
  if (!row.executeStep()) return std::nullopt;
  return OptionalJson(row, 0);
}

Status TakeCached(Db& db, std::int64_t now_us, std::int64_t run, const std::string& step, const CachedStep& cached) {
  RATCHET_TRY(MoveStep(db, now_us, run, step, StepState::kRunning));
  db.Exec("UPDATE steps SET cached_from = ?, outputs_json = ? WHERE run = ? AND name = ?", cached.run, cached.outputs,
          run, step);
  return MoveStep(db, now_us, run, step, StepState::kSucceeded);
}

}  // namespace ratchet::registry
