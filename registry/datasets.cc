#include "registry/datasets.h"

#include <algorithm>
#include <limits>

#include "registry/events.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelectDataset =
    "SELECT d.name, d.split_json, d.schema_json, d.latest_version, d.created_at, d.updated_at,"
    " coalesce(v.rows_train, 0), coalesce(v.rows_validation, 0), coalesce(v.rows_holdout, 0)"
    " FROM datasets d LEFT JOIN dataset_versions v ON v.dataset = d.name AND v.version = d.latest_version";
constexpr std::string_view kSelectVersion =
    "SELECT dataset, version, manifest, rows_train, rows_validation, rows_holdout, added_json, bytes_added, created_at"
    " FROM dataset_versions";

Dataset ReadDataset(SQLite::Statement& row) {
  return {.name = row.getColumn(0).getString(), .split = JsonColumn(row, 1), .schema = OptionalJson(row, 2),
          .latest_version = row.getColumn(3).getInt64(),
          .rows = {row.getColumn(6).getInt64(), row.getColumn(7).getInt64(), row.getColumn(8).getInt64()},
          .created_at = row.getColumn(4).getInt64(), .updated_at = row.getColumn(5).getInt64()};
}

DatasetVersion ReadVersion(SQLite::Statement& row) {
  Json added = JsonColumn(row, 6);
  return {.dataset = row.getColumn(0).getString(), .version = row.getColumn(1).getInt64(),
          .manifest = row.getColumn(2).getString(),
          .rows = {row.getColumn(3).getInt64(), row.getColumn(4).getInt64(), row.getColumn(5).getInt64()},
          .added = {added.value("train", std::int64_t{0}), added.value("validation", std::int64_t{0}),
                    added.value("holdout", std::int64_t{0})},
          .bytes_added = row.getColumn(7).getInt64(), .created_at = row.getColumn(8).getInt64()};
}

}  // namespace

Result<Dataset> GetDataset(Db& db, const std::string& name) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectDataset) + " WHERE d.name = ?", name);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find dataset", name, "there is none of this name",
                "Push its first rows with `ratchet dataset push " + name + " FILE`");
  return ReadDataset(row);
}

Result<Dataset> EnsureDataset(Db& db, std::int64_t now_us, const std::string& name, const Json& split) {
  auto existing = GetDataset(db, name);
  if (existing) {
    if (existing->split == split) return existing;
    return Fail(ErrorCode::kConflict, "use dataset", name,
                "it is split by " + existing->split.dump() + " for ever, not by " + split.dump(),
                "Give that split, leave data.split out, or push to a dataset of another name");
  }
  db.Exec("INSERT INTO datasets (name, split_json, created_at, updated_at) VALUES (?, ?, ?, ?)", name, split, now_us,
          now_us);
  return GetDataset(db, name);
}

Page<Dataset> ListDatasets(Db& db, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  SQLite::Statement& rows = db.Prepare(std::string(kSelectDataset) + " WHERE d.name > ? ORDER BY d.name LIMIT ?",
                                       after.value_or(""), limit + 1);
  Page<Dataset> page;
  while (rows.executeStep()) page.items.push_back(ReadDataset(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = page.items.back().name;
  }
  return page;
}

Result<DatasetVersion> AddDatasetVersion(Db& db, const DatasetVersion& input, const Json& schema) {
  auto dataset = GetDataset(db, input.dataset);
  if (!dataset) return std::unexpected(dataset.error());
  if (dataset->latest_version + 1 != input.version)
    return Fail(ErrorCode::kConflict, "add a version to dataset", input.dataset,
                "version " + std::to_string(dataset->latest_version) + " came first", "Push again");
  Json added = {{"train", input.added.train}, {"validation", input.added.validation}, {"holdout", input.added.holdout}};
  db.Exec("INSERT INTO dataset_versions (dataset, version, manifest, rows_train, rows_validation, rows_holdout,"
          " added_json, bytes_added, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          input.dataset, input.version, input.manifest, input.rows.train, input.rows.validation, input.rows.holdout,
          added, input.bytes_added, input.created_at);
  db.Exec("UPDATE datasets SET latest_version = ?, schema_json = ?, updated_at = ? WHERE name = ?", input.version,
          schema, input.created_at, input.dataset);
  AppendEvent(db, {.type = "dataset.version",
                   .data = {{"dataset", input.dataset}, {"version", input.version}, {"added", added}},
                   .at = input.created_at});
  return GetDatasetVersion(db, input.dataset, input.version);
}

Result<DatasetVersion> GetDatasetVersion(Db& db, const std::string& name, std::int64_t version) {
  SQLite::Statement& row =
      db.Prepare(std::string(kSelectVersion) + " WHERE dataset = ? AND version = ?", name, version);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find dataset version", name + "@" + std::to_string(version),
                "there is no such version", "`ratchet dataset show " + name + "` lists them");
  return ReadVersion(row);
}

Page<DatasetVersion> ListDatasetVersions(Db& db, const std::string& name, int limit,
                                         const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  std::int64_t before = ParseCursor(after, std::numeric_limits<std::int64_t>::max()).value_or(0);
  SQLite::Statement& rows = db.Prepare(
      std::string(kSelectVersion) + " WHERE dataset = ? AND version < ? ORDER BY version DESC LIMIT ?", name, before,
      limit + 1);
  Page<DatasetVersion> page;
  while (rows.executeStep()) page.items.push_back(ReadVersion(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = std::to_string(page.items.back().version);
  }
  return page;
}

}  // namespace ratchet::registry
