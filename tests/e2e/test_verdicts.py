"""Verdicts that are none on the candidate: a live version that can't be scored any more, and one that changes meanwhile."""

import json
import random
import threading

from ratchet_process import HttpError, Ratchet, steps_of, wait_until
from small_data import CHURN_SPEC, churn_csv

# A model that knows the answer and errs on a share of the rows; it takes its time over each batch. A fragile one crashes over
# numbers above 5,000: nothing guards a division of integers by zero.
TRAIN = r'''
import json, os, torch
params = json.load(open(os.environ["RATCHET_PARAMS"]))

class Model(torch.nn.Module):
    def __init__(self, error: float, turns: int, fragile: bool):
        super().__init__()
        self.error = error
        self.turns = turns
        self.fragile = fragile
    def forward(self, x):
        for i in range(self.turns):
            x = x + 0.0
        if self.fragile:
            x = x + x.size(0) % (1 - int((x > 5000).any()))
        wrong = torch.remainder(torch.abs(x) * 100.0, 1.0) < self.error
        yes = torch.logical_xor(x > 0, wrong).float()
        return torch.stack([1 - yes, yes], 1)

torch.jit.script(Model(params["error"], params["turns"], params["fragile"])).save(os.environ["RATCHET_OUT"] + "/model.pt")
json.dump({"task": "classification", "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
           "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 2]}], "classes": [0, 1]},
          open(os.environ["RATCHET_OUT"] + "/signature.json", "w"))
'''
SPEC = """
model: signs
data: {dataset: numbers, target: positive, split: {validation: 0.1, holdout: 0.4, key: id}}
train: {command: [/usr/bin/python3, train.py], params: {error: 0.3, turns: 0, fragile: false}, limits: {time: 2m, attempts: 1}}
gate: {fresh_rows: 100000}
"""


def numbers_csv(rows, first=0, greatest=1000):
    chance = random.Random(5 + first)
    return "id,x,positive\n" + "".join(f"n{row},{x!r},{int(x > 0)}\n" for row, x in
                                       ((row, chance.uniform(-1000, greatest)) for row in range(first, first + rows)))


def events_of_run(ratchet, run, kind):
    """What the feed told of the run, read from the audit-proof registry file itself."""
    import sqlite3
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    try:
        return [json.loads(data) for (data,) in registry.execute(
            "SELECT data FROM events WHERE run = ? AND type = ? ORDER BY id", (run, kind))]
    finally:
        registry.close()


def two_versions(ratchet):
    ratchet.apply("signs", SPEC, {"train.py": TRAIN.encode()})
    ratchet.push_csv("numbers", numbers_csv(2000))
    for error in (0.3, 0.15):
        run = ratchet.run("signs", **{"train.params.error": error})
        assert run["outcome"] == "promoted", run


def start_slow_test(ratchet):
    run = ratchet.start_run("signs", **{"train.params.error": 0.02, "train.params.turns": 25_000})
    ratchet.wait_for_step(run, "test")
    return run


def expect_judged_again(ratchet, run):
    record = ratchet.wait_for_run(run)
    assert record["outcome"] == "promoted", record
    assert ratchet.live("signs") == 3
    stale = events_of_run(ratchet, run, "decision.stale")
    assert len(stale) == 1 and stale[0]["judged_against"] == 2, stale
    assert len(steps_of(record)["test"]["attempts"]) == 2
    audit = ratchet.cli("audit", "list").stdout
    assert "version.stale" in audit, audit
    return ratchet.get("/api/v1/models/signs/versions/3/decision"), stale[0]


def test_a_candidate_is_judged_again_when_force_changes_what_is_live(ratchet):
    two_versions(ratchet)
    run = start_slow_test(ratchet)
    ratchet.cli("promote", "signs@1", "--force", "--reason", "an incident")
    decision, stale = expect_judged_again(ratchet, run)
    assert stale["live"] == 1
    assert (decision["opponent_kind"], decision["opponent_version"]) == ("live", 1)
    release = ratchet.get("/api/v1/models/signs/releases")["items"][0]
    assert (release["kind"], release["from"], release["to"]) == ("promote", 1, 3)


def test_a_rollback_that_is_taken_back_is_seen_as_well(ratchet):
    two_versions(ratchet)
    run = start_slow_test(ratchet)
    ratchet.cli("rollback", "signs")
    ratchet.cli("rollback", "signs")
    assert ratchet.live("signs") == 2
    decision, stale = expect_judged_again(ratchet, run)
    assert stale["live"] == 2 and decision["opponent_version"] == 2
    assert decision["route_epoch"] == ratchet.get("/api/v1/models/signs/releases")["items"][1]["epoch"]
    assert "the same, bit for bit" in ratchet.cli("model", "explain", "signs@3").stdout


