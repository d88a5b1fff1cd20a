#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"

// Rows of events.db: answered predictions as replicas ship them. See also registry/feedback.h.
namespace ratchet::registry {

struct LoggedPrediction {
  std::string id;
  std::int64_t sequence = 0;  // of the replica's spool
  std::string model;
  std::int64_t version = 0;
  std::string role = "live";
  double share = 1;
  std::optional<std::string> key;
  std::int64_t rows = 0;
  std::int64_t at = 0, latency_us = 0;
  std::optional<std::string> inputs;  // JSON; none where they were too large
  std::string outputs;                // JSON, an array of tensors
};

struct PredictionBatch {
  std::string replica, spool;
  std::int64_t started_at = 0, dropped = 0;  // predictions lost before the spool since the replica started
  std::int64_t last_sequence = 0;            // of the batch, also where that record was no good
  std::vector<LoggedPrediction> predictions;
  std::vector<std::int64_t> refused = {};    // numbers of the records that were no good
};

// The score of one row of a prediction against its outcome, under the metric of the version that gave it; nothing where
// that cannot be told. Must be pure: a write may be run twice.
using RowScore = std::function<std::optional<double>(const LoggedPrediction& prediction, std::int64_t row,
                                                     const std::string& outcome)>;

struct TakenBatch {
  std::int64_t taken = 0;     // new
  std::int64_t repeated = 0;  // known by their number or their id
  std::int64_t joined = 0;    // rows whose outcome was here already
};

// Takes in a batch; what was taken in before is passed over, so that a batch may come twice. Joins outcomes that wait.
TakenBatch TakePredictions(Db& db, std::int64_t now_us, const PredictionBatch& batch, const RowScore& score);

// Predictions that were answered but are not kept: those that replicas told of, and those refused here.
std::int64_t DroppedPredictions(Db& db);

struct Retention {
  std::int64_t keep_us = 90LL * 86'400 * 1'000'000;  // predictions and outcomes older than that go
  std::int64_t keep_bytes = 10LL << 30;              // the oldest go while events.db holds more
};
// Deletes at most `most` predictions and as many outcomes that are past it, oldest first; returns how many went.
std::int64_t DeletePast(Db& db, std::int64_t now_us, const Retention& retention, std::int64_t most);

}  // namespace ratchet::registry
