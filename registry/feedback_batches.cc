#include "registry/feedback_batches.h"

#include <utility>

namespace ratchet::registry {
namespace {

// The last joined row that is dealt with.
std::int64_t Cursor(Db& db, const std::string& model, const std::string& dataset) {
  auto& row = db.Prepare("SELECT coalesce(max(last_number), 0) FROM feedback_batches WHERE model = ? AND dataset = ?", model, dataset);
  row.executeStep();
  const std::int64_t number = row.getColumn(0).getInt64();
  row.reset();
  return number;
}

FeedbackBatch ReadBatch(SQLite::Statement& row) {
  return {.id = row.getColumn(0).getInt64(), .model = row.getColumn(1).getString(), .dataset = row.getColumn(2).getString(),
          .after_number = row.getColumn(3).getInt64(), .last_number = row.getColumn(4).getInt64(),
          .after_version = row.getColumn(5).getInt64()};
}

// Of rows that share a case the first stands for it.
void TakeCases(Db& db, const FeedbackBatch& batch) {
  db.Exec(
      "INSERT INTO feedback_cases (model, dataset, key, row, number) SELECT j.model, ?, p.key, j.row, j.number FROM joined j JOIN"
      " predictions p ON p.number = j.prediction WHERE j.model = ? AND j.number > ? AND j.number <= ? AND p.key IS NOT NULL"
      " ORDER BY j.number ON CONFLICT DO NOTHING",
      batch.dataset, batch.model, batch.after_number, batch.last_number);
}

LabelledRow ReadLabelled(SQLite::Statement& row) {
  return {.prediction = {.id = row.getColumn(0).getString(), .model = row.getColumn(1).getString(),
                         .version = row.getColumn(2).getInt64(), .key = OptionalText(row, 3), .rows = row.getColumn(4).getInt64(),
                         .inputs = OptionalText(row, 5), .outputs = {}},
          .row = row.getColumn(6).getInt64(),
          .outcome = row.getColumn(7).getString()};
}

}  // namespace

WaitingRows WaitingFeedback(Db& db, const std::string& model, const std::string& dataset, std::int64_t most) {
  auto& row = db.Prepare(
      "SELECT count(*), min(joined_at) FROM (SELECT joined_at FROM joined WHERE model = ? AND number > ? ORDER BY number LIMIT ?)",
      model, Cursor(db, model, dataset), most);
  row.executeStep();
  return {.rows = row.getColumn(0).getInt64(), .oldest_at = OptionalInt(row, 1)};
}

std::optional<FeedbackBatch> OpenBatch(Db& db, const std::string& model, const std::string& dataset) {
  auto& row = db.Prepare(
      "SELECT id, model, dataset, after_number, last_number, after_version FROM feedback_batches WHERE model = ? AND dataset = ?"
      " AND state = 'open'",
      model, dataset);
  if (!row.executeStep()) return std::nullopt;
  return ReadBatch(row);
}

std::optional<FeedbackBatch> BeginBatch(Db& db, std::int64_t now_us, const std::string& model, const std::string& dataset,
                                        std::int64_t after_version, std::int64_t most_rows) {
  FeedbackBatch batch{.model = model, .dataset = dataset, .after_number = Cursor(db, model, dataset), .after_version = after_version};
  auto& row = db.Prepare(
      "SELECT max(number) FROM (SELECT number FROM joined WHERE model = ? AND number > ? ORDER BY number LIMIT ?)", model,
      batch.after_number, most_rows);
  row.executeStep();
  const auto last = OptionalInt(row, 0);
  row.reset();
  if (!last) return std::nullopt;
  batch.last_number = *last;
  db.Exec(
      "INSERT INTO feedback_batches (model, dataset, after_number, last_number, after_version, state, created_at)"
      " VALUES (?, ?, ?, ?, ?, 'open', ?)",
      model, dataset, batch.after_number, batch.last_number, after_version, now_us);
  batch.id = db.database().getLastInsertRowid();
  TakeCases(db, batch);
  return batch;
}

BatchRows RowsOfBatch(Db& db, const FeedbackBatch& batch, std::int64_t after_number, std::int64_t most_bytes) {
  auto& row = db.Prepare(
      "SELECT p.id, p.model, p.version, p.key, p.rows, p.inputs, j.row, j.outcome, j.number, p.key IS NULL OR c.number = j.number"
      " FROM joined j JOIN predictions p ON p.number = j.prediction LEFT JOIN feedback_cases c ON c.model = j.model AND"
      " c.dataset = ? AND c.key = p.key AND c.row = j.row WHERE j.model = ? AND j.number > ? AND j.number <= ? ORDER BY j.number",
      batch.dataset, batch.model, after_number, batch.last_number);
  BatchRows found{.rows = {}, .known = 0, .last_number = after_number, .end = true};
  for (std::int64_t bytes = 0; row.executeStep();) {
    if (bytes > most_bytes) {
      found.end = false;
      break;
    }
    found.last_number = row.getColumn(8).getInt64();
    if (row.getColumn(9).getInt() == 0) {
      ++found.known;
      continue;
    }
    found.rows.push_back(ReadLabelled(row));
    bytes += row.getColumn(5).getBytes() + 256;
  }
  row.reset();
  return found;
}

void EndBatch(Db& db, std::int64_t now_us, std::int64_t id, const BatchEnd& end) {
  db.Exec(
      "UPDATE feedback_batches SET state = 'done', version = ?, rows = ?, unfit = ?, in_holdout = ?, known = ?, why = ?, ended_at = ?"
      " WHERE id = ? AND state = 'open'",
      end.version, end.rows, end.unfit, end.in_holdout, end.known, end.why, now_us, id);
}

BatchTotals BatchTotalsOf(Db& db, const std::string& model, const std::string& dataset) {
  BatchTotals totals;
  auto& sums = db.Prepare(
      "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(unfit), 0), coalesce(sum(in_holdout), 0), coalesce(sum(known), 0)"
      " FROM feedback_batches WHERE model = ? AND dataset = ? AND state = 'done'",
      model, dataset);
  sums.executeStep();
  totals = {.batches = sums.getColumn(0).getInt64(), .rows = sums.getColumn(1).getInt64(), .unfit = sums.getColumn(2).getInt64(),
            .in_holdout = sums.getColumn(3).getInt64(), .known = sums.getColumn(4).getInt64(), .version = {}, .ended_at = {}, .why = {}};
  auto& newest = db.Prepare(
      "SELECT version, ended_at FROM feedback_batches WHERE model = ? AND dataset = ? AND version IS NOT NULL ORDER BY id DESC LIMIT 1",
      model, dataset);
  if (newest.executeStep()) {
    totals.version = OptionalInt(newest, 0);
    totals.ended_at = OptionalInt(newest, 1);
  }
  auto& unfit = db.Prepare(
      "SELECT why FROM feedback_batches WHERE model = ? AND dataset = ? AND unfit > 0 ORDER BY id DESC LIMIT 1", model, dataset);
  if (unfit.executeStep()) totals.why = unfit.getColumn(0).getString();
  return totals;
}

}  // namespace ratchet::registry
