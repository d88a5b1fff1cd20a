"""The sealed rows: which steps open them, rows that training has as well, and worn ones that are retired into training."""

import json
import os
import random
import sqlite3
import threading

import pytest

from ratchet_process import HttpError, Ratchet, http, wait_until
from small_data import CHURN_SPEC, churn_csv

SPLIT = "?key=id&holdout=0.3&validation=0.1"
FRESH = "gate: {fresh_rows: 100}\n"


def manifest_of(ratchet, dataset, version):
    sha256 = ratchet.get(f"/api/v1/datasets/{dataset}/versions/{version}")["manifest"]
    return json.loads(blob(ratchet, sha256))


def blob_path(ratchet, sha256):
    return f"{ratchet.data}/blobs/sha256/{sha256[:2]}/{sha256}"


def blob(ratchet, sha256):
    with open(blob_path(ratchet, sha256), "rb") as file:
        return file.read()


def keys_of(ratchet, manifest, split):
    """The keys of a split's rows, by looking into its packs."""
    keys = []
    for segment in manifest["segments"]:
        if segment["split"] == split:
            pack = sqlite3.connect(f"file:{blob_path(ratchet, segment['sha256'])}?mode=ro&immutable=1", uri=True)
            keys += [key for key, in pack.execute("SELECT id FROM rows ORDER BY row")]
            pack.close()
    return keys


def events_so_far(ratchet, kind):
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    found = [json.loads(data) for data, in registry.execute("SELECT data FROM events WHERE type = ? ORDER BY id", (kind,))]
    registry.close()
    return found


# ---- sealed

SPY = r'''
import json, os, sys
sealed = open("sealed.txt").read().split()
opened = []
for path in sealed:
    for way in (path, os.path.relpath(path), "/proc/self/root" + path):
        try:
            open(way, "rb").read(1)
            opened.append(way)
        except OSError:
            pass
inputs = json.load(open(os.environ["RATCHET_INPUTS"]))
mine = [name for name, path in inputs.items() if open(path, "rb").read(6) == b"SQLite"]
print("SPY " + json.dumps({"opened": opened, "inputs": mine}), flush=True)
if len(sys.argv) > 1:
    open(os.environ["RATCHET_OUT"] + "/" + sys.argv[1], "w").write("seen\n")
else:
    sys.exit(1)
'''

SPY_SPEC = """
model: spy
data: {dataset: customers, target: left, split: {validation: 0.1, holdout: 0.3, key: id}}
steps:
  peek: {command: [/usr/bin/python3, spy.py, peeked.txt], inputs: [data.train, data.validation], outputs: [peeked.txt]}
  count: {recipe: flow.sql, params: {query: "SELECT count(*) AS n FROM data_train.rows"}, inputs: [data.train], outputs: [n.pack]}
train:
  command: [/usr/bin/python3, spy.py]
  inputs: [peek.peeked.txt, count.n.pack]
  params: {rate: 1}
  sweep: {rate: [1, 2], search: grid}
  limits: {time: 60s, attempts: 1}
"""


def test_no_step_before_the_test_is_given_or_opens_the_holdout(ratchet):
    ratchet.push_csv("customers", churn_csv(400), SPLIT)
    manifest = manifest_of(ratchet, "customers", 1)
    sealed = [segment["sha256"] for segment in manifest["segments"] if segment["split"] == "holdout"]
    assert sealed
    files = {"spy.py": SPY.encode(), "sealed.txt": "\n".join(blob_path(ratchet, sha256) for sha256 in sealed).encode()}
    ratchet.apply("spy", SPY_SPEC, files)
    run = ratchet.run("spy")
    kinds = {}
    for step in run["steps"]:
        if not step["attempts"] or step["kind"] in ("select", "gate", "release"):
            continue
        folder = f"{ratchet.data}/runs/{run['id']}/{step['name']}-1"
        with open(folder + "/step.json") as file:
            assert not any(sha256 in file.read() for sha256 in sealed), step["name"]
        kinds[step["kind"]] = kinds.get(step["kind"], 0) + 1
        if step["kind"] in ("command", "trial"):
            log = http("GET", f"{ratchet.url}/api/v1/runs/{run['id']}/logs?step={step['name']}")[2].decode()
            line = next((line for line in log.splitlines() if line.startswith("SPY ")), None)
            assert line, log
            told = json.loads(line[4:])
            assert told["opened"] == [], step["name"]
            if step["kind"] == "command":
                assert sorted(told["inputs"]) == ["data.train", "data.validation"], "it does read what it is given"
    assert kinds == {"validate": 1, "command": 1, "recipe": 1, "trial": 2}
    assert events_so_far(ratchet, "holdout.opened") == []


