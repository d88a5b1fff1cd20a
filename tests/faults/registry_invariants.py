"""What holds in a registry at rest whatever was killed: the same that tests/faults/invariants.cc asks of the simulator."""

import hashlib
import json
import os
import sqlite3


class Violation(Exception):
    pass


def expect_none(registry, what, sql):
    row = registry.execute(sql).fetchone()
    if row:
        raise Violation(f"{what}: {row}")


def table(registry, sql):
    return {str(key): str(value) for key, value in registry.execute(sql)}


def expect_equal(what, wanted, found):
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise Violation(f"{what}: {key} is {found.get(key)}, not {wanted.get(key)}")


def check_file(registry):
    said = registry.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        raise Violation(f"integrity_check: {said}")
    expect_none(registry, "foreign_key_check", "SELECT * FROM pragma_foreign_key_check")
    before = ""
    for entry in registry.execute("SELECT at, actor, action, subject, detail, hash FROM audit ORDER BY id"):
        digest = hashlib.sha256()
        for part in (before, *map(str, entry[:5])):
            digest.update(f"{len(part.encode())}:".encode() + part.encode())
        if digest.hexdigest() != entry[5]:
            raise Violation(f"the audit log was changed: {entry}")
        before = entry[5]


def check_events(registry):
    """The events replay to the present state."""
    runs, attempts, versions, releases, live = {}, {}, {}, {}, {}
    steps = table(registry, "SELECT run || '/' || name, 'pending' FROM steps")
    good = {}  # attempts of a step that succeeded in the present try
    for kind, run, model, text in registry.execute("SELECT type, run, model, data FROM events ORDER BY id"):
        data = json.loads(text)
        if kind == "run.created":
            runs[str(run)] = "queued"
        elif kind == "run.state":
            runs[str(run)] = data["state"]
        elif kind == "step.state":
            step = f"{run}/{data['step']}"
            if "attempt_state" in data:
                attempts[f"{step}-{data['attempt']}"] = data["attempt_state"]
                good[step] = good.get(step, 0) + (data["attempt_state"] == "succeeded")
                if good[step] > 1:
                    raise Violation(f"two attempts of {step} succeeded in one try")
            else:
                steps[step] = data["state"]
                if data["state"] == "pending":
                    good[step] = 0
                if "attempt" in data:
                    attempts[f"{step}-{data['attempt']}"] = "running"
        elif kind == "version.created":
            versions[f"{model}@{data['version']}"] = "candidate"
        elif kind == "decision":
            versions[f"{model}@{data['version']}"] = "passed" if data["verdict"] == "better" else "rejected"
        elif kind == "release":
            releases[str(data["release"])] = data["state"]
            if data["state"] == "done":
                live[model] = str(data["to"])
    expect_equal("events and runs", runs, table(registry, "SELECT id, state FROM runs"))
    expect_equal("events and steps", steps, table(registry, "SELECT run || '/' || name, state FROM steps"))
    expect_equal("events and attempts", attempts,
                 table(registry, "SELECT run || '/' || step || '-' || number, state FROM attempts"))
    expect_equal("events and versions", versions, table(registry, "SELECT model || '@' || version, state FROM versions"))
    expect_equal("events and releases", releases, table(registry, "SELECT id, state FROM releases"))
    expect_equal("events and live versions", live, table(registry, "SELECT name, live FROM models WHERE live IS NOT NULL"))


def check_releases(registry):
    live, served = {}, set()
    for number, model, kind, start, to, reason in registry.execute(
            "SELECT id, model, kind, from_version, to_version, reason FROM releases WHERE state = 'done' ORDER BY epoch, id"):
        if start != live.get(model):
            raise Violation(f"release {number} came from another version than the live one")
        passed = registry.execute("SELECT 1 FROM holdout_looks WHERE model = ? AND version = ? AND verdict = 'better'",
                                  (model, to)).fetchone()
        if kind == "promote" and not passed and (model, to) not in served:
            raise Violation(f"release {number} was promoted without a passing decision")
        if kind == "force" and not reason:
            raise Violation(f"release {number} was forced without a reason")
        if kind == "rollback" and (model, to) not in served:
            raise Violation(f"release {number} rolled back to what never served")
        live[model] = to
        served.add((model, to))
    expect_none(registry, "a decision against another version than the one that was live was applied",
                "SELECT r.id FROM releases r JOIN versions v ON v.model = r.model AND v.version = r.to_version WHERE"
                " r.kind = 'promote' AND r.state = 'done' AND coalesce(json_extract(v.decision_json,"
                " '$.live_unscorable.live'), v.opponent_version) IS NOT r.from_version")
    expect_equal("live versions", {name: str(to) for name, to in live.items()},
                 table(registry, "SELECT name, live FROM models WHERE live IS NOT NULL"))


