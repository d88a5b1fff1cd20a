#include "registry/pipelines.h"

#include <algorithm>

#include "registry/events.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelect =
    "SELECT p.name, r.model, r.dataset, p.revision, r.spec_text, r.spec_json, r.files_json, p.created_at, p.updated_at,"
    " (SELECT max(id) FROM runs WHERE pipeline = p.name), p.paused, p.schedule_seen_at"
    " FROM pipelines p JOIN pipeline_revisions r ON r.pipeline = p.name AND r.revision = p.revision";

Pipeline ReadPipeline(SQLite::Statement& row) {
  return {.name = row.getColumn(0).getString(), .model = row.getColumn(1).getString(),
          .dataset = row.getColumn(2).getString(), .revision = row.getColumn(3).getInt64(),
          .spec_text = row.getColumn(4).getString(), .spec = JsonColumn(row, 5), .files = JsonColumn(row, 6),
          .created_at = row.getColumn(7).getInt64(), .updated_at = row.getColumn(8).getInt64(),
          .last_run = OptionalInt(row, 9), .paused = row.getColumn(10).getInt() != 0,
          .schedule_seen_at = OptionalInt(row, 11)};
}

void InsertRevision(Db& db, std::int64_t now_us, const PipelineInput& input, std::int64_t revision) {
  db.Exec("INSERT INTO pipelines (name, revision, created_at, updated_at) VALUES (?1, ?2, ?3, ?4)"
          " ON CONFLICT (name) DO UPDATE SET revision = ?2, deleted = 0, updated_at = ?4",
          input.name, revision, now_us, now_us);
  db.Exec("INSERT INTO pipeline_revisions (pipeline, revision, model, dataset, spec_text, spec_json, files_json,"
          " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          input.name, revision, input.model, input.dataset, input.spec_text, input.spec, input.files, now_us);
}

Status CheckModelIsFree(Db& db, const PipelineInput& input) {
  SQLite::Statement& other = db.Prepare(
      "SELECT p.name FROM pipelines p JOIN pipeline_revisions r ON r.pipeline = p.name AND r.revision = p.revision"
      " WHERE p.deleted = 0 AND r.model = ? AND p.name <> ? LIMIT 1",
      input.model, input.name);
  if (!other.executeStep()) return {};
  const std::string name = other.getColumn(0).getString();
  Error error{.code = ErrorCode::kConflict, .operation = "apply pipeline", .subject = input.name,
              .cause = "pipeline " + name + " trains model " + input.model + " already",
              .hint = "Name another model, apply this spec as " + name + ", or delete that one first with `ratchet"
                      " pipeline delete " + name + "`",
              .field = "model"};
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Applied> ApplyPipeline(Db& db, std::int64_t now_us, const std::string& actor, const PipelineInput& input) {
  Applied applied;
  std::int64_t latest = 0;
  SQLite::Statement& row = db.Prepare(
      "SELECT p.revision, p.deleted, r.spec_text, r.files_json FROM pipelines p JOIN pipeline_revisions r"
      " ON r.pipeline = p.name AND r.revision = p.revision WHERE p.name = ?",
      input.name);
  applied.created = true;
  applied.changed = true;
  if (row.executeStep()) {
    latest = row.getColumn(0).getInt64();
    applied.created = row.getColumn(1).getInt() != 0;
    applied.changed = applied.created || row.getColumn(2).getString() != input.spec_text ||
                      JsonColumn(row, 3) != input.files;
  }
  if (applied.changed) {
    RATCHET_TRY(CheckModelIsFree(db, input));
    InsertRevision(db, now_us, input, latest + 1);
    AppendEvent(db, {.type = "pipeline.applied", .pipeline = input.name, .model = input.model,
                     .data = {{"revision", latest + 1}}, .at = now_us});
    AppendAudit(db, now_us, actor, "pipeline.apply", input.name, "revision " + std::to_string(latest + 1));
  }
  auto pipeline = GetPipeline(db, input.name);
  if (!pipeline) return std::unexpected(pipeline.error());
  applied.pipeline = std::move(*pipeline);
  return applied;
}

Result<Pipeline> GetPipeline(Db& db, const std::string& name) {
  SQLite::Statement& row = db.Prepare(std::string(kSelect) + " WHERE p.name = ? AND p.deleted = 0", name);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find pipeline", name, "there is none of this name",
                "`ratchet pipeline list` shows those there are");
  return ReadPipeline(row);
}

Result<Json> RevisionFiles(Db& db, const std::string& name, std::int64_t revision) {
  SQLite::Statement& row =
      db.Prepare("SELECT files_json FROM pipeline_revisions WHERE pipeline = ? AND revision = ?", name, revision);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find pipeline revision", name + " revision " + std::to_string(revision),
                "there is none");
  return JsonColumn(row, 0);
}

