#include "registry/predictions.h"

#include <algorithm>
#include <map>
#include <utility>

#include "registry/feedback.h"

namespace ratchet::registry {
namespace {

std::int64_t LastSequence(Db& db, const std::string& spool) {
  auto& row = db.Prepare("SELECT last_sequence FROM spools WHERE spool = ?", spool);
  return row.executeStep() ? row.getColumn(0).getInt64() : 0;
}

void NoteSpool(Db& db, std::int64_t now_us, const PredictionBatch& batch, std::int64_t known) {
  const auto refused = std::ranges::count_if(batch.refused, [&](std::int64_t number) { return number > known; });
  db.Exec(
      "INSERT INTO spools (spool, replica, last_sequence, seen_at, refused) VALUES (?, ?, ?, ?, ?) ON CONFLICT (spool) DO UPDATE SET "
      "replica = excluded.replica, last_sequence = max(last_sequence, excluded.last_sequence), seen_at = excluded.seen_at, "
      "refused = refused + excluded.refused",
      batch.spool, batch.replica, batch.last_sequence, now_us, std::int64_t{refused});
  if (batch.dropped > 0)
    db.Exec(
        "INSERT INTO drops (spool, started_at, dropped) VALUES (?, ?, ?) ON CONFLICT (spool, started_at) DO UPDATE SET "
        "dropped = max(dropped, excluded.dropped)",
        batch.spool, batch.started_at, batch.dropped);
}

// The new row's number, or nothing where one of this id is there.
std::optional<std::int64_t> Insert(Db& db, const PredictionBatch& batch, const LoggedPrediction& one) {
  const int added = db.Exec(
      "INSERT INTO predictions (id, model, version, spool, sequence, replica, role, share, key, rows, at, latency_us, inputs, "
      "outputs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      one.id, one.model, one.version, batch.spool, one.sequence, batch.replica, one.role, one.share, one.key, one.rows,
      one.at, one.latency_us, one.inputs, one.outputs);
  if (added == 0) return std::nullopt;
  return db.database().getLastInsertRowid();
}

struct Added {
  std::int64_t predictions = 0, rows = 0;
};
using AddedByVersion = std::map<std::pair<std::string, std::int64_t>, Added>;

void Count(Db& db, const AddedByVersion& added) {
  for (const auto& [key, count] : added)
    db.Exec(
        "INSERT INTO totals (model, version, predictions, rows) VALUES (?, ?, ?, ?) ON CONFLICT (model, version) DO UPDATE SET "
        "predictions = predictions + excluded.predictions, rows = rows + excluded.rows",
        key.first, key.second, count.predictions, count.rows);
}

std::int64_t UsedBytes(Db& db) {
  const auto pragma = [&](const char* sql) { return db.database().execAndGet(sql).getInt64(); };
  return (pragma("PRAGMA page_count") - pragma("PRAGMA freelist_count")) * pragma("PRAGMA page_size");
}

}  // namespace

TakenBatch TakePredictions(Db& db, std::int64_t now_us, const PredictionBatch& batch, const RowScore& score) {
  TakenBatch taken;
  AddedByVersion added;
  const std::int64_t known = LastSequence(db, batch.spool);
  for (const LoggedPrediction& one : batch.predictions) {
    const auto number = one.sequence > known ? Insert(db, batch, one) : std::nullopt;
    if (!number) {
      ++taken.repeated;
      continue;
    }
    ++taken.taken;
    Added& of_version = added[{one.model, one.version}];
    ++of_version.predictions;
    of_version.rows += one.rows;
    taken.joined += JoinWaiting(db, now_us, *number, one, score);
  }
  Count(db, added);
  NoteSpool(db, now_us, batch, known);
  return taken;
}

std::int64_t DroppedPredictions(Db& db) {
  auto& row = db.Prepare("SELECT (SELECT coalesce(sum(dropped), 0) FROM drops) + (SELECT coalesce(sum(refused), 0) FROM spools)");
  row.executeStep();
  return row.getColumn(0).getInt64();
}

std::int64_t DeletePast(Db& db, std::int64_t now_us, const Retention& retention, std::int64_t most) {
  const std::int64_t before_us = now_us - retention.keep_us;
  std::int64_t gone = db.Exec(
      "DELETE FROM predictions WHERE number IN (SELECT number FROM predictions WHERE at < ? ORDER BY at LIMIT ?)", before_us,
      most);
  gone += db.Exec("DELETE FROM feedback WHERE rowid IN (SELECT rowid FROM feedback WHERE received_at < ? LIMIT ?)", before_us,
                  most);
  if (UsedBytes(db) <= retention.keep_bytes) return gone;
  gone += db.Exec("DELETE FROM predictions WHERE number IN (SELECT number FROM predictions ORDER BY at LIMIT ?)", most);
  gone += db.Exec("DELETE FROM feedback WHERE rowid IN (SELECT rowid FROM feedback ORDER BY received_at LIMIT ?)", most);
  return gone;
}

}  // namespace ratchet::registry
