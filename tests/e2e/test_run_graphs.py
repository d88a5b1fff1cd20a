"""Runs of more than one training: sweeps, pruned and not, and a pipeline's own steps before the training."""

import io
import itertools
import json

import pytest
import torch

from ratchet_process import Ratchet, steps_of
from small_data import CHURN_SPEC, churn_csv


@pytest.fixture
def ratchet(tmp_path):
    """One that may use two processors however many there are, for steps that are to run side by side."""
    process = Ratchet(tmp_path, "--cpus", "2").start()
    yield process
    process.stop()


def sweeping(space, epochs):
    spec = CHURN_SPEC.replace("params: {epochs: 8}", f"params: {{epochs: {epochs}, patience: 1000}}")
    return spec.replace("limits: {", "limits: {cpus: 1, ") + f"  sweep: {space}\n"


def most_at_once(intervals):
    """Of so many (start, end) the most that overlap."""
    return max(sum(start <= at < end for start, end in intervals) for at, _ in intervals)


def spans(steps):
    return [(step["attempts"][0]["started_at"], step["attempts"][-1]["ended_at"]) for step in steps]


# ---- sweeps


def check_plot(trials, space):
    """The axes are the space's and the metric; each line goes through its trial's own values."""
    assert [axis["name"] for axis in trials["axes"]] == [*sorted(space), trials["metric"]]
    for axis in trials["axes"]:
        values = [line["values"][trials["axes"].index(axis)] for line in trials["lines"]]
        low, high = (min(axis["domain"]), max(axis["domain"]))
        assert axis["kind"] in ("linear", "log", "category") and all(low <= value <= high for value in values), axis
    assert [line["trial"] for line in trials["lines"]] == [item["name"] for item in trials["items"]]
    for line, item in zip(trials["lines"], trials["items"]):
        assert line["values"] == [*(item["params"][name] for name in sorted(space)), item["best"]]


def test_the_best_trial_of_a_grid_becomes_the_candidate(ratchet):
    space = {"learning_rate": [1e-6, 0.01], "hidden": [8, 32]}
    ratchet.apply("churn", sweeping(json.dumps({**space, "search": "grid", "parallel": 2}), 6))
    ratchet.push_csv("customers", churn_csv(1500))
    run = ratchet.run("churn")
    assert run["outcome"] == "promoted", run
    trials = ratchet.get(f"/api/v1/runs/{run['id']}/trials")
    tried = [{name: item["params"][name] for name in space} for item in trials["items"]]
    grid = [dict(zip(space, values)) for values in itertools.product(*space.values())]
    assert len(tried) == 4 and all(point in tried for point in grid), tried
    assert [item["state"] for item in trials["items"]] == ["succeeded"] * 4
    assert trials["epochs_spent"] == 4 * 6 and all(len(item["curve"]) == 6 for item in trials["items"])
    check_plot(trials, space)

    best = next(item for item in trials["items"] if item["name"] == trials["best"])
    assert best["rank"] == 1 and best["best"] == max(item["best"] for item in trials["items"])
    assert best["params"]["learning_rate"] == 0.01
    lineage = ratchet.get(f"/api/v1/models/churn/versions/{run['candidate']}")["manifest"]["lineage"]
    assert {name: lineage["params"][name] for name in space} == {name: best["params"][name] for name in space}
    steps = steps_of(run)
    assert steps["train"]["outputs"]["model.pt"] == steps[trials["best"]]["outputs"]["model.pt"]
    assert most_at_once(spans([step for step in run["steps"] if step["kind"] == "trial"])) == 2

    shown = ratchet.cli("run", "show", run["id"]).stdout
    table = shown[shown.index("\nTrials\n"):].splitlines()
    rows = {word: line for line in table for word in line.split() if word.startswith("trial-")}
    assert sorted(rows) == ["trial-1", "trial-2", "trial-3", "trial-4"], shown
    assert [name for name, line in rows.items() if line.startswith(("★", "*"))] == [trials["best"]], shown
    assert all("6/6" in line and "learning_rate=" in line for line in rows.values()), shown


def test_asha_stops_what_is_behind_and_spends_less(ratchet):
    epochs = 30
    sweep = "{learning_rate: [0.01, 0.02, 1.0e-6, 2.0e-6], search: grid, parallel: 2, prune: asha}"
    ratchet.apply("churn", sweeping(sweep, epochs))
    ratchet.push_csv("customers", churn_csv(6000))
    run = ratchet.run("churn")
    assert run["outcome"] == "promoted", run
    trials = ratchet.get(f"/api/v1/runs/{run['id']}/trials")
    pruned = [item for item in trials["items"] if item["state"] == "pruned"]
    # The two that learn nothing come when the first two have been at every rung.
    assert {item["params"]["learning_rate"] for item in pruned} >= {1e-6, 2e-6}, trials
    for item in pruned:
        assert item["reason"] and 0 < item["epochs"] < epochs, item
        assert steps_of(run)[item["name"]]["state"] == "skipped", item
    assert trials["epochs_spent"] == sum(item["epochs"] for item in trials["items"]) < 4 * epochs
    best = next(item for item in trials["items"] if item["name"] == trials["best"])
    assert best["state"] == "succeeded" and best["params"]["learning_rate"] >= 0.01
    print(f"asha: {trials['epochs_spent']} of {4 * epochs} epochs")