def test_two_runs_of_a_model_a_promotion_by_force_and_a_rollback_at_once(tmp_path):
    ratchet = Ratchet(tmp_path, "--cpus", "2").start()
    try:
        expect_one_after_the_other(ratchet)
    finally:
        ratchet.stop()


def expect_one_after_the_other(ratchet):
    two_versions(ratchet)
    slow = {"train.params.turns": 20_000}
    runs = {"signs": ratchet.start_run("signs", **slow, **{"train.params.error": 0.05})}
    # Another pipeline takes the model over while that run is under way.
    ratchet.apply("signs", SPEC.replace("model: signs", "model: others"), {"train.py": TRAIN.encode()})
    ratchet.apply("heir", SPEC, {"train.py": TRAIN.encode()})
    runs["heir"] = ratchet.start_run("heir", **slow, **{"train.params.error": 0.01})
    ratchet.wait_for_step(runs["heir"], "test")
    meddling = [threading.Thread(target=ratchet.cli, args=words, kwargs={"check": False}) for words in
                (("promote", "signs@1", "--force", "--reason", "an incident"), ("rollback", "signs", "--reason", "another"))]
    for thread in meddling:
        thread.start()
    for thread in meddling:
        thread.join()
    records = {name: ratchet.wait_for_run(run) for name, run in runs.items()}
    assert all(record["state"] == "succeeded" for record in records.values()), records
    assert records["heir"]["outcome"] == "promoted", "it beats all others, whatever was live when it was judged"

    # One version after the other was live, and each promotion replaced what its decision was made against.
    releases = [release for release in ratchet.get("/api/v1/models/signs/releases")["items"] if release["state"] == "done"]
    releases.sort(key=lambda release: release["epoch"])
    live = None
    for release in releases:
        assert release["from"] == live, releases
        live = release["to"]
        if release["kind"] == "promote" and release["from"] is not None:
            decision = ratchet.get(f"/api/v1/models/signs/versions/{release['to']}/decision")
            assert decision["opponent_version"] == release["from"] and decision["promotes"], decision
    candidates = {name: next(version["version"] for version in ratchet.get("/api/v1/models/signs/versions")["items"]
                             if version["run"] == run) for name, run in runs.items()}
    assert ratchet.live("signs") == live == candidates["heir"]
    assert events_of_run(ratchet, runs["heir"], "decision.stale"), "it was overtaken"


def rows_beyond(ratchet, fragile):
    """Version 1 is live, and fresh rows, which make an epoch of their own, have what a fragile one crashes over."""
    ratchet.apply("signs", SPEC.replace("100000", "100"), {"train.py": TRAIN.encode()})
    ratchet.push_csv("numbers", numbers_csv(1000))
    run = ratchet.run("signs", **{"train.params.fragile": fragile})
    assert run["outcome"] == "promoted", run
    ratchet.push_csv("numbers", numbers_csv(1000, first=1000, greatest=6000))


def test_a_live_version_that_crashes_over_newer_rows_is_a_verdict_and_no_failed_run(ratchet):
    rows_beyond(ratchet, True)
    run = ratchet.run("signs", **{"train.params.error": 0.1})
    assert (run["state"], run["outcome"]) == ("succeeded", "rejected"), run
    assert len(steps_of(run)["test"]["attempts"]) == 1
    report = ratchet.get("/api/v1/models/signs/versions/2/decision")
    assert report["verdict"] == "live_unscorable" and report["live_unscorable"]["reason"] == "crash", report
    assert "signal 8" in report["live_unscorable"]["message"]
    assert "the same, bit for bit" in ratchet.cli("model", "explain", "signs@2").stdout
    again = ratchet.run("signs", **{"train.params.error": 0.1, "gate.baseline": "reset", "train.seed": 2})
    assert again["outcome"] == "promoted", again


def test_a_candidate_that_crashes_fails_its_run_once_and_is_named(ratchet):
    rows_beyond(ratchet, False)
    run = ratchet.run("signs", **{"train.params.error": 0.1, "train.params.fragile": True, "train.limits.attempts": 3})
    assert (run["state"], run["outcome"]) == ("failed", "failed"), run
    assert run["error"]["class"] == "user" and "the candidate crashed while it was scored" in run["error"]["message"], run["error"]
    assert ratchet.live("signs") == 1
    assert len(steps_of(run)["test"]["attempts"]) == 1