def test_every_attempt_of_a_test_is_told_and_nothing_else(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(800), SPLIT)
    run = ratchet.run("churn")
    assert run["outcome"] == "promoted", run
    opened = events_so_far(ratchet, "holdout.opened")
    assert [(event["epoch"], event["version"], event["attempt"]) for event in opened] == [(1, 1, 1)]
    again = ratchet.send("POST", f"/api/v1/runs/{run['id']}/reproduce", {})
    assert ratchet.wait_for_run(again["id"])["outcome"] == "reproduced"
    assert ratchet.get("/api/v1/models/churn/versions/1/decision/explain")["same"]
    assert len(events_so_far(ratchet, "holdout.opened")) == 1, "neither a reproduction nor an explanation opens sealed rows"


# ---- leakage


def reviews(rows, start=0, copies_of=None):
    """Free text; with `copies_of`, the same texts as from there on, under other keys."""
    words = "lamp table late broken fine quick slow wet box shop call money happy angry again never blue green paper glass".split()
    lines = ["id,text,mood"]
    for index in range(start, start + rows):
        seed = index if copies_of is None else copies_of + index - start
        text = " ".join(random.Random(seed).choices(words, k=14)) + f" n{seed}"
        lines.append(f"r{index:06d},{text},{'good' if seed % 2 else 'bad'}")
    return "\n".join(lines) + "\n"


TEXT_SPEC = CHURN_SPEC.replace("customers", "reviews").replace("churn", "mood").replace("left", "mood")


def test_rows_pushed_again_under_other_keys_are_refused_with_a_way_out(ratchet):
    ratchet.push_csv("reviews", reviews(400), SPLIT)
    ratchet.push_csv("reviews", reviews(400, start=1000, copies_of=0))
    ratchet.apply("mood", TEXT_SPEC)
    run = ratchet.run("mood")
    assert run["state"] == "failed" and run["error"]["class"] == "user", run
    assert "have the same inputs as a row of training" in run["error"]["message"], run["error"]
    assert "--set data.leakage.at_most=1" in run["error"]["hint"]
    shown = ratchet.cli("run", "show", run["id"]).stdout
    assert "sealed rows" in shown and "data.leakage" in shown, shown
    judged = ratchet.run("mood", **{"data.leakage.equal": "drop", "data.leakage.at_most": 1})
    assert judged["state"] == "succeeded", judged
    decision = ratchet.get(f"/api/v1/models/mood/versions/{judged['candidate']}/decision")
    leakage = decision["leakage"]
    assert leakage["equal"]["action"] == "dropped" and leakage["equal"]["rows"] == leakage["dropped"] > 50
    assert decision["rows"] == leakage["rows"] - leakage["dropped"] == decision["holdout"]["rows"] - leakage["dropped"]
    pair = leakage["equal"]["examples"][0]
    manifest = manifest_of(ratchet, "reviews", 2)
    assert pair["holdout"] in keys_of(ratchet, manifest, "holdout")
    assert pair["training"] in keys_of(ratchet, manifest, "train") + keys_of(ratchet, manifest, "validation")
    assert abs(int(pair["holdout"][1:]) - int(pair["training"][1:])) == 1000
    assert "judged without them" in ratchet.cli("model", "show", f"mood@{judged['candidate']}").stdout
    assert ratchet.get(f"/api/v1/models/mood/versions/{judged['candidate']}/decision/explain")["same"]


