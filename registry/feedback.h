#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/predictions.h"

// Rows of events.db: outcomes that users send back, and what they say of the predictions.
namespace ratchet::registry {

enum class FeedbackBy { kPrediction, kKey };

// The truth about one row. Of a prediction's id it is that row's; of a key it holds for the row of every prediction
// that was asked for with this key, and yields to one by the id.
struct OutcomeInput {
  FeedbackBy by = FeedbackBy::kPrediction;
  std::string reference;  // the id or the key
  std::int64_t row = 0;
  std::string outcome;    // as text; numbers in their shortest form
  std::optional<std::int64_t> at;
};

struct TakenOutcomes {
  std::int64_t taken = 0;     // new
  std::int64_t repeated = 0;  // known, and the same
  std::int64_t replaced = 0;  // known as another
  std::int64_t joined = 0;    // rows of predictions that have an outcome now and had none
  std::int64_t waiting = 0;   // of the new ones, those whose prediction is not here
};
TakenOutcomes TakeOutcomes(Db& db, std::int64_t now_us, const std::string& model,
                           const std::vector<OutcomeInput>& outcomes, const RowScore& score);

// Joins the outcomes that wait for the prediction of this number; returns how many rows.
std::int64_t JoinWaiting(Db& db, std::int64_t now_us, std::int64_t number, const LoggedPrediction& prediction,
                         const RowScore& score);

// Of the latest scored rows of a version, by when they were predicted.
struct ScoreWindow {
  std::int64_t rows = 0;
  double mean = 0;  // of the scores
};
ScoreWindow LatestScores(Db& db, const std::string& model, std::int64_t version, std::int64_t most_rows);
// How many of its rows were joined after this time, counted up to `most`.
std::int64_t JoinedAfter(Db& db, const std::string& model, std::int64_t version, std::int64_t after_us,
                         std::int64_t most);

struct ScoreSpan {
  std::int64_t from = 0;  // of `span_us`
  std::int64_t rows = 0;
  double mean = 0;
};
// The latest `most_rows` scored rows by spans of time, oldest first; spans without rows are left out.
std::vector<ScoreSpan> ScoresOverTime(Db& db, const std::string& model, std::int64_t version, std::int64_t span_us,
                                      std::int64_t most_rows);

// One of the latest scored rows.
struct ScoredRow {
  std::int64_t prediction = 0;  // its number
  std::int64_t row = 0, rows = 0, at = 0;
  double score = 0;
  std::string outcome;
  std::string inputs;  // JSON; empty where they were too large
};
// Calls `take` for each of the latest `most_rows`, by when they were predicted.
void ForLatestScored(Db& db, const std::string& model, std::int64_t version, std::int64_t most_rows,
                     const std::function<void(const ScoredRow& row)>& take);

// Since the beginning, whatever has been deleted since.
struct VersionTotals {
  std::int64_t version = 0, predictions = 0, rows = 0, joined = 0, unscored = 0;
};
std::vector<VersionTotals> TotalsOf(Db& db, const std::string& model, std::int64_t most);  // newest version first

}  // namespace ratchet::registry
