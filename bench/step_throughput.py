#!/usr/bin/env python3
"""What a step costs: a chain of 100 no-op steps and a fan of 1,000, for command steps and recipe steps, side by side with
GNU make (no durability: the floor) and Snakemake; the time from decision to the first line of a step; the same chain beside
many runs; resume after kill -9. Prints a markdown table; --json prints the figures.

    RATCHET_BUILD=build/release /usr/bin/python3 bench/step_throughput.py [--json] [--history N]

Needs make and snakemake from the distribution for the baselines and says so where they are missing.
"""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/e2e"))
from ratchet_process import Ratchet, wait_until  # noqa: E402
from small_data import churn_csv  # noqa: E402

CHAIN, FAN = 100, 1000
HEAD = "model: {name}\ndata: {{dataset: customers, target: left}}\nsteps:\n"
# What comes after the user's own steps is not measured: the training ends the run at once.
TAIL = "train: {command: ['false'], limits: {attempts: 1}}\n"


def graph(name, kind, needs):
    """A spec of steps; needs[i] are the numbers of the steps that step i waits for."""
    work = "command: ['true']" if kind == "command" else "recipe: flow.pass"
    lines = [f"  s{i:04}: {{{work}, cache: false" + (f", needs: [{', '.join(f's{n:04}' for n in need)}]" if need else "") + "}\n"
             for i, need in enumerate(needs)]
    return HEAD.format(name=name) + "".join(lines) + TAIL


CHAIN_NEEDS = [[i - 1] if i else [] for i in range(CHAIN)]
FAN_NEEDS = [[] for _ in range(FAN)]


def wait_for_end(ratchet, run):
    """By the registry's row: to ask ratchetd for a run of a thousand steps again and again would be measured, too."""
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    wait_until(lambda: registry.execute("SELECT ended_at FROM runs WHERE id = ?", (run,)).fetchone()[0], f"run {run} ends", 600)
    registry.close()


def column_of(ratchet):
    """Starts, ends and dispatch times of a run's own steps, straight from the registry."""
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    run = registry.execute("SELECT max(id) FROM runs").fetchone()[0]
    rows = registry.execute("SELECT ready_at, started_at, ended_at FROM steps WHERE run = ? AND kind IN ('command', 'recipe')",
                            (run,)).fetchall()
    registry.close()
    return rows


def measure_ratchet(ratchet, name, kind, needs):
    """Milliseconds a step, from the first one's start to the last one's end."""
    ratchet.apply(name, graph(name, kind, needs))
    wait_for_end(ratchet, ratchet.start_run(name))
    rows = column_of(ratchet)
    assert all(ended for _, _, ended in rows), "a step did not end"
    return (max(row[2] for row in rows) - min(row[1] for row in rows)) / 1000 / len(rows)


def median_of(rounds, measure):
    return statistics.median(measure() for _ in range(rounds))


def measure_make(needs):
    with tempfile.TemporaryDirectory() as folder:
        rules = [f"s{i}: {' '.join(f's{n}' for n in need)}\n\t@true\n" for i, need in enumerate(needs)]
        names = " ".join(f"s{i}" for i in range(len(needs)))
        with open(os.path.join(folder, "Makefile"), "w") as file:
            # A shell, as a rule's recipe has it; make runs a bare word by itself without one.
            file.write(f"SHELL=/bin/sh\n.PHONY: all {names}\nall: {names}\n" + "\n".join(rules))
        begin = time.perf_counter()
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "all"], cwd=folder, check=True)
        return (time.perf_counter() - begin) * 1000 / len(needs)


