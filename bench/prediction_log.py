#!/usr/bin/python3
"""What logging costs the answers: infers per second with every prediction logged and shipped, against none, side by side.

Usage: bench/prediction_log.py [--build DIR] [--rounds N] [--seconds S] [--connections N,N]
Trains a small model, then runs the load in turns with --log-sample 0 and 1, on the same data directory, and prints the medians and
their ratio, and the processor time per answer, which other work on the machine disturbs less. Needs bench_infer_load (-DRATCHET_WITH_BENCH=ON).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tests/e2e"))


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(os.path.dirname(__file__), "../build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", default="1,16")
    return parser.parse_args()


ASKED = options()
os.environ["RATCHET_BUILD"] = os.path.abspath(ASKED.build)

from ratchet_process import BIN, HttpError, Ratchet, cpu_seconds, http, wait_until  # noqa: E402
from small_data import CHURN_SPEC, churn_csv  # noqa: E402

BODY = {"inputs": [{"name": "months", "datatype": "FP64", "shape": [1], "data": [3]},
                   {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
                   {"name": "spend", "datatype": "FP64", "shape": [1], "data": [20.5]}]}


def answers(ratchet):
    try:
        return http("GET", ratchet.serve_url() + "/v2/models/churn/ready")[0] == 200
    except (OSError, HttpError):
        return False


def measure(folder, sample, body, connections):
    ratchet = Ratchet(folder, "--log-sample", sample).start()
    try:
        wait_until(lambda: answers(ratchet), "it serves")
        host, port = ratchet.serve_url()[7:].split(":")
        load = [os.path.join(BIN, "bench_infer_load"), host, port, "/v2/models/churn/infer", body]
        subprocess.run([*load, "4", "1"], check=True, capture_output=True)
        results = {}
        for n in connections:
            pids = {"serve": ratchet.serve_pid(), "control": ratchet.process.pid}
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            results[n] = json.loads(subprocess.run([*load, n, str(ASKED.seconds)], check=True, capture_output=True).stdout)
            answers_given = results[n]["requests_per_s"] * ASKED.seconds
            for name, pid in pids.items():
                results[n][name + "_us"] = (cpu_seconds(pid) - before[name]) / answers_given * 1e6
        metrics = http("GET", ratchet.serve_url() + "/metrics")[2].decode()
        logged = {line.split()[0]: int(line.split()[1]) for line in metrics.splitlines()
                  if line.startswith(("ratchet_serve_predictions", "ratchet_serve_spool"))}
        return results, logged
    finally:
        ratchet.stop()


def main():
    connections = ASKED.connections.split(",")
    with tempfile.TemporaryDirectory() as folder:
        ratchet = Ratchet(folder).start()
        ratchet.apply("churn", CHURN_SPEC)
        ratchet.push_csv("customers", churn_csv(1500))
        assert ratchet.run("churn")["outcome"] == "promoted"
        ratchet.stop()
        body = os.path.join(folder, "body.json")
        with open(body, "w") as file:
            json.dump(BODY, file)
        found = {(sample, n): [] for sample in "01" for n in connections}
        for turn in range(ASKED.rounds):
            for sample in ("01" if turn % 2 == 0 else "10"):
                results, logged = measure(folder, sample, body, connections)
                for n in connections:
                    found[sample, n].append(results[n])
                if sample == "1":
                    print(f"round {turn + 1}: {logged}", flush=True)
        for n in connections:
            median = {key: {sample: statistics.median(one[key] for one in found[sample, n]) for sample in "01"}
                      for key in ("requests_per_s", "p50_ms", "p99_ms", "serve_us", "control_us")}
            rate = median["requests_per_s"]
            print(f"{n:>3} connections: {rate['0']:.0f}/s without, {rate['1']:.0f}/s with the log, ratio {rate['1'] / rate['0']:.3f}; "
                  f"p50 {median['p50_ms']['0']} and {median['p50_ms']['1']} ms, p99 {median['p99_ms']['0']} and {median['p99_ms']['1']} ms; "
                  f"processor time an answer: ratchet-serve {median['serve_us']['0']:.0f} and {median['serve_us']['1']:.0f} us, "
                  f"ratchetd {median['control_us']['0']:.0f} and {median['control_us']['1']:.0f} us")


main()