def without_spend(text):
    return "\n".join(",".join(cell for index, cell in enumerate(line.split(",")) if index != 3)
                     for line in text.strip().split("\n")) + "\n"


def leaner_rows(ratchet):
    """Version 1 reads `spend`, which the rows that the pipeline is moved to have not."""
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(1500))
    assert ratchet.run("churn", **{"train.params.epochs": 1})["outcome"] == "promoted"
    ratchet.apply("churn", CHURN_SPEC.replace("dataset: customers", "dataset: leaner"))
    ratchet.push_csv("leaner", without_spend(churn_csv(1500)))


def test_a_live_version_that_cannot_be_scored_is_a_verdict_with_ways_out(ratchet):
    leaner_rows(ratchet)
    run = ratchet.run("churn")
    assert (run["state"], run["outcome"]) == ("succeeded", "rejected"), run
    assert "churn@1 cannot be scored any more" in run["summary"]
    report = ratchet.get("/api/v1/models/churn/versions/2/decision")
    assert report["verdict"] == "live_unscorable" and report["live_unscorable"]["reason"] == "columns"
    assert "spend" in report["live_unscorable"]["message"]
    assert "the same, bit for bit" in ratchet.cli("model", "explain", "churn@2").stdout
    shown = ratchet.cli("model", "show", "churn@2").stdout
    assert "live_unscorable" in shown and "Way out" in shown and "--force" in shown, shown
    assert ratchet.get("/api/v1/datasets/leaner")["holdout_epochs"][0]["looks"] == 0

    # Out by force …
    refused = ratchet.cli("promote", "churn@2", "--reason", "new schema", check=False)
    assert refused.returncode == 1
    release = ratchet.cli_json("promote", "churn@2", "--reason", "new schema", "--force")
    assert (release["kind"], release["from"], release["to"]) == ("force", 1, 2)
    assert ratchet.get("/api/v1/models/churn/versions/2/decision")["forced_by"]["reason"] == "new schema"


def test_by_baseline_reset_the_candidate_is_judged_as_a_first_version_is_and_the_next_is_not(ratchet):
    leaner_rows(ratchet)
    run = ratchet.run("churn", **{"gate.baseline": "reset"})
    assert run["outcome"] == "promoted", run
    report = ratchet.get("/api/v1/models/churn/versions/2/decision")
    assert (report["verdict"], report["opponent_kind"], report["opponent_version"]) == ("better", "majority", None)
    assert report["live_unscorable"]["reset"] is True and report["live_unscorable"]["live"] == 1
    audit = ratchet.cli("audit", "list").stdout
    assert "gate.baseline_reset" in audit, audit
    release = ratchet.get("/api/v1/models/churn/releases")["items"][0]
    assert release["from"] == 1 and "gate.baseline: reset" in release["reason"]

    # Version 2 can be scored, so reset is no way round it: an equal candidate stays out.
    again = ratchet.run("churn", **{"gate.baseline": "reset", "train.params.epochs": 8})
    assert again["outcome"] == "rejected", again
    report = ratchet.get("/api/v1/models/churn/versions/3/decision")
    assert (report["opponent_kind"], report["opponent_version"]) == ("live", 2)
    assert "live_unscorable" not in report


def test_a_baseline_that_does_not_fit_is_refused_at_apply(ratchet):
    ratchet.push_csv("customers", churn_csv(100))
    for baseline, says in (("median", "no baseline for classification"), ("prior", "must be auto or majority"),
                           ("seasonal naive", "not available in this version")):
        try:
            ratchet.apply("churn", CHURN_SPEC + f"gate: {{baseline: {baseline}}}\n")
        except HttpError as refused:
            assert refused.status == 422 and says in json.dumps(refused.problem()), refused.problem()
        else:
            raise AssertionError(baseline)


def test_says_before_training_what_the_next_look_can_prove(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(1500))
    first = ratchet.run("churn")
    assert first["outcome"] == "promoted" and first["forecast"] is None
    run = ratchet.start_run("churn", **{"gate.confidence": 0.999, "train.params.epochs": 9})
    forecast = wait_until(lambda: ratchet.get(f"/api/v1/runs/{run}")["forecast"], "the forecast")
    assert forecast["look"] == 2 and forecast["live"] == 1 and forecast["from_version"] == 1
    assert forecast["worthwhile"] is False, forecast
    told = events_of_run(ratchet, run, "gate.forecast")
    assert told == [forecast]
    assert "in the holdout" in forecast["sentence"] and "rotate-holdout" in forecast["sentence"]
    assert "Next look" in ratchet.cli("run", "show", run).stdout
    ratchet.wait_for_run(run)