# ---- own steps

COUNT = b"""
import json, os, sqlite3
with open(os.environ["RATCHET_INPUTS"]) as file:
    path = json.load(file)["spenders.spenders.pack"]
pack = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
ids = [row[0] for row in pack.execute("SELECT id FROM rows")]
with open(os.environ["RATCHET_OUT"] + "/count.json", "w") as file:
    json.dump({"spenders": len(ids), "first": min(ids)}, file)
"""

TRAIN = b"""
import json, os, shutil
with open(os.environ["RATCHET_INPUTS"]) as file:
    inputs = json.load(file)
with open(inputs["count.count.json"]) as file:
    print("told:", file.read(), flush=True)
assert "holdout" not in json.dumps(inputs), inputs
for name in ("model.pt", "signature.json"):
    shutil.copy(name, os.environ["RATCHET_OUT"])
"""

GRAPH_SPEC = """
model: churn
data: {dataset: customers, target: left, split: {validation: 0.1, holdout: 0.3, key: id}}
steps:
  spenders:
    recipe: flow.sql
    inputs: [data.train]
    outputs: [spenders.pack]
    params: {query: "SELECT id, spend FROM data_train.rows WHERE spend > 60 ORDER BY id"}
  count: {command: [/usr/bin/python3, count.py], inputs: [spenders.spenders.pack], outputs: [count.json]}
  left: {command: [sleep, '0.7'], limits: {cpus: 1}}
  right: {command: [sleep, '0.7'], limits: {cpus: 1}}
  both: {command: ['true'], needs: [left, right], limits: {cpus: 1}}
train:
  command: [/usr/bin/python3, train.py]
  inputs: [count.count.json]
"""


class Months(torch.nn.Module):
    """Knows without training that who came lately leaves."""

    def forward(self, months):
        leaves = (months.reshape(-1) < 24).float()
        return torch.stack([1 - leaves, leaves], 1)


def ready_made():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Months().eval()), buffer)
    signature = {"task": "classification", "classes": ["no", "yes"],
                 "inputs": [{"name": "months", "datatype": "FP32", "shape": [-1], "column": "months"}],
                 "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]}
    return {"model.pt": buffer.getvalue(), "signature.json": json.dumps(signature).encode()}


def training_rows(ratchet):
    """The rows that training may see, as they were pushed, by the preview, which shows no others."""
    rows, after = [], ""
    while True:
        page = ratchet.get(f"/api/v1/datasets/customers/versions/1/rows?limit=500{after}")
        names = [column["name"] if isinstance(column, dict) else column for column in page["columns"]]
        rows += [dict(zip(names, row)) for row in page["items"]]
        if page["next"] is None:
            return rows
        after = f"&after={page['next']}"


def test_own_steps_feed_the_training_and_run_side_by_side(ratchet):
    files = {"count.py": COUNT, "train.py": TRAIN, **ready_made()}
    ratchet.apply("churn", GRAPH_SPEC, files)
    ratchet.push_csv("customers", churn_csv(800))
    run = ratchet.run("churn")
    assert run["state"] == "succeeded", run
    steps = steps_of(run)
    assert steps["spenders"]["kind"] == "recipe" and steps["count"]["kind"] == "command"
    assert "spenders" in steps["count"]["needs"] and "count" in steps["train"]["needs"], steps

    spenders = sorted(row["id"] for row in training_rows(ratchet) if row["spend"] is not None and row["spend"] > 60)
    assert 0 < len(spenders) < 400
    log = ratchet.cli("run", "logs", run["id"], "--step", "train").stdout.splitlines()
    told = [line.removeprefix("told:") for line in log if line.startswith("told:")]
    assert json.loads(told[0]) == {"spenders": len(spenders), "first": spenders[0]}

    assert most_at_once(spans([steps["left"], steps["right"]])) == 2
    assert steps["both"]["started_at"] >= max(end for _, end in spans([steps["left"], steps["right"]]))
    assert steps["count"]["started_at"] >= steps["spenders"]["ended_at"]
    # Three could begin when the data was found good, and two had a place: one waited, and the timeline says for what.
    own = [steps[name] for name in ("left", "right", "spenders", "count", "both")]
    assert most_at_once(spans(own)) == 2
    timeline = ratchet.get(f"/api/v1/runs/{run['id']}/timeline")
    waits = {step["name"]: {wait["for"] for wait in step["waits"]} for step in timeline["steps"]}
    assert "processors" in waits["left"] | waits["right"] | waits["spenders"], waits

    # What flow.sql made is found again; a query of another meaning is another step, and what follows from it, too.
    again = ratchet.run("churn")
    found = {name for name, step in steps_of(again).items() if step["cached_from"] == run["id"]}
    assert found >= {"spenders", "count", "left", "train"}, again
    ratchet.apply("churn", GRAPH_SPEC.replace("spend > 60", "spend > 80"), files)
    other = steps_of(ratchet.run("churn"))
    assert [other[name]["cached_from"] for name in ("spenders", "count", "train")] == [None, None, None]
    assert other["left"]["cached_from"] == run["id"]
