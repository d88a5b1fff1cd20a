#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/predictions.h"

// Rows of events.db: joined rows on their way into a dataset. A joined row's number only grows, so a batch is a range of
// them, and what is above the newest batch waits.
namespace ratchet::registry {

struct FeedbackBatch {
  std::int64_t id = 0;
  std::string model, dataset;
  std::int64_t after_number = 0, last_number = 0;  // joined rows above the one, up to the other
  std::int64_t after_version = 0;                  // the dataset's latest when it was made up
};

struct WaitingRows {
  std::int64_t rows = 0;                  // counted up to the most asked for
  std::optional<std::int64_t> oldest_at;  // when the oldest was joined
};
WaitingRows WaitingFeedback(Db& db, const std::string& model, const std::string& dataset, std::int64_t most);

std::optional<FeedbackBatch> OpenBatch(Db& db, const std::string& model, const std::string& dataset);
// Makes up a batch of at most `most_rows` of those that wait, and takes their cases; nothing where none waits.
std::optional<FeedbackBatch> BeginBatch(Db& db, std::int64_t now_us, const std::string& model, const std::string& dataset,
                                        std::int64_t after_version, std::int64_t most_rows);

// One row of a batch, with the prediction whose row it is.
struct LabelledRow {
  LoggedPrediction prediction;  // id, model, version, key, rows, inputs
  std::int64_t row = 0;
  std::string outcome;
};
// Part of a batch, oldest joined first, each case once; those whose case another row stands for are left out and counted.
struct BatchRows {
  std::vector<LabelledRow> rows;
  std::int64_t known = 0;
  std::int64_t last_number = 0;  // where the next part goes on
  bool end = false;              // there is none
};
// From above `after_number` on, up to about `most_bytes` of inputs.
BatchRows RowsOfBatch(Db& db, const FeedbackBatch& batch, std::int64_t after_number, std::int64_t most_bytes);

struct BatchEnd {
  std::optional<std::int64_t> version;  // that the batch has become; none where it had no fit row
  std::int64_t rows = 0, unfit = 0, in_holdout = 0, known = 0;
  std::string why;  // of the first unfit row
};
// Nothing where it is done already.
void EndBatch(Db& db, std::int64_t now_us, std::int64_t id, const BatchEnd& end);

// Over all batches of a model into a dataset.
struct BatchTotals {
  std::int64_t batches = 0, rows = 0, unfit = 0, in_holdout = 0, known = 0;
  std::optional<std::int64_t> version, ended_at;  // of the newest that made a version
  std::string why;                                // of the newest with an unfit row
};
BatchTotals BatchTotalsOf(Db& db, const std::string& model, const std::string& dataset);

}  // namespace ratchet::registry