def test_a_table_of_few_distinct_rows_is_judged_whole(ratchet):
    lines = ["id,shop,day,late"] + [f"o{i:05d},{'abc'[i % 3]},{i % 7},{'yes' if (i % 3 == 0) != (i % 20 == 7) else 'no'}" for i in range(900)]
    ratchet.push_csv("orders", "\n".join(lines) + "\n", SPLIT)
    ratchet.apply("late", CHURN_SPEC.replace("customers", "orders").replace("churn", "late").replace("left", "late"))
    run = ratchet.run("late")
    assert run["state"] == "succeeded", run
    decision = ratchet.get(f"/api/v1/models/late/versions/{run['candidate']}/decision")
    assert decision["leakage"]["equal"]["action"] == "told"
    assert decision["rows"] == decision["leakage"]["equal"]["rows"] == ratchet.get("/api/v1/datasets/orders")["rows"]["holdout"]


# ---- rotation


def looked_at_twice(ratchet):
    """A dataset of two pushes whose first is of a closed epoch."""
    ratchet.apply("churn", CHURN_SPEC + FRESH)
    ratchet.push_csv("customers", churn_csv(600), SPLIT)
    assert ratchet.run("churn")["outcome"] == "promoted"
    ratchet.push_csv("customers", churn_csv(600, start=600))
    assert ratchet.run("churn")["state"] == "succeeded"


def expect_sealed(ratchet, version):
    manifest = manifest_of(ratchet, "customers", version)
    holdout, train = keys_of(ratchet, manifest, "holdout"), keys_of(ratchet, manifest, "train")
    assert not set(holdout) & set(train)
    return manifest, holdout, train


def test_worn_rows_are_retired_and_stay_so(ratchet):
    ratchet.apply("churn", CHURN_SPEC + FRESH)
    ratchet.push_csv("customers", churn_csv(600), SPLIT)
    refused = ratchet.cli("dataset", "rotate-holdout", "customers", check=False)
    assert refused.returncode == 1 and "no candidate has been judged" in refused.stderr
    assert ratchet.run("churn")["outcome"] == "promoted"
    refused = ratchet.cli("dataset", "rotate-holdout", "customers", check=False)
    assert refused.returncode == 1 and "--current" in refused.stderr, refused.stderr
    ratchet.push_csv("customers", churn_csv(600, start=600))
    assert ratchet.run("churn")["state"] == "succeeded"
    before = ratchet.get("/api/v1/datasets/customers")
    first = keys_of(ratchet, manifest_of(ratchet, "customers", 1), "holdout")
    assert before["spent_rows"] == len(first)
    assert "rotate-holdout customers" in ratchet.cli("dataset", "show", "customers").stderr + ratchet.cli("dataset", "show", "customers").stdout
    told = ratchet.cli("dataset", "rotate-holdout", "customers", "--reason", "alpha is spent").stdout
    assert f"customers@3: {len(first)} sealed rows" in told, told
    after = ratchet.get("/api/v1/datasets/customers")
    assert after["rows"]["train"] == before["rows"]["train"] + len(first)
    assert after["rows"]["holdout"] == before["rows"]["holdout"] - len(first) and after["spent_rows"] == 0
    manifest, _, train = expect_sealed(ratchet, 3)
    assert set(first) <= set(train) and manifest["retired"]["until_push"] == 1
    audit = ratchet.get("/api/v1/audit?limit=5")["items"]
    assert any(entry["action"] == "dataset.rotate-holdout" and "alpha is spent" in entry["detail"] for entry in audit), audit
    assert events_so_far(ratchet, "holdout.rotated")[0]["rows"] == len(first)
    ratchet.push_csv("customers", churn_csv(600, seed=2))  # the keys of the first push once more
    expect_sealed(ratchet, 4)
    run = ratchet.run("churn")
    assert run["state"] == "succeeded", run
    decision = ratchet.get(f"/api/v1/models/churn/versions/{run['candidate']}/decision")
    assert decision["holdout"]["epoch"] == 2 and decision["holdout"]["look"] == 2, "the current epoch has kept its rows"
    trained = json.load(open(f"{ratchet.data}/runs/{run['id']}/train-1/step.json"))
    assert any(segment["sha256"] in path for segment in manifest["segments"] if segment.get("retired") for path in trained["inputs"]["train"])


