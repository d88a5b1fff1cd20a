// Releases: the changes of what serves. Declared in registry/models.h.

#include <algorithm>
#include <limits>

#include "registry/events.h"
#include "registry/models.h"
#include "registry/release_row.h"
#include "registry/release_steps.h"

namespace ratchet::registry {
namespace {

std::string KindName(ReleaseKind kind) {
  switch (kind) {
    case ReleaseKind::kPromote: return "promote";
    case ReleaseKind::kForce: return "force";
    case ReleaseKind::kRollback: return "rollback";
  }
  return "promote";
}

Result<Release> Insert(Db& db, std::int64_t now_us, const ReleaseInput& input, const Model& model, ReleaseState state) {
  db.Exec("INSERT INTO releases (model, kind, from_version, to_version, state, strategy, actor, reason, run, created_at, plan_json)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          input.model, KindName(input.kind), model.live, input.to, Name(state), input.strategy, input.actor, input.reason, input.run,
          now_us, input.plan);
  return GetRelease(db, db.database().getLastInsertRowid());
}

// The one place where a model's live version changes.
Result<Release> Switch(Db& db, std::int64_t now_us, const Release& release) {
  int changed = db.Exec(
      "UPDATE models SET live = ?1, previous = live, loading = NULL, epoch = epoch + 1, updated_at = ?2"
      " WHERE name = ?3 AND live IS ?4"
      " AND NOT EXISTS (SELECT 1 FROM releases WHERE model = ?3 AND state = 'done' AND id > ?5)",
      release.to, now_us, release.model, release.from, release.id);
  if (changed != 1)
    return Fail(ErrorCode::kConflict, "release", ShowVersion(release.model, release.to),
                ShowVersion(release.model, release.from) + " is not the live version any more, or has not been all the time",
                "Judge it again against the one that is: `ratchet run retry`");
  RATCHET_ASSIGN(Model model, GetModel(db, release.model));
  db.Exec("UPDATE releases SET state = 'done', epoch = ?, ended_at = ? WHERE id = ?", model.epoch, now_us, release.id);
  RATCHET_ASSIGN(Release done, GetRelease(db, release.id));
  ReleaseEvent(db, now_us, done);
  AppendAudit(db, now_us, done.actor, "release." + done.kind, ShowVersion(done.model, done.to),
              "from " + ShowVersion(done.model, done.from) + (done.reason.empty() ? "" : ": " + done.reason));
  return done;
}

// A decision holds for what was live when it was made.
Status CheckFresh(Db& db, const Model& model, const Version& version, const ReleaseInput& input) {
  auto stale = [&](const std::optional<std::int64_t>& against, const std::string& now) {
    return Fail(ErrorCode::kConflict, "release", ShowVersion(model.name, input.to),
                "it was judged against " + ShowVersion(model.name, against) + ", but " + now,
                "Have a new version judged with `ratchet run start`, or let this one in by --force with a reason");
  };
  const std::string live = ShowVersion(model.name, model.live);
  if (input.expected && !Same(*input.expected, LiveStateOf(db, model.name)))
    return stale(input.expected->version, input.expected->version == model.live
                                              ? "another version has been live since then, and " + live + " came back"
                                              : live + " is live now");
  if (input.kind == ReleaseKind::kPromote && JudgedAgainst(version) != model.live)
    return stale(JudgedAgainst(version), live + " is live now");
  return {};
}

Status CheckStart(Db& db, const Model& model, const Version& version, const ReleaseInput& input) {
  std::string subject = ShowVersion(model.name, input.to);
  if (model.live == input.to) return Fail(ErrorCode::kConflict, "release", subject, "it is live already");
  // That it was live once, by force, proves nothing.
  if (input.kind == ReleaseKind::kPromote && version.state != VersionState::kPassed)
    return Fail(ErrorCode::kConflict, "promote", subject,
                "the gate has not passed it: it is " + std::string(Name(version.state)),
                "Read its decision with `ratchet model show " + model.name +
                    "`; --force with a reason overrides the gate, and is recorded");
  if (input.kind == ReleaseKind::kPromote && WasHarmful(db, model.name, input.to))
    return Fail(ErrorCode::kConflict, "promote", subject, "a release of it was rolled back, because it did proven harm",
                "`ratchet release list " + model.name + "` says what was seen; --force with a reason lets it in all the same");
  return CheckFresh(db, model, version, input);
}

// Whether the newest release of the model took this version away by a rollback.
bool WasRolledAway(Db& db, const std::string& model, std::int64_t version) {
  SQLite::Statement& row = db.Prepare(
      "SELECT kind, from_version FROM releases WHERE model = ? AND state = 'done' ORDER BY id DESC LIMIT 1", model);
  return row.executeStep() && row.getColumn(0).getString() == KindName(ReleaseKind::kRollback) &&
         OptionalInt(row, 1) == version;
}

}  // namespace

bool Same(const LiveState& a, const LiveState& b) {
  return a.version == b.version && (!a.epoch || !b.epoch || *a.epoch == *b.epoch);
}

LiveState LiveStateOf(Db& db, const std::string& model) {
  SQLite::Statement& row = db.Prepare(
      "SELECT m.live, coalesce((SELECT r.epoch FROM releases r WHERE r.model = m.name AND r.state = 'done'"
      " ORDER BY r.id DESC LIMIT 1), 0) FROM models m WHERE m.name = ?", model);
  if (!row.executeStep()) return {.version = {}, .epoch = 0};
  return {.version = OptionalInt(row, 0), .epoch = row.getColumn(1).getInt64()};
}

std::optional<std::int64_t> JudgedAgainst(const Version& version) {
  const Json live = version.decision ? version.decision->value(Json::json_pointer("/live_unscorable/live"), Json()) : Json();
  return live.is_number_integer() ? std::optional(live.get<std::int64_t>()) : version.opponent_version;
}

Result<Release> GetRelease(Db& db, std::int64_t id) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectRelease) + " WHERE id = ?", id);
  if (!row.executeStep())
    return Fail(ErrorCode::kNotFound, "find release", std::to_string(id), "there is no such release");
  return ReadRelease(row);
}