def measure_snakemake(needs):
    with tempfile.TemporaryDirectory() as folder:
        rules = [f"rule s{i}:\n  input: {[f'd/{n}' for n in need]}\n  output: touch('d/{i}')\n  shell: 'true'\n"
                 for i, need in enumerate(needs)]
        with open(os.path.join(folder, "Snakefile"), "w") as file:
            file.write(f"rule all:\n  input: {[f'd/{i}' for i in range(len(needs))]}\n" + "\n".join(rules))
        begin = time.perf_counter()
        subprocess.run(["snakemake", "-q", "all", f"-j{os.cpu_count()}"], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "HOME": folder})
        return (time.perf_counter() - begin) * 1000 / len(needs)


def measure_dispatch(ratchet, count=200):
    """Milliseconds from the row of the decision to the first line of the step's code, which writes down what time it is."""
    lines = [f"  s{i:04}: {{command: [sh, -c, 'date +%s.%N > $RATCHET_OUT/at'], cache: false, outputs: [at]"
             + (f", needs: [s{i - 1:04}]" if i else "") + "}\n" for i in range(count)]
    inputs = ", ".join(f"s{i:04}.at" for i in range(count))
    spec = HEAD.format(name="dispatch") + "".join(lines) + TAIL.replace("limits:", f"inputs: [{inputs}], limits:")
    ratchet.apply("dispatch", spec)
    wait_for_end(ratchet, ratchet.start_run("dispatch"))
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    run = registry.execute("SELECT max(id) FROM runs").fetchone()[0]
    taken = []
    for started, outputs in registry.execute(
            "SELECT started_at, outputs_json FROM steps WHERE run = ? AND kind = 'command'", (run,)):
        sha256 = json.loads(outputs)["at"]["sha256"]
        with open(f"{ratchet.data}/blobs/sha256/{sha256[:2]}/{sha256}") as file:
            taken.append(float(file.read()) * 1000 - started / 1000)
    registry.close()
    floor = []
    for _ in range(50):  # the shell and date, run by hand
        begin = time.time()
        at = float(subprocess.run(["sh", "-c", "date +%s.%N"], capture_output=True, text=True, check=True).stdout)
        floor.append((at - begin) * 1000)
    taken.sort()
    return {"p50_ms": statistics.median(taken), "p99_ms": taken[int(len(taken) * 0.99)], "shell_ms": statistics.median(floor)}


def add_history(ratchet, count):
    """Ended runs as a long life leaves them: copies of the newest one's rows. The daemon is stopped meanwhile."""
    ratchet.kill(signal.SIGTERM)
    registry = sqlite3.connect(f"{ratchet.data}/registry.db")
    columns = lambda table: [row[1] for row in registry.execute(f"PRAGMA table_info({table})")]
    first = registry.execute("SELECT max(id) FROM runs").fetchone()[0]
    registry.execute("CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n", (count,))
    for table, key in (("runs", "id"), ("steps", "run"), ("attempts", "run")):
        names = columns(table)
        values = ", ".join(f"t.{name} + n.i" if name == key else f"t.{name}" for name in names)
        few = " AND t.kind NOT IN ('command', 'recipe')" if table == "steps" else ""
        few = " AND t.step IN ('validate', 'train')" if table == "attempts" else few
        registry.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} t, n WHERE t.{key} = ?{few}", (first,))
    registry.commit()
    registry.close()
    ratchet.start()


def measure_flat(folder, history, rounds=5):
    """A chain beside few runs and beside many, in two daemons by turns, so that what the machine does besides hits both."""
    daemons = []
    try:
        for name in ("few", "many"):
            ratchet = Ratchet(os.path.join(folder, name), "--no-serve").start()
            daemons.append(ratchet)
            ratchet.push_csv("customers", churn_csv(200))
            wait_until(lambda: ratchet.get("/api/v1/status")["worker"]["state"] == "ready", "the worker is ready")
            measure_ratchet(ratchet, "flat", "command", CHAIN_NEEDS)
        add_history(daemons[1], history)
        taken = [[measure_ratchet(ratchet, "flat", "command", CHAIN_NEEDS) for ratchet in daemons] for _ in range(rounds + 1)][1:]
    finally:
        for ratchet in daemons:
            ratchet.stop()
    few, many = (statistics.median(column) for column in zip(*taken))
    ratio = statistics.median(many / few for few, many in taken)
    return {"flat_few_ms": few, "flat_many_ms": many, "flat_ratio": ratio}


