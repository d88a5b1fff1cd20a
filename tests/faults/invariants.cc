#include "tests/faults/invariants.h"

#include <filesystem>
#include <set>

#include "base/digest.h"
#include "registry/events.h"
#include "registry/runs.h"
#include "tests/faults/event_replay.h"
#include "tests/faults/system_faults.h"

namespace ratchet::faults {
namespace {

using registry::Db;
using registry::Json;
using Found = std::optional<std::string>;
using Table = std::map<std::string, std::string>;

// The first column → the second.
Table Select(Db& db, const std::string& sql) {
  SQLite::Statement& rows = db.Prepare(sql);
  Table table;
  while (rows.executeStep()) table[rows.getColumn(0).getString()] = rows.getColumn(1).getString();
  return table;
}

// The only column of the first row; empty where there is none.
std::string One(Db& db, const std::string& sql) {
  SQLite::Statement& rows = db.Prepare(sql);
  return rows.executeStep() ? rows.getColumn(0).getString() : "";
}

Found NoRow(Db& db, const std::string& what, const std::string& sql) {
  const std::string row = One(db, sql);
  if (row.empty()) return std::nullopt;
  return what + ": " + row;
}

Found Equal(const std::string& what, const Table& wanted, const Table& found) {
  for (const auto& [key, value] : wanted) {
    auto other = found.find(key);
    if (other == found.end()) return what + ": there is no " + key;
    if (other->second != value) return what + ": " + key + " is " + other->second + ", not " + value;
  }
  if (wanted.size() == found.size()) return std::nullopt;
  for (const auto& [key, value] : found)
    if (!wanted.contains(key)) return what + ": " + key + " is there and should not be";
  return std::nullopt;
}

template <typename Map>
Found Holds(const std::string& what, const Map& acknowledged, const Table& found) {
  for (const auto& [key, value] : acknowledged) {
    std::string name;
    if constexpr (std::is_integral_v<std::decay_t<decltype(key)>>) name = std::to_string(key);
    else name = key;
    auto row = found.find(name);
    if (row == found.end()) return "an acknowledged " + what + " is lost: " + name;
    if (row->second != value) return "an acknowledged " + what + " was changed: " + name + ": " + row->second + ", not " + value;
  }
  return std::nullopt;
}

Found CheckFile(Db& db) {
  if (const std::string said = One(db, "PRAGMA integrity_check"); said != "ok") return "integrity_check: " + said;
  if (const std::string said = One(db, "PRAGMA foreign_key_check"); !said.empty()) return "foreign_key_check: " + said;
  if (Status audit = registry::VerifyAudit(db); !audit) return "audit log: " + audit.error().Message();
  return std::nullopt;
}

Found CheckAcknowledged(Db& db, const Acknowledged& done) {
  std::map<std::string, std::string> paused;
  for (const auto& [name, is] : done.paused) paused[name] = is ? "1" : "0";
  const std::string since = done.events.empty() ? "0" : std::to_string(done.events.begin()->first);
  for (const Found& found :
       {Holds("push", done.dataset_versions, Select(db, "SELECT dataset || '@' || version, manifest FROM dataset_versions")),
        Holds("revision", done.revisions, Select(db, "SELECT pipeline || '@' || revision, spec_text FROM pipeline_revisions")),
        Holds("run", done.runs, Select(db, "SELECT id, pipeline FROM runs")),
        Holds("release", done.releases, Select(db, "SELECT id, kind FROM releases")),
        Holds("audit entry", done.audit, Select(db, "SELECT id, hash FROM audit")),
        Holds("event", done.events, Select(db, "SELECT id, type || data FROM events WHERE id >= " + since)),
        Holds("pause", paused, Select(db, "SELECT name, paused FROM pipelines"))})
    if (found) return found;
  return std::nullopt;
}

Found CheckReplay(Db& db) {
  Replay replay;
  for (const registry::Event& event : registry::EventsAfter(db, 0, 1'000'000)) replay.Take(event);
  if (!replay.violation.empty()) return replay.violation;
  // Steps are made pending with their run; events tell of what came after.
  Table steps = Select(db, "SELECT run || '/' || name, 'pending' FROM steps");
  for (const auto& [step, state] : replay.steps) steps[step] = state;
  for (const Found& found :
       {Equal("events and runs", replay.runs, Select(db, "SELECT id, state FROM runs")),
        Equal("events and steps", steps, Select(db, "SELECT run || '/' || name, state FROM steps")),
        Equal("events and attempts", replay.attempts, Select(db, "SELECT run || '/' || step || '-' || number, state FROM attempts")),
        Equal("events and versions", replay.versions, Select(db, "SELECT model || '@' || version, state FROM versions")),
        Equal("events and releases", replay.releases, Select(db, "SELECT id, state FROM releases")),
        Equal("events and live versions", replay.live, Select(db, "SELECT name, live FROM models WHERE live IS NOT NULL")),
        Equal("events and revisions", replay.revisions, Select(db, "SELECT name, revision FROM pipelines")),
        Equal("events and datasets", replay.datasets, Select(db, "SELECT name, latest_version FROM datasets"))})
    if (found) return found;
  return std::nullopt;
}

// Live versions follow one another, each by a release that the gate has passed, that someone has forced, or back to one
// that has served.
Found CheckReleases(Db& db) {
  struct Model {
    std::string live;
    std::set<std::string> served;
    std::int64_t epoch = 0;
  };
  std::map<std::string, Model> models;
  SQLite::Statement& rows = db.Prepare(
      "SELECT r.id, r.model, r.kind, coalesce(r.from_version, ''), r.to_version, r.epoch, r.actor, r.reason, r.ended_at,"
      " EXISTS (SELECT 1 FROM holdout_looks h WHERE h.model = r.model AND h.version = r.to_version AND h.verdict = 'better'),"
      " EXISTS (SELECT 1 FROM audit a WHERE a.action = 'release.' || r.kind AND a.subject = r.model || '@' || r.to_version)"
      " FROM releases r WHERE r.state = 'done' ORDER BY r.epoch, r.id");
  while (rows.executeStep()) {
    const std::string id = "release " + rows.getColumn(0).getString(), kind = rows.getColumn(2).getString();
    const std::string to = rows.getColumn(4).getString();
    Model& model = models[rows.getColumn(1).getString()];
    if (rows.getColumn(3).getString() != model.live) return id + " came from another version than the live one";
    if (rows.getColumn(5).isNull() || rows.getColumn(5).getInt64() <= model.epoch) return id + " is not of a later epoch";
    if (rows.getColumn(8).isNull()) return id + " is done without an end";
    const bool passed = rows.getColumn(9).getInt() != 0;
    if (kind == "promote" && !passed && !model.served.contains(to)) return id + " was promoted without a passing decision";
    if (kind == "force" && (rows.getColumn(6).getString().empty() || rows.getColumn(7).getString().empty()))
      return id + " was forced without a name or a reason";
    if (kind == "rollback" && !model.served.contains(to)) return id + " rolled back to what never served";
    if (rows.getColumn(10).getInt() == 0) return id + " is not in the audit log";
    model.epoch = rows.getColumn(5).getInt64();
    model.live = to;
    model.served.insert(to);
  }
  Table live;
  for (const auto& [name, model] : models) live[name] = model.live;
  return Equal("live versions", live, Select(db, "SELECT name, live FROM models WHERE live IS NOT NULL"));
}

// Who shares traffic has been let in; what is under way is loaded; what did harm is not live by that release.
Found CheckShares(Db& db) {
  for (const Found& found :
       {NoRow(db, "a version shared traffic without a passing decision",
              "SELECT r.id FROM releases r WHERE r.step_at IS NOT NULL AND r.kind = 'promote' AND NOT EXISTS (SELECT 1 FROM holdout_looks h"
              " WHERE h.model = r.model AND h.version = r.to_version AND h.verdict = 'better') LIMIT 1"),
        NoRow(db, "a model is loading another version than that of its release under way",
              "SELECT m.name FROM models m WHERE m.loading IS NOT (SELECT r.to_version FROM releases r WHERE r.model = m.name AND"
              " r.state IN ('loading', 'watching', 'waiting')) LIMIT 1"),
        NoRow(db, "a release watches a live version that is not live any more",
              "SELECT r.id FROM releases r JOIN models m ON m.name = r.model WHERE r.state IN ('watching', 'waiting') AND r.from_version"
              " IS NOT m.live LIMIT 1"),
        NoRow(db, "a release watches without a split", "SELECT id FROM releases WHERE state = 'watching' AND split_json IS NULL LIMIT 1"),
        NoRow(db, "harm was proven and the release went on", "SELECT id FROM releases WHERE harm = 1 AND state <> 'failed' LIMIT 1"),
        NoRow(db, "harm without evidence",
              "SELECT id FROM releases WHERE harm = 1 AND coalesce(evidence_json, '') NOT LIKE '%\"harm\"%' LIMIT 1"),
        NoRow(db, "a release that was to be approved went live without",
              "SELECT id FROM releases WHERE state = 'done' AND json_extract(plan_json, '$.approval') = 'manual' AND approved_at IS NULL"
              " LIMIT 1"),
        NoRow(db, "a canary is live before its last step",
              "SELECT id FROM releases WHERE state = 'done' AND step_at IS NOT NULL AND strategy = 'canary' AND step + 2 <"
              " json_array_length(plan_json, '$.steps') LIMIT 1")})
    if (found) return found;
  return std::nullopt;
}

Found CheckGraph(Db& db) {
  if (auto found = NoRow(db, "`blocked` is wrong",
                         "SELECT run || '/' || name || ': ' || blocked FROM steps WHERE blocked <> (SELECT count(*) FROM"
                         " step_needs n JOIN steps s ON s.run = n.run AND s.name = n.need WHERE n.run = steps.run AND n.step ="
                         " steps.name AND s.state <> 'succeeded' AND NOT (s.kind = 'trial' AND s.state IN ('failed',"
                         " 'cancelled', 'skipped'))) LIMIT 1"))
    return found;
  if (auto found = NoRow(db, "a step began before what it needs had ended",
                         "SELECT s.run || '/' || s.name FROM steps s WHERE s.state IN ('running', 'succeeded') AND s.blocked > 0 LIMIT 1"))
    return found;
  if (auto found = NoRow(db, "two attempts of a step run",
                         "SELECT run || '/' || step FROM attempts WHERE state = 'running' GROUP BY run, step HAVING count(*) > 1"))
    return found;
  if (auto found = NoRow(db, "a pipeline has two runs under way",
                         "SELECT pipeline FROM runs WHERE state = 'running' AND cancel_asked = 0 GROUP BY pipeline HAVING count(*) > 1"))
    return found;
  return NoRow(db, "a run that has ended has an open step",
               "SELECT s.run || '/' || s.name FROM steps s JOIN runs r ON r.id = s.run WHERE r.state NOT IN ('queued',"
               " 'running') AND s.state IN ('pending', 'running') LIMIT 1");
}

// A promotion replaces the version that its decision was made against, and a run's own the same route epoch of it.
Found CheckCompareAndSwap(Db& db) {
  if (auto found = NoRow(db, "a decision against another version than the one that was live was applied",
                         "SELECT r.id FROM releases r JOIN versions v ON v.model = r.model AND v.version = r.to_version WHERE"
                         " r.kind = 'promote' AND r.state = 'done' AND coalesce(json_extract(v.decision_json,"
                         " '$.live_unscorable.live'), v.opponent_version) IS NOT r.from_version LIMIT 1"))
    return found;
  return NoRow(db, "a run's decision was applied though another version had been live in between",
               "SELECT r.id FROM releases r JOIN steps s ON s.run = r.run AND s.name = 'test' WHERE r.kind = 'promote' AND"
               " r.state = 'done' AND json_extract(s.outputs_json, '$.route_epoch') IS NOT coalesce((SELECT max(o.epoch) FROM"
               " releases o WHERE o.model = r.model AND o.state = 'done' AND o.id < r.id), 0) LIMIT 1");
}

// Every decision is a look (a candidate that is judged again costs another), the looks of an epoch are numbered without a gap and cost no more than its α, and no two
// epochs share rows.
Found CheckLedger(Db& db) {
  if (auto found = NoRow(db, "a decision is no look",
                         "SELECT v.model || '@' || v.version FROM versions v WHERE v.verdict <> 'live_unscorable' AND (SELECT count(*) FROM"
                         " holdout_looks l WHERE l.model = v.model AND l.version = v.version AND l.epoch IS NOT NULL) = 0 LIMIT 1"))
    return found;
  if (auto found = NoRow(db, "looks are not counted from 1",
                         "SELECT model || ' epoch ' || epoch FROM holdout_looks GROUP BY dataset, model, epoch"
                         " HAVING min(look) <> 1 OR max(look) <> count(*) LIMIT 1"))
    return found;
  if (auto found = NoRow(db, "looks cost more than their budget",
                         "SELECT model || ' epoch ' || epoch FROM holdout_looks GROUP BY dataset, model, epoch"
                         " HAVING sum(alpha) > max(budget) LIMIT 1"))
    return found;
  return NoRow(db, "two epochs share rows",
               "SELECT a.model || ' epochs ' || a.epoch || ', ' || b.epoch FROM holdout_epochs a JOIN holdout_epochs b"
               " ON a.dataset = b.dataset AND a.model = b.model AND a.epoch < b.epoch WHERE b.after_push < a.until_push LIMIT 1");
}

// A process is never started before its attempt is on record.
Found CheckStarted(Db& db, const SimulatedProcesses& processes) {
  const Table attempts = Select(db, "SELECT run || '/' || step || '-' || number, state FROM attempts");
  for (const std::string& id : processes.Started())
    if (!attempts.contains(id)) return "attempt " + id + " was started and is not on record";
  return std::nullopt;
}

// Every digest that the registry names.
std::set<std::string> NamedDigests(Db& db) {
  std::set<std::string> digests;
  SQLite::Statement& rows = db.Prepare(
      "SELECT manifest FROM dataset_versions UNION SELECT bundle FROM versions UNION SELECT scores FROM versions WHERE"
      " scores IS NOT NULL UNION SELECT sha256 FROM bundle_files UNION SELECT json_extract(o.value, '$.sha256') FROM steps,"
      " json_each(steps.outputs_json) o WHERE steps.outputs_json IS NOT NULL AND o.type = 'object' AND"
      " json_extract(o.value, '$.sha256') IS NOT NULL UNION SELECT json_extract(o.value, '$.sha256') FROM step_cache,"
      " json_each(step_cache.outputs) o WHERE step_cache.outputs IS NOT NULL AND o.type = 'object' AND"
      " json_extract(o.value, '$.sha256') IS NOT NULL");
  while (rows.executeStep()) digests.insert(rows.getColumn(0).getString());
  return digests;
}

Found CheckBlobs(Db& db, const std::string& folder) {
  namespace fs = std::filesystem;
  for (const std::string& digest : NamedDigests(db)) {
    auto found = Sha256File(folder + "/" + digest.substr(0, 2) + "/" + digest);
    if (!found) return "an adopted artifact is lost: " + digest;
    if (*found != digest) return "an adopted artifact has other bytes than its name says: " + digest;
  }
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || name.find(".tmp-") != std::string::npos) continue;
    auto found = Sha256File(entry.path());
    if (!found || *found != name) return "a blob has other bytes than its name says: " + name;
  }
  return std::nullopt;
}

