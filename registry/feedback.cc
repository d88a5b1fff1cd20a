#include "registry/feedback.h"

#include <utility>

namespace ratchet::registry {
namespace {

constexpr const char* NameOf(FeedbackBy by) { return by == FeedbackBy::kPrediction ? "prediction" : "key"; }

struct StoredPrediction {
  std::int64_t number = 0;
  LoggedPrediction prediction;
};

// Those that an outcome is about; all but their inputs.
std::vector<StoredPrediction> PredictionsOf(Db& db, const std::string& model, const OutcomeInput& outcome) {
  constexpr std::string_view kById =
      "SELECT number, id, version, rows, at, outputs FROM predictions WHERE id = ? AND model = ? AND rows > ?";
  constexpr std::string_view kByKey =
      "SELECT number, id, version, rows, at, outputs FROM predictions WHERE key = ? AND model = ? AND rows > ?";
  auto& row = db.Prepare(outcome.by == FeedbackBy::kPrediction ? kById : kByKey, outcome.reference, model, outcome.row);
  std::vector<StoredPrediction> found;
  while (row.executeStep()) {
    LoggedPrediction one{.id = row.getColumn(1).getString(), .model = model, .version = row.getColumn(2).getInt64(),
                         .key = {}, .rows = row.getColumn(3).getInt64(), .at = row.getColumn(4).getInt64(),
                         .inputs = {}, .outputs = row.getColumn(5).getString()};
    found.push_back({row.getColumn(0).getInt64(), std::move(one)});
  }
  row.reset();
  return found;
}

std::optional<std::string> KnownOutcome(Db& db, const std::string& model, FeedbackBy by, const std::string& reference,
                                        std::int64_t row_number) {
  auto& row = db.Prepare("SELECT outcome FROM feedback WHERE model = ? AND via = ? AND reference = ? AND row = ?", model,
                         NameOf(by), reference, row_number);
  if (!row.executeStep()) return std::nullopt;
  std::string outcome = row.getColumn(0).getString();
  row.reset();
  return outcome;
}

void CountJoined(Db& db, const LoggedPrediction& prediction, bool scored) {
  db.Exec(
      "INSERT INTO totals (model, version, joined, unscored) VALUES (?, ?, 1, ?) ON CONFLICT (model, version) DO UPDATE SET "
      "joined = joined + 1, unscored = unscored + excluded.unscored",
      prediction.model, prediction.version, scored ? 0 : 1);
}

// True where the row had no outcome before. One by the prediction's id is not replaced by one by its key.
bool JoinRow(Db& db, std::int64_t now_us, const StoredPrediction& stored, std::int64_t row_number, FeedbackBy by,
             const std::string& outcome, const RowScore& score) {
  const LoggedPrediction& prediction = stored.prediction;
  auto& row = db.Prepare("SELECT via FROM joined WHERE prediction = ? AND row = ?", stored.number, row_number);
  const bool known = row.executeStep();
  const bool by_id = known && row.getColumn(0).getString() == "prediction";
  row.reset();
  if (by_id && by == FeedbackBy::kKey) return false;
  const std::optional<double> value = score(prediction, row_number, outcome);
  if (known) {
    db.Exec("UPDATE joined SET via = ?, outcome = ?, score = ? WHERE prediction = ? AND row = ?", NameOf(by), outcome, value,
            stored.number, row_number);
    return false;
  }
  db.Exec(
      "INSERT INTO joined (prediction, row, model, version, via, outcome, score, at, joined_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      stored.number, row_number, prediction.model, prediction.version, NameOf(by), outcome, value, prediction.at, now_us);
  CountJoined(db, prediction, value.has_value());
  return true;
}

void Keep(Db& db, std::int64_t now_us, const std::string& model, const OutcomeInput& outcome) {
  db.Exec(
      "INSERT INTO feedback (model, via, reference, row, outcome, at, received_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (model, via, reference, row) DO UPDATE SET outcome = excluded.outcome, at = excluded.at, "
      "received_at = excluded.received_at",
      model, NameOf(outcome.by), outcome.reference, outcome.row, outcome.outcome, outcome.at.value_or(now_us), now_us);
}

// Outcomes of one reference, which may be known for some of its rows.
std::int64_t JoinVia(Db& db, std::int64_t now_us, const StoredPrediction& stored, FeedbackBy by,
                     const std::string& reference, const RowScore& score) {
  std::vector<std::pair<std::int64_t, std::string>> outcomes;
  auto& row = db.Prepare("SELECT row, outcome FROM feedback WHERE model = ? AND via = ? AND reference = ? AND row < ?",
                         stored.prediction.model, NameOf(by), reference, stored.prediction.rows);
  while (row.executeStep()) outcomes.emplace_back(row.getColumn(0).getInt64(), row.getColumn(1).getString());
  row.reset();
  std::int64_t joined = 0;
  for (const auto& [row_number, outcome] : outcomes)
    joined += JoinRow(db, now_us, stored, row_number, by, outcome, score);
  return joined;
}

}  // namespace

TakenOutcomes TakeOutcomes(Db& db, std::int64_t now_us, const std::string& model,
                           const std::vector<OutcomeInput>& outcomes, const RowScore& score) {
  TakenOutcomes taken;
  for (const OutcomeInput& outcome : outcomes) {
    const auto known = KnownOutcome(db, model, outcome.by, outcome.reference, outcome.row);
    if (known && *known == outcome.outcome) {
      ++taken.repeated;
      continue;
    }
    ++(known ? taken.replaced : taken.taken);
    Keep(db, now_us, model, outcome);
    const auto about = PredictionsOf(db, model, outcome);
    if (about.empty() && !known) ++taken.waiting;
    for (const StoredPrediction& stored : about)
      taken.joined += JoinRow(db, now_us, stored, outcome.row, outcome.by, outcome.outcome, score);
  }
  return taken;
}

std::int64_t JoinWaiting(Db& db, std::int64_t now_us, std::int64_t number, const LoggedPrediction& prediction,
                         const RowScore& score) {
  const StoredPrediction stored{number, prediction};
  std::int64_t joined = JoinVia(db, now_us, stored, FeedbackBy::kPrediction, prediction.id, score);
  if (prediction.key) joined += JoinVia(db, now_us, stored, FeedbackBy::kKey, *prediction.key, score);
  return joined;
}

ScoreWindow LatestScores(Db& db, const std::string& model, std::int64_t version, std::int64_t most_rows) {
  auto& row = db.Prepare(
      "SELECT count(*), coalesce(avg(score), 0) FROM (SELECT score FROM joined WHERE model = ? AND version = ? AND score IS "
      "NOT NULL ORDER BY at DESC, number DESC LIMIT ?)",
      model, version, most_rows);
  row.executeStep();
  return {row.getColumn(0).getInt64(), row.getColumn(1).getDouble()};
}

std::int64_t JoinedAfter(Db& db, const std::string& model, std::int64_t version, std::int64_t after_us,
                         std::int64_t most) {
  auto& row = db.Prepare(
      "SELECT count(*) FROM (SELECT 1 FROM joined WHERE model = ? AND version = ? AND joined_at > ? AND score IS NOT NULL "
      "LIMIT ?)",
      model, version, after_us, most);
  row.executeStep();
  return row.getColumn(0).getInt64();
}

std::vector<ScoreSpan> ScoresOverTime(Db& db, const std::string& model, std::int64_t version, std::int64_t span_us,
                                      std::int64_t most_rows) {
  auto& row = db.Prepare(
      "SELECT at / ? * ?, count(*), avg(score) FROM (SELECT at, score FROM joined WHERE model = ? AND version = ? AND score IS "
      "NOT NULL ORDER BY at DESC, number DESC LIMIT ?) GROUP BY 1 ORDER BY 1",
      span_us, span_us, model, version, most_rows);
  std::vector<ScoreSpan> spans;
  while (row.executeStep())
    spans.push_back({row.getColumn(0).getInt64(), row.getColumn(1).getInt64(), row.getColumn(2).getDouble()});
  return spans;
}

void ForLatestScored(Db& db, const std::string& model, std::int64_t version, std::int64_t most_rows,
                     const std::function<void(const ScoredRow& row)>& take) {
  auto& row = db.Prepare(
      "SELECT j.prediction, j.row, p.rows, j.at, j.score, j.outcome, coalesce(p.inputs, '') FROM (SELECT * FROM joined WHERE"
      " model = ? AND version = ? AND score IS NOT NULL ORDER BY at DESC, number DESC LIMIT ?) j JOIN predictions p"
      " ON p.number = j.prediction",
      model, version, most_rows);
  while (row.executeStep())
    take({.prediction = row.getColumn(0).getInt64(), .row = row.getColumn(1).getInt64(), .rows = row.getColumn(2).getInt64(),
          .at = row.getColumn(3).getInt64(), .score = row.getColumn(4).getDouble(), .outcome = row.getColumn(5).getString(),
          .inputs = row.getColumn(6).getString()});
}

std::vector<VersionTotals> TotalsOf(Db& db, const std::string& model, std::int64_t most) {
  auto& row = db.Prepare(
      "SELECT version, predictions, rows, joined, unscored FROM totals WHERE model = ? ORDER BY version DESC LIMIT ?", model, most);
  std::vector<VersionTotals> totals;
  while (row.executeStep())
    totals.push_back({row.getColumn(0).getInt64(), row.getColumn(1).getInt64(), row.getColumn(2).getInt64(),
                      row.getColumn(3).getInt64(), row.getColumn(4).getInt64()});
  return totals;
}

}  // namespace ratchet::registry