def measure_resume(ratchet):
    """Seconds from the start of a killed daemon to the start of the next step of its run."""
    spec = HEAD.format(name="resume") + "  a: {command: [sleep, '1'], cache: false}\n  b: {command: ['true'], cache: false, needs: [a]}\n" + TAIL
    ratchet.apply("resume", spec)
    run = ratchet.start_run("resume")
    step = lambda name: next(s for s in ratchet.get(f"/api/v1/runs/{run}")["steps"] if s["name"] == name)
    wait_until(lambda: step("a")["state"] == "running", "the first step runs")
    ratchet.kill(signal.SIGKILL)
    time.sleep(1.2)  # the step outlives the daemon and ends
    begin = time.time()
    ratchet.start()
    wait_until(lambda: step("b")["started_at"], "the next step is started")
    assert len(step("a")["attempts"]) == 1, "the first step ran twice"
    return step("b")["started_at"] / 1e6 - begin


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--history", type=int, default=100_000, help="runs in the registry for the second chain")
    asked = arguments.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        ratchet = Ratchet(folder, "--no-serve").start()
        try:
            ratchet.push_csv("customers", churn_csv(200))
            wait_until(lambda: ratchet.get("/api/v1/status")["worker"]["state"] == "ready", "the worker is ready")
            shapes = (("chain", CHAIN_NEEDS), ("fan", FAN_NEEDS))
            rounds = {"chain": 5, "fan": 1}
            for shape, needs in shapes:
                for kind in ("command", "recipe"):
                    figures[f"{shape}_{kind}_ms"] = median_of(rounds[shape], lambda: measure_ratchet(ratchet, f"{shape}-{kind}", kind, needs))
            # Afterwards, for they remove what they made: ext4 makes new files slowly for minutes after many were deleted.
            for shape, needs in shapes:
                if shutil.which("make"):
                    figures[f"{shape}_make_ms"] = median_of(rounds[shape], lambda: measure_make(needs))
                if shutil.which("snakemake"):
                    figures[f"{shape}_snakemake_ms"] = measure_snakemake(needs)
            figures["dispatch"] = measure_dispatch(ratchet)
            figures["resume_s"] = measure_resume(ratchet)
        finally:
            ratchet.stop()
        figures |= measure_flat(folder, asked.history)
    print(json.dumps(figures, indent=1) if asked.json else table(figures, asked.history))


def table(figures, history):
    ms = lambda key: f"{figures[key]:.2f} ms" if key in figures else "not installed"
    against = lambda key, base: f"{figures[key] / figures[base]:.2f}" if base in figures else "-"
    lines = ["| ms a step | command | recipe | make | Snakemake | command / make | command / Snakemake |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for shape in ("chain", "fan"):
        lines.append(f"| {shape} | {ms(shape + '_command_ms')} | {ms(shape + '_recipe_ms')} | {ms(shape + '_make_ms')} | {ms(shape + '_snakemake_ms')} | "
                     + against(f"{shape}_command_ms", f"{shape}_make_ms") + " | " + against(f"{shape}_command_ms", f"{shape}_snakemake_ms") + " |")
    dispatch = figures["dispatch"]
    lines += ["", f"- decision to the first line of a step: p50 {dispatch['p50_ms']:.2f} ms, p99 {dispatch['p99_ms']:.2f} ms, of which the shell and date(1) {dispatch['shell_ms']:.2f} ms",
              f"- resume after kill -9, to the next step's start: {figures['resume_s']:.2f} s",
              f"- chain beside few runs {figures['flat_few_ms']:.2f} ms a step, beside {history} more {figures['flat_many_ms']:.2f} ms: ratio {figures['flat_ratio']:.2f}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