def test_the_current_epoch_goes_by_force_and_the_next_one_needs_fresh_rows(ratchet):
    looked_at_twice(ratchet)
    answer = ratchet.send("POST", "/api/v1/datasets/customers/rotate-holdout", {"model": "churn", "current": True})
    assert answer["losing"] == ["churn"] and answer["version"]["rows"]["holdout"] == 0
    run = ratchet.run("churn")
    assert run["state"] == "failed" and "has been retired into training" in run["error"]["message"], run
    ratchet.push_csv("customers", churn_csv(300, start=5000))
    run = ratchet.run("churn")
    assert run["state"] == "succeeded", run
    holdout = ratchet.get(f"/api/v1/models/churn/versions/{run['candidate']}/decision")["holdout"]
    assert holdout["epoch"] == 3 and holdout["look"] == 1


def test_another_model_keeps_its_rows(ratchet):
    looked_at_twice(ratchet)
    ratchet.apply("other", CHURN_SPEC.replace("model: churn", "model: other"))
    assert ratchet.run("other")["state"] == "succeeded"
    with pytest.raises(HttpError) as refused:
        ratchet.send("POST", "/api/v1/datasets/customers/rotate-holdout", {"model": "churn"})
    assert refused.value.status == 409 and "candidates of other" in refused.value.body
    answer = ratchet.send("POST", "/api/v1/datasets/customers/rotate-holdout", {"model": "churn", "force": True})
    assert answer["losing"] == ["other"]
    run = ratchet.run("other")
    holdout = ratchet.get(f"/api/v1/models/other/versions/{run['candidate']}/decision")["holdout"]
    assert (holdout["epoch"], holdout["look"], holdout["after_push"]) == (1, 2, 1), "it goes on with the rest, on the same ledger"


def test_pushes_and_rotations_at_once_leave_no_key_on_both_sides(ratchet):
    looked_at_twice(ratchet)
    failures = []

    def push(seed):
        try:
            ratchet.push_csv("customers", churn_csv(600, seed=seed))  # keys that are being retired
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(seed,)) for seed in range(3, 9)]
    for thread in threads:
        thread.start()
    rotated = 0
    while any(thread.is_alive() for thread in threads) or rotated == 0:
        try:
            ratchet.send("POST", "/api/v1/datasets/customers/rotate-holdout", {"current": True})
            rotated += 1
        except HttpError as error:
            assert error.status == 409, error
            if rotated == 0 and not any(thread.is_alive() for thread in threads):
                break
    for thread in threads:
        thread.join()
    assert not failures
    dataset = ratchet.get("/api/v1/datasets/customers")
    assert dataset["latest_version"] == 8 + rotated and rotated >= 1
    _, holdout, train = expect_sealed(ratchet, dataset["latest_version"])
    assert len(holdout) == dataset["rows"]["holdout"] and len(train) == dataset["rows"]["train"]


def test_a_killed_rotation_leaves_the_old_version_or_the_new(tmp_path):
    ratchet = Ratchet(tmp_path).start()
    try:
        looked_at_twice(ratchet)
        before = ratchet.get("/api/v1/datasets/customers")
        asked = threading.Event()

        def rotate():
            asked.set()
            try:
                ratchet.send("POST", "/api/v1/datasets/customers/rotate-holdout", {"current": True})
            except (OSError, HttpError, ValueError):
                pass  # it died

        thread = threading.Thread(target=rotate)
        thread.start()
        asked.wait()
        ratchet.kill()
        thread.join()
        ratchet.start()
        after = ratchet.get("/api/v1/datasets/customers")
        assert after["latest_version"] in (before["latest_version"], before["latest_version"] + 1)
        manifest, holdout, train = expect_sealed(ratchet, after["latest_version"])
        assert len(holdout) == after["rows"]["holdout"] and len(train) == after["rows"]["train"]
        assert bool(manifest.get("retired")) == (after["latest_version"] > before["latest_version"])
        assert len(events_so_far(ratchet, "holdout.rotated")) == after["latest_version"] - before["latest_version"]
        wait_until(lambda: not os.listdir(f"{ratchet.data}/staging"), "nothing is left in staging")
    finally:
        ratchet.stop()
