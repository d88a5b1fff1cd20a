#include "registry/holdout.h"

#include <algorithm>

namespace ratchet::registry {
namespace {

constexpr char kSelect[] =
    "SELECT e.dataset, e.model, e.epoch, e.after_push, e.until_push, e.rows, e.opened_at, count(l.id), coalesce(sum(l.alpha), 0),"
    " (SELECT n.budget FROM holdout_looks AS n WHERE n.dataset = e.dataset AND n.model = e.model AND n.epoch = e.epoch"
    "  ORDER BY n.look DESC LIMIT 1)"
    " FROM holdout_epochs AS e LEFT JOIN holdout_looks AS l"
    " ON l.dataset = e.dataset AND l.model = e.model AND l.epoch = e.epoch";

HoldoutEpoch ReadEpoch(SQLite::Statement& row) {
  return {.dataset = row.getColumn(0).getString(), .model = row.getColumn(1).getString(),
          .number = row.getColumn(2).getInt64(), .after_push = row.getColumn(3).getInt64(),
          .until_push = row.getColumn(4).getInt64(), .rows = row.getColumn(5).getInt64(),
          .opened_at = row.getColumn(6).getInt64(), .looks = row.getColumn(7).getInt64(),
          .alpha_spent = row.getColumn(8).getDouble(), .budget = OptionalReal(row, 9)};
}

std::vector<HoldoutEpoch> ReadAll(SQLite::Statement& rows) {
  std::vector<HoldoutEpoch> epochs;
  while (rows.executeStep()) epochs.push_back(ReadEpoch(rows));
  return epochs;
}

}  // namespace

std::optional<HoldoutEpoch> CurrentEpoch(Db& db, const std::string& dataset, const std::string& model) {
  auto epochs = ReadAll(db.Prepare(std::string(kSelect) + " WHERE e.dataset = ? AND e.model = ?"
                                   " GROUP BY e.epoch ORDER BY e.epoch DESC LIMIT 1", dataset, model));
  return epochs.empty() ? std::nullopt : std::optional(std::move(epochs.front()));
}

Result<HoldoutEpoch> GetEpoch(Db& db, const std::string& dataset, const std::string& model, std::int64_t number) {
  auto epochs = ReadAll(db.Prepare(std::string(kSelect) + " WHERE e.dataset = ? AND e.model = ? AND e.epoch = ?"
                                   " GROUP BY e.epoch", dataset, model, number));
  if (epochs.empty())
    return Fail(ErrorCode::kNotFound, "find holdout epoch " + std::to_string(number) + " of", dataset, "there is none for " + model);
  return std::move(epochs.front());
}

std::vector<HoldoutEpoch> ListEpochs(Db& db, const std::string& dataset) {
  return ReadAll(db.Prepare(std::string(kSelect) + " WHERE e.dataset = ? GROUP BY e.model, e.epoch ORDER BY e.model, e.epoch DESC",
                            dataset));
}

std::vector<HoldoutEpoch> CurrentEpochs(Db& db, const std::string& dataset) {
  std::vector<HoldoutEpoch> current;
  for (HoldoutEpoch& epoch : ListEpochs(db, dataset))
    if (current.empty() || current.back().model != epoch.model) current.push_back(std::move(epoch));
  return current;
}

Status PutEpoch(Db& db, const HoldoutEpoch& epoch) {
  const auto current = CurrentEpoch(db, epoch.dataset, epoch.model);
  const bool same = current && current->number == epoch.number;
  const bool gives_up_rows = same && epoch.until_push == current->until_push && epoch.after_push >= current->after_push;
  if (same && current->looks > 0 && !gives_up_rows)
    return Fail(ErrorCode::kConflict, "change holdout epoch " + std::to_string(epoch.number) + " of", epoch.dataset,
                "it has been looked at");
  db.Exec("INSERT INTO holdout_epochs (dataset, model, epoch, after_push, until_push, rows, opened_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
          " ON CONFLICT (dataset, model, epoch) DO UPDATE SET after_push = excluded.after_push,"
          " until_push = excluded.until_push, rows = excluded.rows",
          epoch.dataset, epoch.model, epoch.number, epoch.after_push, epoch.until_push, epoch.rows, epoch.opened_at);
  return {};
}

std::vector<NotedLook> ListLooks(Db& db, const std::string& dataset, const std::string& model, std::int64_t until_us, int most) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT epoch, look, alpha, budget, version, verdict, rows, at FROM holdout_looks"
      " WHERE dataset = ? AND model = ? AND epoch IS NOT NULL AND at <= ? ORDER BY epoch DESC, look DESC LIMIT ?",
      dataset, model, until_us, most);
  std::vector<NotedLook> looks;
  while (rows.executeStep())
    looks.push_back({.look = {.epoch = rows.getColumn(0).getInt64(), .look = rows.getColumn(1).getInt64(),
                              .alpha = rows.getColumn(2).getDouble(), .budget = rows.getColumn(3).getDouble()},
                     .version = rows.getColumn(4).getInt64(), .verdict = rows.getColumn(5).getString(),
                     .rows = rows.getColumn(6).getInt64(), .at = rows.getColumn(7).getInt64()});
  std::ranges::reverse(looks);
  return looks;
}

}  // namespace ratchet::registry
