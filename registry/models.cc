#include "registry/models.h"

#include <algorithm>
#include <limits>

#include "registry/events.h"
#include "registry/release_steps.h"

namespace ratchet::registry {
namespace {

constexpr std::string_view kSelectModel =
    "SELECT name, metric, latest, epoch, live, previous, loading, created_at, updated_at FROM models";
constexpr std::string_view kSelectVersion =
    "SELECT v.model, v.version, v.state, v.run, v.bundle, v.bundle_bytes, v.manifest_json, v.metric, v.score, v.opponent,"
    " v.opponent_kind, v.opponent_version, v.verdict, v.decision_json, v.recipe, v.dataset, v.dataset_version,"
    " v.created_at,"
    " CASE WHEN m.live = v.version THEN 'live' WHEN m.previous = v.version THEN 'previous'"
    " WHEN EXISTS (SELECT 1 FROM releases r WHERE r.model = v.model AND r.to_version = v.version AND r.state = 'done')"
    " THEN 'retired' ELSE v.state END, v.scores"
    " FROM versions v JOIN models m ON m.name = v.model";

std::string ModelFileOf(const Json& manifest) {
  const Json digest = manifest.value(Json::json_pointer("/files/model.pt/sha256"), Json());
  return digest.is_string() ? digest.get<std::string>() : "";
}

Model ReadModel(SQLite::Statement& row) {
  return {.name = row.getColumn(0).getString(), .metric = row.getColumn(1).getString(),
          .latest = row.getColumn(2).getInt64(), .epoch = row.getColumn(3).getInt64(), .live = OptionalInt(row, 4),
          .previous = OptionalInt(row, 5), .loading = OptionalInt(row, 6), .created_at = row.getColumn(7).getInt64(),
          .updated_at = row.getColumn(8).getInt64()};
}

Version ReadVersion(SQLite::Statement& row) {
  return {.model = row.getColumn(0).getString(), .version = row.getColumn(1).getInt64(), .state = StateColumn<VersionState>(row, 2),
          .shown_state = row.getColumn(18).getString(), .run = row.getColumn(3).getInt64(),
          .bundle = row.getColumn(4).getString(), .bundle_bytes = row.getColumn(5).getInt64(),
          .manifest = JsonColumn(row, 6), .metric = row.getColumn(7).getString(), .score = OptionalReal(row, 8),
          .opponent = OptionalReal(row, 9), .opponent_kind = OptionalText(row, 10),
          .opponent_version = OptionalInt(row, 11), .verdict = OptionalText(row, 12), .decision = OptionalJson(row, 13),
          .recipe = row.getColumn(14).getString(), .dataset = row.getColumn(15).getString(),
          .dataset_version = row.getColumn(16).getInt64(), .created_at = row.getColumn(17).getInt64(),
          .scores = OptionalText(row, 19)};
}

}  // namespace

Result<Version> CreateVersion(Db& db, std::int64_t now_us, const VersionInput& input) {
  SQLite::Statement& made = db.Prepare("SELECT version FROM versions WHERE run = ?", input.run);
  if (made.executeStep()) return GetVersion(db, input.model, made.getColumn(0).getInt64());
  db.Exec("INSERT INTO models (name, metric, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)"
          " ON CONFLICT (name) DO UPDATE SET metric = ?2, updated_at = ?3",
          input.model, input.metric, now_us);
  SQLite::Statement& latest = db.Prepare("SELECT latest FROM models WHERE name = ?", input.model);
  latest.executeStep();
  std::int64_t version = latest.getColumn(0).getInt64() + 1;
  db.Exec("INSERT INTO versions (model, version, state, run, bundle, bundle_bytes, manifest_json, metric, recipe,"
          " dataset, dataset_version, created_at) VALUES (?, ?, 'candidate', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          input.model, version, input.run, input.bundle, input.bundle_bytes, input.manifest, input.metric, input.recipe,
          input.dataset, input.dataset_version, now_us);
  for (const std::string& sha256 : {input.bundle, ModelFileOf(input.manifest)})
    if (!sha256.empty()) db.Exec("INSERT INTO bundle_files (sha256) VALUES (?) ON CONFLICT DO NOTHING", sha256);
  db.Exec("UPDATE models SET latest = ? WHERE name = ?", version, input.model);
  db.Exec("UPDATE runs SET candidate = ? WHERE id = ?", version, input.run);
  AppendEvent(db, {.type = "version.created", .run = input.run, .model = input.model, .data = {{"version", version}},
                   .at = now_us});
  return GetVersion(db, input.model, version);
}

Result<Model> GetModel(Db& db, const std::string& name) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectModel) + " WHERE name = ?", name);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find model", name, "there is none of this name",
                "`ratchet model list` shows those there are");
  return ReadModel(row);
}

