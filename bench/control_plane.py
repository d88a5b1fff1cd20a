#!/usr/bin/env python3
"""The control plane's figures: start, idle memory, rollback. Prints a markdown table.

    RATCHET_BUILD=build/release /usr/bin/python3 bench/control_plane.py

Baselines, in the same run: an empty Python process for the start, one small GET of the same daemon for the rollback.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/e2e"))
from ratchet_process import BIN, Ratchet, wait_until  # noqa: E402
from small_data import CHURN_SPEC, churn_csv  # noqa: E402

REPEATS = 11


def start_once(folder):
    """Seconds from fork to the first answered /healthz, on a fresh data directory, and the process."""
    address = os.path.join(folder, "address")
    begin = time.perf_counter()
    process = subprocess.Popen([os.path.join(BIN, "ratchetd"), "--data", folder, "--listen", "127.0.0.1:0", "--no-serve"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            host, port = open(address).read().strip().split(":")
            connection = http.client.HTTPConnection(host, int(port))
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return time.perf_counter() - begin, process
        except (OSError, ValueError):
            time.sleep(0.0005)


def measure_starts():
    seconds = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            taken, process = start_once(folder)
            process.terminate()
            process.wait()
        seconds.append(taken)
    return statistics.median(seconds)


def measure_python():
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run(["/usr/bin/python3", "-c", "pass"], check=True)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def status_kib(pid, key):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def measure_rollbacks(ratchet):
    """Medians in ms: what the release says it took, the whole request, and a small GET."""
    host, port = ratchet.url[7:].split(":")
    connection = http.client.HTTPConnection(host, int(port))

    def timed(method, path, body=None):
        begin = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        return (time.perf_counter() - begin) * 1000, answer

    said, whole, gets = [], [], []
    for _ in range(2 * REPEATS):
        gets.append(timed("GET", "/api/v1/models/churn")[0])
        taken, release = timed("POST", "/api/v1/models/churn/rollback", json.dumps({"reason": "bench"}))
        whole.append(taken)
        said.append(release["took_ms"])
    return statistics.median(said), statistics.median(whole), max(whole), statistics.median(gets)


def main():
    start, python = measure_starts(), measure_python()
    with tempfile.TemporaryDirectory() as folder:
        ratchet = Ratchet(folder).start()
        try:
            ratchet.apply("churn", CHURN_SPEC)
            ratchet.push_csv("customers", churn_csv(1500))
            ratchet.run("churn", **{"train.params.epochs": 1})
            ratchet.run("churn")
            assert ratchet.live("churn") == 2
            said, whole, worst, get = measure_rollbacks(ratchet)
            busy_kib = status_kib(ratchet.process.pid, "VmRSS")
        finally:
            ratchet.stop()
    with tempfile.TemporaryDirectory() as folder:
        _, process = start_once(folder)
        wait_until(lambda: status_kib(process.pid, "VmRSS") > 0, "it runs")
        time.sleep(3)  # idle: nothing is asked of it
        idle_kib = status_kib(process.pid, "VmRSS")
        process.terminate()
        process.wait()
    print("| figure | value | baseline | ratio |")
    print("| --- | ---: | --- | ---: |")
    print(f"| ratchetd: start to first answer (median of {REPEATS}) | {start * 1000:.1f} ms | empty Python process {python * 1000:.1f} ms "
          f"| {start / python:.2f} |")
    print(f"| ratchetd: resident when idle | {idle_kib / 1024:.1f} MiB | limit 40 MiB | {idle_kib / 1024 / 40:.2f} |")
    print(f"| ratchetd: resident after two runs | {busy_kib / 1024:.1f} MiB | | |")
    print(f"| rollback, as the release records it (median of {2 * REPEATS}) | {said:.1f} ms | limit 50 ms | {said / 50:.2f} |")
    print(f"| rollback, whole request (median; worst {worst:.1f} ms) | {whole:.1f} ms | one small GET {get:.2f} ms | {whole / get:.1f} |")


if __name__ == "__main__":
    main()