// Nothing that ran to its end is thrown away.
Found CheckWork(Db& db, const SimulatedProcesses& processes, bool disk_failed) {
  const Table attempts = Select(db, "SELECT run || '/' || step || '-' || number, state || ': ' || coalesce(error_json, '') FROM attempts");
  for (const auto& [id, state] : attempts) {
    const bool took = state.starts_with("succeeded");
    if (took && !processes.MadeResult(id)) return "attempt " + id + " succeeded without a good result";
    if (!took && !disk_failed && processes.MadeResult(id)) return "attempt " + id + " ran to a good end and was not taken in: " + state;
  }
  return std::nullopt;
}

Found CheckEnds(Db& db) {
  for (const Found& found :
       {NoRow(db, "a run has not ended", "SELECT id || ' ' || state FROM runs WHERE state IN ('queued', 'running') LIMIT 1"),
        NoRow(db, "an attempt is running", "SELECT run || '/' || step || '-' || number FROM attempts WHERE state = 'running' LIMIT 1"),
        NoRow(db, "a release has not ended", "SELECT id FROM releases WHERE state IN ('pending', 'loading', 'watching', 'waiting') LIMIT 1"),
        NoRow(db, "a model is loading", "SELECT name FROM models WHERE loading IS NOT NULL LIMIT 1"),
        NoRow(db, "a run's state and outcome disagree",
              "SELECT id || ' ' || state || ' ' || coalesce(outcome, 'none') FROM runs WHERE state || '/' || coalesce(outcome, '') NOT IN"
              " ('succeeded/promoted', 'succeeded/rejected', 'succeeded/reproduced', 'succeeded/differs', 'failed/failed',"
              " 'cancelled/cancelled') LIMIT 1"),
        NoRow(db, "a run is not promoted but has released its version",
              "SELECT r.id || ' ' || r.state FROM runs r JOIN releases l ON l.run = r.id AND l.state = 'done' WHERE"
              " r.outcome <> 'promoted' LIMIT 1"),
        NoRow(db, "a run is promoted but has released nothing",
              "SELECT id FROM runs WHERE outcome = 'promoted' AND NOT EXISTS (SELECT 1 FROM releases l WHERE l.run = runs.id"
              " AND l.state = 'done') LIMIT 1"),
        NoRow(db, "a run failed without saying why",
              "SELECT id FROM runs WHERE state = 'failed' AND (error_json IS NULL OR summary = '') LIMIT 1"),
        NoRow(db, "a reproduction differs", "SELECT id FROM runs WHERE outcome = 'differs' LIMIT 1")})
    if (found) return found;
  return std::nullopt;
}

