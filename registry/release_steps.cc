#include "registry/release_steps.h"

#include "registry/events.h"
#include "registry/release_row.h"
#include "registry/runs.h"

namespace ratchet::registry {
namespace {

Status CheckMove(const Release& release, ReleaseState to, const char* operation) {
  if (release.state == to || MayMove(release.state, to)) return {};
  return Fail(ErrorCode::kConflict, operation, std::to_string(release.id), "it is " + std::string(Name(release.state)) + " already");
}

// A change of what a release is about: its event, and the next epoch of the route.
Status Moved(Db& db, std::int64_t now_us, std::int64_t id, const char* action, const std::string& detail) {
  RATCHET_ASSIGN(const Release release, GetRelease(db, id));
  db.Exec("UPDATE models SET epoch = epoch + 1, updated_at = ? WHERE name = ?", now_us, release.model);
  ReleaseEvent(db, now_us, release);
  AppendAudit(db, now_us, release.actor, action, ShowVersion(release.model, release.to), detail);
  return {};
}

Result<Release> UnderWayOf(Db& db, const std::string& model, const char* operation) {
  RATCHET_TRY(GetModel(db, model));
  if (auto release = ReleaseUnderWay(db, model)) return *release;
  return Fail(ErrorCode::kConflict, operation, model, "no release of it is under way", "`ratchet release list " + model + "` shows how they ended");
}

}  // namespace

Json SplitJson(const TrafficSplit& split) {
  Json arms = Json::array();
  for (const TrafficArm& arm : split.arms) arms.push_back({{"role", arm.role}, {"version", arm.version}, {"share", arm.share}});
  return {{"mode", split.mode}, {"arms", std::move(arms)}};
}

std::optional<TrafficSplit> SplitFromJson(const Json& json) {
  if (!json.is_object() || !json.value("arms", Json()).is_array()) return std::nullopt;
  TrafficSplit split{.mode = json.value("mode", ""), .arms = {}};
  for (const Json& arm : json["arms"])
    split.arms.push_back({arm.value("role", ""), arm.value("version", std::int64_t{0}), arm.value("share", 0.0)});
  return split;
}

std::vector<Release> SharedReleases(Db& db) {
  SQLite::Statement& rows = db.Prepare(std::string(kSelectRelease) +
                                       " INDEXED BY releases_split WHERE state IN ('watching', 'waiting') ORDER BY id");
  std::vector<Release> releases;
  while (rows.executeStep()) releases.push_back(ReadRelease(rows));
  return releases;
}

Status ShiftRelease(Db& db, std::int64_t now_us, std::int64_t id, std::int64_t step, const TrafficSplit& split) {
  RATCHET_ASSIGN(const Release release, GetRelease(db, id));
  RATCHET_TRY(CheckMove(release, ReleaseState::kWatching, "shift release"));
  if (release.step_at && release.step >= step)
    return Fail(ErrorCode::kConflict, "shift release", std::to_string(id), "it is in step " + std::to_string(release.step) + " already");
  db.Exec("UPDATE releases SET state = 'watching', step = ?, step_at = ?, split_json = ?, watched_us = 0, watched_at = NULL WHERE id = ?",
          step, now_us, SplitJson(split), id);
  return Moved(db, now_us, id, "release.step", SplitJson(split).dump());
}

Status AwaitApproval(Db& db, std::int64_t now_us, std::int64_t id) {
  RATCHET_ASSIGN(const Release release, GetRelease(db, id));
  RATCHET_TRY(CheckMove(release, ReleaseState::kWaiting, "hold release"));
  db.Exec("UPDATE releases SET state = 'waiting' WHERE id = ?", id);
  return Moved(db, now_us, id, "release.waiting", "for an approval");
}

Status RollBackRelease(Db& db, std::int64_t now_us, std::int64_t id, const std::string& harm, const Json& evidence) {
  RATCHET_ASSIGN(const Release release, GetRelease(db, id));
  RATCHET_TRY(CheckMove(release, ReleaseState::kFailed, "roll back release"));
  db.Exec("UPDATE releases SET harm = 1, evidence_json = ? WHERE id = ?", evidence, id);
  EndWithout(db, now_us, release, ReleaseState::kFailed, harm, "watch");
  return {};
}

void NoteWatch(Db& db, std::int64_t id, const WatchNote& note) {
  db.Exec("UPDATE releases SET evidence_json = ?, watched_us = ?, watched_at = ? WHERE id = ? AND state IN ('watching', 'waiting')",
          note.evidence, note.watched_us, note.watched_at, id);
}

void KeepCounts(Db& db, std::int64_t id, const ReplicaCounts& counts) {
  db.Exec("INSERT INTO release_counts (release, step, share, replica, instance, counts) VALUES (?, ?, ?, ?, ?, ?)"
          " ON CONFLICT DO UPDATE SET counts = excluded.counts",
          id, counts.step, counts.share, counts.replica, counts.instance, counts.counts);
}

std::vector<ReplicaCounts> CountsOf(Db& db, std::int64_t id) {
  SQLite::Statement& rows = db.Prepare(
      "SELECT step, share, replica, instance, counts FROM release_counts WHERE release = ? ORDER BY step, replica, instance", id);
  std::vector<ReplicaCounts> all;
  while (rows.executeStep())
    all.push_back({.step = rows.getColumn(0).getInt64(), .share = rows.getColumn(1).getDouble(), .replica = rows.getColumn(2).getString(),
                   .instance = rows.getColumn(3).getString(), .counts = JsonColumn(rows, 4)});
  return all;
}

Result<Release> ApproveRelease(Db& db, std::int64_t now_us, const std::string& model, const std::string& actor, const std::string& reason) {
  RATCHET_ASSIGN(const Release release, UnderWayOf(db, model, "approve a release of"));
  const bool asked = release.plan && (release.plan->value("approval", "") == "manual" || release.strategy == "ab");
  if (!asked)
    return Fail(ErrorCode::kConflict, "approve", "release " + std::to_string(release.id), "it goes live by itself, and waits for nobody",
                "`release: {approval: manual}` in the spec makes the next ones wait");
  if (release.approved_at) return release;
  db.Exec("UPDATE releases SET approved_by = ?, approved_at = ? WHERE id = ?", actor, now_us, release.id);
  AppendAudit(db, now_us, actor, "release.approve", ShowVersion(model, release.to), reason);
  return GetRelease(db, release.id);
}

Result<Release> AbortUnderWay(Db& db, std::int64_t now_us, const std::string& model, const std::string& actor, const std::string& reason) {
  RATCHET_ASSIGN(const Release release, UnderWayOf(db, model, "abort a release of"));
  EndWithout(db, now_us, release, ReleaseState::kAborted, "aborted by " + actor + (reason.empty() ? "" : ": " + reason), actor);
  if (release.run) {
    auto run = GetRun(db, *release.run);
    if (run && !IsEnd(run->state)) RATCHET_TRY(AskCancel(db, now_us, actor, *release.run));
  }
  return GetRelease(db, release.id);
}

bool WasHarmful(Db& db, const std::string& model, std::int64_t version) {
  return db.Prepare("SELECT 1 FROM releases INDEXED BY releases_harmful WHERE model = ? AND to_version = ? AND harm = 1", model, version)
      .executeStep();
}

}  // namespace ratchet::registry
