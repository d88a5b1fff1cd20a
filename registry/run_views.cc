#include "registry/run_views.h"

namespace ratchet::registry {
namespace {

constexpr std::int64_t kNeighbours = 64;  // runs before and after one that are looked at for what ran beside it
constexpr int kMostSpans = 10'000;

std::optional<std::int64_t> FirstInt(SQLite::Statement& row) {
  if (!row.executeStep()) return std::nullopt;
  return OptionalInt(row, 0);
}

}  // namespace

QueuePlace PlaceInQueue(Db& db, const Run& run) {
  QueuePlace place;
  place.paused = FirstInt(db.Prepare("SELECT paused FROM pipelines WHERE name = ?", run.pipeline)).value_or(0) != 0;
  place.under_way = FirstInt(
      db.Prepare("SELECT id FROM runs WHERE state = 'running' AND pipeline = ? ORDER BY id LIMIT 1", run.pipeline));
  place.goes_first = FirstInt(db.Prepare(
      "SELECT id FROM runs WHERE state = 'queued' AND pipeline = ?1 AND (priority > ?2 OR (priority = ?2 AND id < ?3))"
      " ORDER BY priority DESC, id LIMIT 1",
      run.pipeline, run.priority, run.id));
  place.running = FirstInt(db.Prepare("SELECT count(*) FROM runs WHERE state = 'running'")).value_or(0);
  return place;
}

std::vector<BusySpan> BusyElsewhere(Db& db, const Run& run) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT started_at, ended_at FROM attempts WHERE run BETWEEN ?1 - ?2 AND ?1 + ?2 AND run <> ?1"
      " AND coalesce(ended_at, ?3) >= ?3 ORDER BY started_at LIMIT ?4",
      run.id, kNeighbours, run.created_at, kMostSpans);
  std::vector<BusySpan> spans;
  while (rows.executeStep()) spans.push_back({rows.getColumn(0).getInt64(), OptionalInt(rows, 1)});
  return spans;
}

std::optional<StepFacts> FindStepFacts(Db& db, std::int64_t run, const std::string& step) {
  SQLite::Statement& row = db.Prepare(
      "SELECT kind, attempts_before, ready_at, started_at, ended_at, cached_from IS NOT NULL, cache_key IS NOT NULL"
      " FROM steps WHERE run = ? AND name = ?",
      run, step);
  if (!row.executeStep()) return std::nullopt;
  return StepFacts{.kind = row.getColumn(0).getString(), .attempts_before = row.getColumn(1).getInt64(),
                   .ready_at = OptionalInt(row, 2), .started_at = OptionalInt(row, 3), .ended_at = OptionalInt(row, 4),
                   .cached = row.getColumn(5).getInt() != 0, .keyed = row.getColumn(6).getInt() != 0};
}

StepLoad CountSteps(Db& db) {
  SQLite::Statement& row = db.Prepare(
      "SELECT (SELECT count(*) FROM runs r JOIN steps s ON s.run = r.id AND s.state = 'running' WHERE r.state = 'running'),"
      " (SELECT count(*) FROM runs r JOIN steps s ON s.run = r.id AND s.state = 'pending' AND s.blocked = 0"
      " WHERE r.state = 'running')");
  row.executeStep();
  return {row.getColumn(0).getInt64(), row.getColumn(1).getInt64()};
}

}  // namespace ratchet::registry