Found InOneView(const Scene& scene, const std::function<Found(Db&)>& check) {
  Outside outside;
  Found violation;
  Status read = scene.store.Read([&](Db& db) -> Status {
    violation = check(db);
    return {};
  });
  return read ? violation : "the registry cannot be read: " + read.error().Message();
}

}  // namespace

void NoteFeed(registry::Store& store, Acknowledged& acknowledged) {
  Outside outside;
  (void)store.Read([&](Db& db) -> Status {
    for (auto [id, hash] : Select(db, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")) acknowledged.audit[std::stoll(id)] = hash;
    for (auto [id, data] : Select(db, "SELECT id, type || data FROM events ORDER BY id DESC LIMIT 1")) acknowledged.events[std::stoll(id)] = data;
    return {};
  });
}

Found CheckAlways(const Scene& scene) {
  if (!scene.processes.violation().empty()) return scene.processes.violation();
  return InOneView(scene, [&](Db& db) -> Found {
    if (auto found = CheckFile(db)) return found;
    if (auto found = CheckAcknowledged(db, scene.acknowledged)) return found;
    if (auto found = CheckReplay(db)) return found;
    if (auto found = CheckReleases(db)) return found;
    if (auto found = CheckCompareAndSwap(db)) return found;
    if (auto found = CheckShares(db)) return found;
    if (auto found = CheckStarted(db, scene.processes)) return found;
    if (auto found = CheckGraph(db)) return found;
    return CheckLedger(db);
  });
}

Found CheckAtRest(const Scene& scene) {
  if (auto found = CheckAlways(scene)) return found;
  if (auto alive = scene.processes.Alive(); !alive.empty()) return "nobody owns the process of attempt " + alive[0];
  return InOneView(scene, [&](Db& db) -> Found {
    if (auto found = CheckEnds(db)) return found;
    if (auto found = CheckBlobs(db, scene.blobs)) return found;
    return CheckWork(db, scene.processes, scene.disk_failed);
  });
}

}  // namespace ratchet::faults
