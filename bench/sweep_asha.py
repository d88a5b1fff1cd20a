#!/usr/bin/env python3
"""A sweep of 16 trials with successive halving (ASHA) against the full grid: epochs spent, processor time, and whether the
same trial wins, on a real table (Adult, 32,561 rows) with the real recipe. Prints a markdown table; --json the figures.

    RATCHET_BUILD=build/release /usr/bin/python3 bench/sweep_asha.py [--seeds N] [--epochs N] [--json]

Needs ../shared/data/tabular_classification and says so where it is missing.
"""

import argparse
import gzip
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/e2e"))
from ratchet_process import Ratchet, wait_until  # noqa: E402

TABLE = os.path.join(HERE, "../../shared/data/tabular_classification/adult_train.csv.gz")
SPEC = """
model: {name}
data: {{dataset: adult, target: income}}
train:
  recipe: tabular.classifier
  params: {{epochs: {epochs}, patience: 1000}}
  seed: {seed}
  cache: false
  limits: {{cpus: 1, memory: 4GiB, time: 30m}}
  sweep:
    learning_rate: [3.0e-4, 1.0e-3, 3.0e-3, 3.0e-2]
    hidden: [32, 256]
    dropout: [0.0, 0.3]
    search: grid
    parallel: 2
{prune}
"""


def run_sweep(ratchet, name, seed, epochs, prune):
    ratchet.apply(name, SPEC.format(name=name, seed=seed, epochs=epochs, prune="    prune: asha" if prune else ""))
    run = ratchet.wait_for_run(ratchet.start_run(name), 3600)
    trials = ratchet.get(f"/api/v1/runs/{run['id']}/trials")
    assert all(item["state"] in ("succeeded", "pruned") for item in trials["items"]), trials
    best = next(item for item in trials["items"] if item["name"] == trials["best"])
    assert len(trials["items"]) == 16
    cpu_s = sum(attempt["cpu_s"] or 0 for step in run["steps"] if step["kind"] == "trial" for attempt in step["attempts"])
    ranks = {item["name"]: item["rank"] for item in trials["items"]}
    return {"epochs": trials["epochs_spent"], "best": trials["best"], "params": best["params"], "validation": best["best"],
            "cpu_s": cpu_s, "seconds": (run["ended_at"] - run["started_at"]) / 1e6, "ranks": ranks,
            "values": {item["name"]: item["best"] for item in trials["items"]}}


def compare(ratchet, seed, epochs):
    full = run_sweep(ratchet, f"grid-{seed}", seed, epochs, False)
    asha = run_sweep(ratchet, f"asha-{seed}", seed, epochs, True)
    # What the pick of ASHA is worth where nothing was stopped: the same trial in the full grid, trained the same.
    asha["rank_in_grid"] = full["ranks"][asha["best"]]
    asha["value_in_grid"] = full["values"][asha["best"]]
    return {"seed": seed, "grid": full, "asha": asha}


def table(figures):
    lines = ["| seed | grid: epochs | ASHA: epochs | ratio | CPU ratio | grid's winner | ASHA's winner | its rank in the grid | validation, grid | ASHA |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in figures:
        grid, asha = row["grid"], row["asha"]
        show = lambda side: ", ".join(f"{key} {value}" for key, value in side["params"].items())
        lines.append(f"| {row['seed']} | {grid['epochs']} | {asha['epochs']} | {asha['epochs'] / grid['epochs']:.2f} | "
                     f"{asha['cpu_s'] / grid['cpu_s']:.2f} | {show(grid)} | {show(asha)} | {asha['rank_in_grid']} of 16 | "
                     f"{grid['validation']:.4f} | {asha['validation']:.4f} |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=9)
    asked = arguments.parse_args()
    if not os.path.exists(TABLE):
        print(f"not measured: {TABLE} is not there")
        return
    with tempfile.TemporaryDirectory() as folder:
        ratchet = Ratchet(folder, "--no-serve").start()
        try:
            with gzip.open(TABLE, "rt") as file:
                ratchet.push_csv("adult", file.read())
            wait_until(lambda: ratchet.get("/api/v1/status")["worker"]["state"] == "ready", "the worker is ready")
            figures = [compare(ratchet, seed, asked.epochs) for seed in range(1, asked.seeds + 1)]
        finally:
            ratchet.stop()
    print(json.dumps(figures, indent=1) if asked.json else table(figures))


if __name__ == "__main__":
    main()