Page<Model> ListModels(Db& db, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  SQLite::Statement& rows = db.Prepare(std::string(kSelectModel) + " WHERE name > ? ORDER BY name LIMIT ?",
                                       after.value_or(""), limit + 1);
  Page<Model> page;
  while (rows.executeStep()) page.items.push_back(ReadModel(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = page.items.back().name;
  }
  return page;
}

Result<Version> GetVersion(Db& db, const std::string& model, std::int64_t version) {
  SQLite::Statement& row =
      db.Prepare(std::string(kSelectVersion) + " WHERE v.model = ? AND v.version = ?", model, version);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find version", model + "@" + std::to_string(version), "there is no such version",
                "`ratchet model versions " + model + "` lists them");
  return ReadVersion(row);
}

bool IsBundleFile(Db& db, const std::string& sha256) {
  return db.Prepare("SELECT 1 FROM bundle_files WHERE sha256 = ?", sha256).executeStep();
}

Page<Version> ListVersions(Db& db, const std::string& model, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  std::int64_t before = ParseCursor(after, std::numeric_limits<std::int64_t>::max()).value_or(0);
  SQLite::Statement& rows = db.Prepare(
      std::string(kSelectVersion) + " WHERE v.model = ? AND v.version < ? ORDER BY v.version DESC LIMIT ?", model,
      before, limit + 1);
  Page<Version> page;
  while (rows.executeStep()) page.items.push_back(ReadVersion(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = std::to_string(page.items.back().version);
  }
  return page;
}

static Json NumberOrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

static Status NoteLook(Db& db, std::int64_t now_us, const Version& record, const DecisionInput& input) {
  if (input.rows == 0) return {};  // nobody has looked
  std::optional<std::int64_t> epoch, look;
  std::optional<double> alpha, budget;
  if (input.look) {
    RATCHET_ASSIGN(const HoldoutEpoch found, GetEpoch(db, record.dataset, record.model, input.look->epoch));
    if (found.looks + 1 != input.look->look)
      return Fail(ErrorCode::kConflict, "note the look of", record.model + "@" + std::to_string(record.version),
                  "it is look " + std::to_string(found.looks + 1) + " of its epoch, not " + std::to_string(input.look->look));
    epoch = input.look->epoch, look = input.look->look, alpha = input.look->alpha, budget = input.look->budget;
  }
  db.Exec("INSERT INTO holdout_looks (dataset, dataset_version, model, version, run, rows, p_value, verdict, at, epoch, look,"
          " alpha, budget) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          record.dataset, record.dataset_version, record.model, record.version, record.run, input.rows, input.p_value,
          input.verdict, now_us, epoch, look, alpha, budget);
  return {};
}

Status RecordDecision(Db& db, std::int64_t now_us, const std::string& model, std::int64_t version,
                      const DecisionInput& input) {
  RATCHET_ASSIGN(Version record, GetVersion(db, model, version));
  VersionState to = input.promotes ? VersionState::kPassed : VersionState::kRejected;
  bool released = record.shown_state != Name(record.state);  // live, previous or retired
  if (released || (record.state != to && !MayMove(record.state, to)))
    return Fail(ErrorCode::kConflict, "record the decision on", model + "@" + std::to_string(version),
                "it is " + record.shown_state + " already");
  db.Exec("UPDATE versions SET state = ?, score = ?, opponent = ?, opponent_kind = ?, opponent_version = ?, verdict = ?,"
          " decision_json = ?, scores = ? WHERE model = ? AND version = ?",
          Name(to), input.score, input.opponent, input.opponent_kind, input.opponent_version, input.verdict,
          input.report, input.scores, model, version);
  RATCHET_TRY(NoteLook(db, now_us, record, input));
  const std::string subject = model + "@" + std::to_string(version);
  Json told = {{"version", version}, {"verdict", input.verdict}, {"score", NumberOrNull(input.score)},
               {"opponent", NumberOrNull(input.opponent)}};
  if (const Json unscorable = input.report.value("live_unscorable", Json()); unscorable.is_object()) {
    told["live_unscorable"] = unscorable;
    AppendAudit(db, now_us, "gate", unscorable.value("reset", false) ? "gate.baseline_reset" : "gate.live_unscorable", subject,
                unscorable.value("message", ""));
  }
  AppendEvent(db, {.type = "decision", .run = record.run, .model = model, .data = std::move(told), .at = now_us});
  AppendAudit(db, now_us, "gate", "version." + std::string(Name(to)), subject, input.report.value("reason", ""));
  return {};
}

// The releases that share traffic now.
static void AddSplits(Db& db, RouteTable& table) {
  const std::vector<Release> shared = SharedReleases(db);
  for (const Release& release : shared) {
    auto route = std::ranges::find(table.routes, release.model, &Route::model);
    const auto split = release.split ? SplitFromJson(*release.split) : std::nullopt;
    if (route == table.routes.end() || !split) continue;
    route->split = Route::Split{.release = release.id, .step = release.step, .mode = split->mode, .arms = {}};
    for (const TrafficArm& arm : split->arms) {
      SQLite::Statement& row = db.Prepare("SELECT bundle FROM versions WHERE model = ? AND version = ?", release.model, arm.version);
      if (row.executeStep()) route->split->arms.push_back({arm.role, {arm.version, row.getColumn(0).getString()}, arm.share});
    }
  }
}

RouteTable Routes(Db& db) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT m.name, m.epoch, m.live, l.bundle, m.previous, p.bundle, m.loading, c.bundle FROM models m"
      " LEFT JOIN versions l ON l.model = m.name AND l.version = m.live"
      " LEFT JOIN versions p ON p.model = m.name AND p.version = m.previous"
      " LEFT JOIN versions c ON c.model = m.name AND c.version = m.loading"
      " WHERE m.epoch > 0 ORDER BY m.name");
  auto target = [&](int column) -> std::optional<RouteTarget> {
    if (rows.getColumn(column).isNull()) return std::nullopt;
    return RouteTarget{rows.getColumn(column).getInt64(), rows.getColumn(column + 1).getString()};
  };
  RouteTable table;
  while (rows.executeStep()) {
    table.routes.push_back({.model = rows.getColumn(0).getString(), .epoch = rows.getColumn(1).getInt64(),
                            .live = target(2), .previous = target(4), .loading = target(6)});
    table.revision += table.routes.back().epoch;
  }
  AddSplits(db, table);
  return table;
}

Result<Route> RouteOf(Db& db, const std::string& model) {
  RATCHET_TRY(GetModel(db, model));
  for (Route& route : Routes(db).routes)
    if (route.model == model) return route;
  return Route{.model = model};
}

std::int64_t RouteRevision(Db& db) {
  SQLite::Statement& row = db.Prepare("SELECT coalesce(sum(epoch), 0) FROM models");
  row.executeStep();
  return row.getColumn(0).getInt64();
}

}  // namespace ratchet::registry