Page<Pipeline> ListPipelines(Db& db, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  SQLite::Statement& rows = db.Prepare(
      std::string(kSelect) + " WHERE p.deleted = 0 AND p.name > ? ORDER BY p.name LIMIT ?", after.value_or(""), limit + 1);
  Page<Pipeline> page;
  while (rows.executeStep()) page.items.push_back(ReadPipeline(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = page.items.back().name;
  }
  return page;
}

PredictionSettings PredictionSettingsOf(Db& db) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT r.model, json_extract(r.spec_json, '$.predictions'), p.revision FROM pipelines p JOIN pipeline_revisions r"
      " ON r.pipeline = p.name AND r.revision = p.revision ORDER BY p.deleted DESC, p.updated_at");
  PredictionSettings settings;
  while (rows.executeStep()) {
    settings.revision += rows.getColumn(2).getInt64();
    if (auto given = OptionalJson(rows, 1)) settings.of_model[rows.getColumn(0).getString()] = std::move(*given);
    else settings.of_model.erase(rows.getColumn(0).getString());
  }
  return settings;
}

std::vector<FeedbackPlan> FeedbackPlans(Db& db) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT r.model, r.dataset, json_extract(r.spec_json, '$.data.target'), json_extract(r.spec_json, '$.feedback.dataset'),"
      " json_extract(r.spec_json, '$.feedback.every'), json_extract(r.spec_json, '$.feedback.within') FROM pipelines p"
      " JOIN pipeline_revisions r ON r.pipeline = p.name AND r.revision = p.revision WHERE p.deleted = 0"
      " AND json_extract(r.spec_json, '$.feedback.dataset') IS NOT NULL ORDER BY p.name");
  std::vector<FeedbackPlan> plans;
  while (rows.executeStep())
    plans.push_back({.model = rows.getColumn(0).getString(), .dataset = rows.getColumn(1).getString(),
                     .target = rows.getColumn(2).getString(), .to = rows.getColumn(3).getString(),
                     .every = rows.getColumn(4).getInt64(), .within_s = rows.getColumn(5).getInt64()});
  return plans;
}

std::vector<PipelineMark> ListPipelineMarks(Db& db) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT p.name, r.dataset, p.revision, p.updated_at, p.paused, p.schedule_seen_at FROM pipelines p"
      " JOIN pipeline_revisions r ON r.pipeline = p.name AND r.revision = p.revision WHERE p.deleted = 0 ORDER BY p.name");
  std::vector<PipelineMark> marks;
  while (rows.executeStep())
    marks.push_back({.name = rows.getColumn(0).getString(), .dataset = rows.getColumn(1).getString(),
                     .revision = rows.getColumn(2).getInt64(), .updated_at = rows.getColumn(3).getInt64(),
                     .paused = rows.getColumn(4).getInt() != 0, .schedule_seen_at = OptionalInt(rows, 5)});
  return marks;
}

