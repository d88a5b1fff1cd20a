"""What bench/serving/run asks of a whole Ratchet: promotions and rollbacks under load, and the deaths of either program."""

import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

import loads

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))

PATH = "/v2/models/churn/infer"
BODY = {"inputs": [{"name": "months", "datatype": "FP64", "shape": [1], "data": [3]},
                   {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
                   {"name": "spend", "datatype": "FP64", "shape": [1], "data": [20.5]}]}


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


class Load(threading.Thread):
    """infer_load beside what this thread does; `result` when joined."""

    def __init__(self, *arguments):
        super().__init__()
        self.arguments, self.result = arguments, None
        self.start()

    def run(self):
        self.result = loads.infer_load(*self.arguments)

    def done(self):
        self.join()
        return self.result


class Site:
    """A Ratchet with two versions of a model that may be live."""

    def __init__(self, bin_dir, folder):
        os.environ["RATCHET_BUILD"] = str(bin_dir.parent)
        from ratchet_process import Ratchet, wait_until
        from small_data import CHURN_SPEC, churn_csv
        self.bin_dir, self.wait_until, self.ratchet = bin_dir, wait_until, Ratchet(folder)
        self.ratchet.start()
        self.ratchet.apply("churn", CHURN_SPEC)
        self.ratchet.push_csv("customers", churn_csv(1500))
        self.ratchet.run("churn")
        self.ratchet.run("churn", **{"train.seed": 8})
        self.body = pathlib.Path(folder) / "body.json"
        self.body.write_text(json.dumps(BODY))
        self.wait_until(self.answers, "it serves")
        self.other = 1 if self.ratchet.live("churn") == 2 else 2

    def answers(self):
        import urllib.request
        try:
            request = urllib.request.Request(self.ratchet.serve_url() + PATH, data=json.dumps(BODY).encode())
            return urllib.request.urlopen(request, timeout=5).status == 200
        except OSError:
            return False

    def address(self):
        return self.ratchet.serve_url()[7:]

    def load(self, connections, seconds, *flags):
        return Load(self.bin_dir, self.address(), PATH, self.body, connections, seconds, *flags)

    def promote(self, version):
        self.ratchet.cli("promote", f"churn@{version}", "--force", "--reason", "bench")

    def rollback(self):
        self.ratchet.cli("rollback", "churn", "--reason", "bench")


def switch(site, count, gap_s):
    """Promotions and rollbacks in turn: [(asked at, acknowledged at, to, kind)], ns of the monotonic clock."""
    switches, base = [], site.ratchet.live("churn")
    for turn in range(count):
        forward = turn % 2 == 0
        begun = time.monotonic_ns()
        site.promote(site.other) if forward else site.rollback()
        switches.append((begun, time.monotonic_ns(), site.other if forward else base, "promote" if forward else "rollback"))
        time.sleep(gap_s)
    return switches


def judge(changes_file, switches):
    """How long after each switch was asked for the last answer of the old version came, in ms, by kind; and how many answers were
    of a version that was not to be."""
    last = {"promote": [], "rollback": []}
    ends = [begun for begun, *_ in switches[1:]] + [1 << 62]
    found = [[int(word) for word in line.split()] for line in pathlib.Path(changes_file).read_text().splitlines()]
    wrong = 0
    for (begun, _, to, kind), end in zip(switches, ends):
        within = [change for change in found if begun <= change[0] < end]
        wrong += sum(change[1] != to for change in within)
        if within:
            last[kind].append(max(0, max(change[2] for change in within if change[1] == to) - begun) / 1e6)
    return last, wrong + sum(change[0] < switches[0][0] for change in found)


def measure_switches(site, count, connections):
    gap_s = 0.1
    quiet = site.load(connections, 5).done()
    with tempfile.TemporaryDirectory() as folder:
        changes = os.path.join(folder, "changes")
        began = time.monotonic()
        switch(site, 2, gap_s)
        seconds = (time.monotonic() - began) / 2 * count * 1.5 + 3
        load = site.load(connections, round(seconds, 1), "--changes", changes)
        time.sleep(0.5)
        switches = switch(site, count, gap_s)
        within = time.monotonic_ns()
        result = load.done()
        last, wrong = judge(changes, switches)
    return {"switches": count, "switch_seconds": (within - switches[0][0]) / 1e9, "switch_failed_requests": result["failed"],
            "switch_answers": result["answered"], "switch_wrong_version": wrong, "rollback_p99_ms": percentile(last["rollback"], 0.99),
            "rollback_p50_ms": percentile(last["rollback"], 0.5), "promote_p99_ms": percentile(last["promote"], 0.99),
            "quiet_p99_ms": quiet["p99_ms"], "switching_p99_ms": result["p99_ms"],
            "switching_p99_ratio": result["p99_ms"] / quiet["p99_ms"]}


def measure_deaths(site, rounds):
    """kill -9 of ratchetd under load, then of ratchet-serve: how long until it answers again."""
    load = site.load(8, 6)
    time.sleep(1)
    site.ratchet.kill()
    time.sleep(1)
    site.ratchet.start()
    result = load.done()
    away = []
    for _ in range(rounds):
        site.wait_until(site.answers, "it serves")
        pid = site.ratchet.serve_pid()
        begun = time.monotonic()
        os.kill(pid, 9)
        site.wait_until(lambda: site.ratchet.serve_pid() not in (0, None, pid) and site.answers(), "it serves again")
        away.append(time.monotonic() - begun)
    return {"control_plane_killed_failed_requests": result["failed"], "control_plane_killed_answers": result["answered"],
            "serve_killed_back_s": statistics.median(away), "serve_killed_back_worst_s": max(away)}


def measure(bin_dir, switches, connections, rounds):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(bin_dir, folder)
        try:
            return {**measure_switches(site, switches, connections), **measure_deaths(site, rounds)}
        finally:
            site.ratchet.stop()