Result<Release> BeginRelease(Db& db, std::int64_t now_us, const ReleaseInput& input) {
  RATCHET_ASSIGN(Model model, GetModel(db, input.model));
  RATCHET_ASSIGN(Version version, GetVersion(db, input.model, input.to));
  RATCHET_TRY(CheckStart(db, model, version, input));
  if (auto other = ReleaseUnderWay(db, input.model))
    return Fail(ErrorCode::kConflict, "release", ShowVersion(input.model, input.to),
                "release " + std::to_string(other->id) + " to version " + std::to_string(other->to) + " is under way",
                "Wait for it to end, or roll back, which aborts it");
  RATCHET_ASSIGN(Release release, Insert(db, now_us, input, model, ReleaseState::kLoading));
  db.Exec("UPDATE models SET loading = ?, epoch = epoch + 1, updated_at = ? WHERE name = ?", input.to, now_us,
          input.model);
  ReleaseEvent(db, now_us, release);
  return release;
}

Result<Release> CommitRelease(Db& db, std::int64_t now_us, std::int64_t id) {
  RATCHET_ASSIGN(Release release, GetRelease(db, id));
  if (!MayMove(release.state, ReleaseState::kDone))
    return Fail(ErrorCode::kConflict, "commit release", std::to_string(id),
                "it is " + std::string(Name(release.state)) + " already");
  return Switch(db, now_us, release);
}

Status FailRelease(Db& db, std::int64_t now_us, std::int64_t id, const std::string& error) {
  RATCHET_ASSIGN(Release release, GetRelease(db, id));
  if (!MayMove(release.state, ReleaseState::kFailed))
    return Fail(ErrorCode::kConflict, "fail release", std::to_string(id),
                "it is " + std::string(Name(release.state)) + " already");
  EndWithout(db, now_us, release, ReleaseState::kFailed, error, release.actor);
  return {};
}

Status AbortRelease(Db& db, std::int64_t now_us, std::int64_t id, const std::string& why) {
  RATCHET_ASSIGN(Release release, GetRelease(db, id));
  if (!MayMove(release.state, ReleaseState::kAborted))
    return Fail(ErrorCode::kConflict, "abort release", std::to_string(id),
                "it is " + std::string(Name(release.state)) + " already");
  EndWithout(db, now_us, release, ReleaseState::kAborted, why, release.actor);
  return {};
}