Status DeletePipeline(Db& db, std::int64_t now_us, const std::string& actor, const std::string& name) {
  RATCHET_TRY(GetPipeline(db, name));
  SQLite::Statement& active = db.Prepare(
      "SELECT id FROM runs WHERE pipeline = ? AND state IN ('queued', 'running') LIMIT 1", name);
  if (active.executeStep()) {
    std::string id = std::to_string(active.getColumn(0).getInt64());
    return Fail(ErrorCode::kConflict, "delete pipeline", name, "run " + id + " is active",
                "`ratchet run cancel " + id + "` first");
  }
  db.Exec("UPDATE pipelines SET deleted = 1, updated_at = ? WHERE name = ?", now_us, name);
  AppendAudit(db, now_us, actor, "pipeline.delete", name, "");
  return {};
}

Result<Pipeline> SetPaused(Db& db, std::int64_t now_us, const std::string& actor, const std::string& name, bool paused) {
  RATCHET_ASSIGN(Pipeline pipeline, GetPipeline(db, name));
  if (pipeline.paused == paused) return pipeline;
  db.Exec("UPDATE pipelines SET paused = ?, updated_at = ? WHERE name = ?", paused ? 1 : 0, now_us, name);
  AppendEvent(db, {.type = "pipeline.applied", .pipeline = name, .model = pipeline.model, .data = {{"paused", paused}},
                   .at = now_us});
  AppendAudit(db, now_us, actor, paused ? "pipeline.pause" : "pipeline.resume", name, "");
  return GetPipeline(db, name);
}

void SetScheduleSeen(Db& db, const std::string& name, std::int64_t at_us) {
  db.Exec("UPDATE pipelines SET schedule_seen_at = ? WHERE name = ?", at_us, name);
}

std::optional<DriftReport> FindDrift(Db& db, const std::string& pipeline) {
  SQLite::Statement& row =
      db.Prepare("SELECT dataset_version, live, worst, report_json, at FROM drift WHERE pipeline = ?", pipeline);
  if (!row.executeStep()) return std::nullopt;
  return DriftReport{row.getColumn(0).getInt64(), row.getColumn(1).getInt64(), row.getColumn(2).getDouble(),
                     JsonColumn(row, 3), row.getColumn(4).getInt64()};
}

void KeepDrift(Db& db, const std::string& pipeline, const DriftReport& drift) {
  db.Exec("INSERT INTO drift (pipeline, dataset_version, live, worst, report_json, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
          " ON CONFLICT (pipeline) DO UPDATE SET dataset_version = ?2, live = ?3, worst = ?4, report_json = ?5, at = ?6",
          pipeline, drift.dataset_version, drift.live, drift.worst, drift.report, drift.at);
}

std::vector<DriftDue> DriftsDue(Db& db) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT p.name, m.live, v.dataset_version, d.latest_version, n.manifest, v.manifest_json FROM pipelines p"
      " JOIN pipeline_revisions r ON r.pipeline = p.name AND r.revision = p.revision"
      " JOIN models m ON m.name = r.model"
      " JOIN versions v ON v.model = m.name AND v.version = m.live AND v.dataset = r.dataset"
      " JOIN datasets d ON d.name = r.dataset AND d.latest_version > v.dataset_version"
      " JOIN dataset_versions n ON n.dataset = d.name AND n.version = d.latest_version"
      " LEFT JOIN drift f ON f.pipeline = p.name AND f.live = m.live AND f.dataset_version = d.latest_version"
      " WHERE p.deleted = 0 AND f.pipeline IS NULL AND json_extract(r.spec_json, '$.retrain.drift') IS NOT NULL"
      " ORDER BY p.name");
  std::vector<DriftDue> due;
  while (rows.executeStep())
    due.push_back({.pipeline = rows.getColumn(0).getString(), .live = rows.getColumn(1).getInt64(),
                   .trained_on = rows.getColumn(2).getInt64(), .dataset_version = rows.getColumn(3).getInt64(),
                   .dataset_manifest = rows.getColumn(4).getString(), .bundle = JsonColumn(rows, 5)});
  return due;
}

}  // namespace ratchet::registry