def check_ends(registry):
    expect_none(registry, "a run has not ended", "SELECT id, state FROM runs WHERE state IN ('queued', 'running')")
    expect_none(registry, "an attempt is running", "SELECT run, step, number FROM attempts WHERE state = 'running'")
    expect_none(registry, "a release has not ended", "SELECT id FROM releases WHERE state IN ('pending', 'loading', 'watching', 'waiting')")
    expect_none(registry, "a step of an ended run is open", "SELECT run, name FROM steps WHERE state IN ('pending', 'running')")
    expect_none(registry, "`blocked` is wrong",
                "SELECT run, name, blocked FROM steps WHERE blocked <> (SELECT count(*) FROM step_needs n JOIN steps s"
                " ON s.run = n.run AND s.name = n.need WHERE n.run = steps.run AND n.step = steps.name AND"
                " s.state <> 'succeeded' AND NOT (s.kind = 'trial' AND s.state IN ('failed', 'cancelled', 'skipped')))")
    expect_none(registry, "a run is not promoted but has released its version",
                "SELECT r.id, r.outcome FROM runs r JOIN releases l ON l.run = r.id AND l.state = 'done'"
                " WHERE r.outcome <> 'promoted'")


def check_artifacts(registry, blobs):
    """Every adopted artifact has the digest that it goes by."""
    named = {row[0] for row in registry.execute(
        "SELECT manifest FROM dataset_versions UNION SELECT bundle FROM versions UNION SELECT sha256 FROM bundle_files"
        " UNION SELECT scores FROM versions WHERE scores IS NOT NULL")}
    for (outputs,) in registry.execute("SELECT outputs_json FROM steps WHERE outputs_json IS NOT NULL"):
        named |= {output["sha256"] for output in json.loads(outputs).values()
                  if isinstance(output, dict) and "sha256" in output}
    for (manifest,) in registry.execute("SELECT manifest FROM dataset_versions"):
        with open(os.path.join(blobs, manifest[:2], manifest)) as file:
            named |= {segment["sha256"] for segment in json.load(file)["segments"]}
    for digest in named:
        try:
            with open(os.path.join(blobs, digest[:2], digest), "rb") as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise Violation(f"an adopted artifact is lost: {error}") from None
        if found != digest:
            raise Violation(f"an adopted artifact has other bytes than its name says: {digest}")


def check_acknowledged(registry, acknowledged):
    """`acknowledged`: {"runs": {id}, "releases": {id}, "versions": {(dataset, version)}, "revisions": {(pipeline, revision)}}."""
    for what, sql in (("runs", "SELECT id FROM runs"), ("releases", "SELECT id FROM releases"),
                      ("versions", "SELECT dataset, version FROM dataset_versions"),
                      ("revisions", "SELECT pipeline, revision FROM pipeline_revisions")):
        there = {row[0] if len(row) == 1 else tuple(row) for row in registry.execute(sql)}
        lost = acknowledged[what] - there
        if lost:
            raise Violation(f"acknowledged {what} are lost: {sorted(lost)}")


def check_all(data, acknowledged):
    """Raises Violation. No program may be writing."""
    registry = sqlite3.connect(f"file:{data}/registry.db?mode=ro", uri=True)
    try:
        check_file(registry)
        check_acknowledged(registry, acknowledged)
        check_events(registry)
        check_releases(registry)
        check_ends(registry)
        check_artifacts(registry, os.path.join(data, "blobs/sha256"))
        return {name: registry.execute(sql).fetchone()[0] for name, sql in (
            ("runs", "SELECT count(*) FROM runs"), ("attempts", "SELECT count(*) FROM attempts"),
            ("lost", "SELECT count(*) FROM attempts WHERE state = 'lost'"),
            ("releases", "SELECT count(*) FROM releases WHERE state = 'done'"))}
    finally:
        registry.close()