void SetReleaseTook(Db& db, std::int64_t release, double took_ms) {
  db.Exec("UPDATE releases SET took_ms = ? WHERE id = ?", took_ms, release);
}

Result<Release> Rollback(Db& db, std::int64_t now_us, const std::string& name, std::optional<std::int64_t> to,
                         const std::string& actor, const std::string& reason) {
  RATCHET_ASSIGN(Model model, GetModel(db, name));
  if (!to) to = model.previous;
  if (!model.live || !to)
    return Fail(ErrorCode::kConflict, "roll back", name,
                model.live ? "it has no earlier live version" : "it has no live version", "Promote a version first");
  RATCHET_ASSIGN(Version version, GetVersion(db, name, *to));
  if (model.live == to) return Fail(ErrorCode::kConflict, "roll back", ShowVersion(name, to), "it is live already");
  if (version.shown_state != "previous" && version.shown_state != "retired")
    return Fail(ErrorCode::kConflict, "roll back", ShowVersion(name, to), "it never served",
                "Use `ratchet promote` for a version that has not been live");
  // Back to the version before is always possible; forward again is a promotion, which the gate has not passed.
  if (version.state != VersionState::kPassed && WasRolledAway(db, name, *to))
    return Fail(ErrorCode::kConflict, "roll back", ShowVersion(name, *to),
                "it was live by force alone, the gate has not passed it, and a rollback took it away",
                "`ratchet promote " + ShowVersion(name, *to) + " --force --reason TEXT` puts it back; `--to N` names another version");
  if (auto other = ReleaseUnderWay(db, name))
    EndWithout(db, now_us, *other, ReleaseState::kAborted, "aborted by a rollback", other->actor);
  ReleaseInput input{.model = name, .to = *to, .kind = ReleaseKind::kRollback, .actor = actor, .reason = reason, .run = {}, .expected = {}};
  if (model.previous != to) return BeginRelease(db, now_us, input);
  RATCHET_ASSIGN(Release release, Insert(db, now_us, input, model, ReleaseState::kPending));
  return Switch(db, now_us, release);
}

Page<Release> ListReleases(Db& db, const std::string& model, int limit, const std::optional<std::string>& after) {
  limit = std::clamp(limit, 1, kMaxPage);
  std::int64_t before = ParseCursor(after, std::numeric_limits<std::int64_t>::max()).value_or(0);
  SQLite::Statement& rows = db.Prepare(std::string(kSelectRelease) + " WHERE model = ? AND id < ? ORDER BY id DESC LIMIT ?",
                                       model, before, limit + 1);
  Page<Release> page;
  while (rows.executeStep()) page.items.push_back(ReadRelease(rows));
  if (static_cast<int>(page.items.size()) > limit) {
    page.items.pop_back();
    page.next = std::to_string(page.items.back().id);
  }
  return page;
}

std::optional<Release> ReleaseUnderWay(Db& db, const std::string& model) {
  SQLite::Statement& row = db.Prepare(
      std::string(kSelectRelease) + " WHERE model = ? AND state IN ('pending', 'loading', 'watching', 'waiting')", model);
  if (!row.executeStep()) return std::nullopt;
  return ReadRelease(row);
}

std::vector<Release> LoadingReleases(Db& db) {
  SQLite::Statement& rows = db.Prepare(std::string(kSelectRelease) + " INDEXED BY releases_loading WHERE state = 'loading' ORDER BY id");
  std::vector<Release> releases;
  while (rows.executeStep()) releases.push_back(ReadRelease(rows));
  return releases;
}

std::optional<Release> ForcedRelease(Db& db, const std::string& model, std::int64_t version) {
  SQLite::Statement& row = db.Prepare(
      std::string(kSelectRelease) + " WHERE model = ? AND to_version = ? AND kind = 'force' AND state = 'done'"
                             " ORDER BY id DESC LIMIT 1",
      model, version);
  if (!row.executeStep()) return std::nullopt;
  return ReadRelease(row);
}

std::optional<Release> ReleaseOfRun(Db& db, std::int64_t run) {
  SQLite::Statement& row = db.Prepare(std::string(kSelectRelease) + " WHERE run = ? ORDER BY id DESC LIMIT 1", run);
  if (!row.executeStep()) return std::nullopt;
  return ReadRelease(row);
}

}  // namespace ratchet::registry
