#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/records.h"

// The α ledger's rows: on which sealed rows of a dataset the candidates of a model are judged, and every look at them.
// Which epoch a candidate is judged in is decided in pipeline/holdout_plan.h, what a look may cost in gate/.
namespace ratchet::registry {

// A set of sealed rows: the holdout of the pushes in (after_push, until_push]. It stays as it is from its first look on, but
// for rows that are retired into training by force: it gives these up.
struct HoldoutEpoch {
  std::string dataset, model;
  std::int64_t number = 0;  // 1, 2, …
  std::int64_t after_push = 0, until_push = 0;
  std::int64_t rows = 0;  // with and without a target
  std::int64_t opened_at = 0;
  std::int64_t looks = 0;  // decisions taken on these rows
  double alpha_spent = 0;  // the sum of their levels
  std::optional<double> budget;  // what they may cost together, by the newest look's rule; none before the first
};

// One decision on an epoch's rows.
struct HoldoutLook {
  std::int64_t epoch = 0, look = 0;  // the look-th on the epoch's rows, from 1
  double alpha = 0;                  // the level that it was tested at
  double budget = 0;                 // what all looks may cost together
};

// A decision as the ledger has it.
struct NotedLook {
  HoldoutLook look;
  std::int64_t version = 0;  // of the model: the candidate
  std::string verdict;
  std::int64_t rows = 0;  // that it was judged on
  std::int64_t at = 0;
};

// The newest epoch of the model on the dataset; nothing before its first test.
std::optional<HoldoutEpoch> CurrentEpoch(Db& db, const std::string& dataset, const std::string& model);
Result<HoldoutEpoch> GetEpoch(Db& db, const std::string& dataset, const std::string& model, std::int64_t number);  // kNotFound
std::vector<HoldoutEpoch> ListEpochs(Db& db, const std::string& dataset);  // by model, newest first
// The decisions on the model's candidates taken by `until_us`, oldest first; of more than `most`, the latest. Without those of
// before there was a ledger.
std::vector<NotedLook> ListLooks(Db& db, const std::string& dataset, const std::string& model, std::int64_t until_us, int most);

std::vector<HoldoutEpoch> CurrentEpochs(Db& db, const std::string& dataset);  // the newest of each model

// Opens the epoch, or gives the newest one, on which nobody has looked, other rows. kConflict: it has been looked at, and
// this is more than giving up its first pushes.
Status PutEpoch(Db& db, const HoldoutEpoch& epoch);

}  // namespace ratchet::registry
