"""kill_torture --kills N --seed S: kill -9 of ratchetd, its fork servers, supervisors, step processes and ratchet-serve at
random moments of a running load of pipelines; then everything must come to its end, and the invariants must hold.
RATCHET_BUILD names the build. The last line is the verdict; the exit code is 0 only when every invariant held."""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from ratchet_process import HttpError, Ratchet, alive, wait_until  # noqa: E402
from registry_invariants import Violation, check_all  # noqa: E402
from small_data import churn_csv  # noqa: E402

LIMITS = "limits: {time: 5m, memory: 4GiB, attempts: 40}, retry: {on: [signal, internal], delay: 0.1, max_delay: 1}"
DATA = "data: {dataset: customers, target: left, split: {validation: 0.1, holdout: 0.3, key: id}}\n"
PLAIN = "model: plain\n" + DATA + "train: {recipe: tabular.classifier, params: {epochs: 3}, seed: 7, " + LIMITS + "}\n"
PIPELINES = {
    "plain": PLAIN + "retrain: {new_rows: 150}\n",
    "graph": PLAIN.replace("plain", "graph") + "steps:\n" + "".join(
        f"  {name}: {{command: [sh, -c, '{script}'], cache: false, {more}, {LIMITS}}}\n" for name, script, more in (
            ("join", 'sleep 0.3; wc -c < "$RATCHET_INPUTS" > "$RATCHET_OUT/rows"', "inputs: [data.train], outputs: [rows]"),
            ("left", 'cat "$RATCHET_INPUTS"; sleep 0.5', "inputs: [join.rows]"),
            ("right", 'echo right; sleep 0.2 & wait', "inputs: [join.rows]"),
            ("alone", "true", "needs: [join]"))),
    "sweep": "model: sweep\n" + DATA + "train: {recipe: tabular.classifier, params: {epochs: 2}, seed: 3, " + LIMITS +
             ", sweep: {learning_rate: [0.001, 0.01, 0.03], parallel: 2}}\n",
}
END_S = 400  # for all that was under way when the killing stopped
VICTIMS = ["ratchetd", "ratchetd", "fork server", "supervisor", "step", "step", "ratchet-serve"]


def stat_of(pid):
    """(name, parent) of a process; ("", 0) when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
        return text[text.index("(") + 1:text.rindex(")")], int(text.rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError):
        return "", 0


def children_of(pid):
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and stat_of(entry)[1] == pid]


def step_processes(data):
    """Processes with a step folder below the data directory in their environment."""
    mark = f"RATCHET_STEP_FOLDER={data}/".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read() and alive(int(entry)):
                        found.append(int(entry))
            except OSError:
                pass
    return found


def supervisors(data):
    """Those that own a step now."""
    found = []
    for run in sorted(os.listdir(f"{data}/runs")) if os.path.isdir(f"{data}/runs") else []:
        for step in os.listdir(f"{data}/runs/{run}"):
            folder = f"{data}/runs/{run}/{step}"
            try:
                with open(f"{folder}/process.json") as file:
                    process = json.load(file)
            except (OSError, ValueError):
                continue
            pid = process.get("pid", 0)
            if not os.path.exists(f"{folder}/exit.json") and stat_of(pid)[0].startswith(("ratchet-step", "step:")):
                found.append(pid)
    return found


class Torture:
    def __init__(self, folder, kills, seed):
        self.ratchet = Ratchet(folder)
        self.chance, self.killer_chance = random.Random(2 * seed), random.Random(2 * seed + 1)  # one for each thread
        self.failure = None
        self.kills = {}
        self.wanted = kills
        self.acknowledged = {"runs": set(), "releases": set(), "versions": set(), "revisions": set()}
        self.rows = 0
        self.refused = 0

    # ---- the load

    def ask(self, method, path, body=None, content_type="application/json"):
        """The answer of a daemon that may be dead; None then, and when it refuses."""
        try:
            return self.ratchet.send(method, path, body, content_type)
        except (OSError, HttpError, ValueError):
            self.refused += 1
            return None

    def push(self):
        rows = self.chance.choice([40, 80])
        answer = self.ask("POST", "/api/v1/datasets/customers/versions", churn_csv(rows, start=self.rows).encode(), "text/csv")
        self.rows += rows
        if answer:
            self.acknowledged["versions"].add(("customers", answer["version"]))

    def apply(self, name):
        answer = self.ask("PUT", f"/api/v1/pipelines/{name}", PIPELINES[name].encode(), "application/yaml")
        if answer:
            self.acknowledged["revisions"].add((name, answer["revision"]))
        return answer

    def start_run(self, name):
        answer = self.ask("POST", f"/api/v1/pipelines/{name}/runs",
                          {"fresh": self.chance.random() < 0.8, "set": {"train.seed": self.chance.randrange(3)}})
        if answer:
            self.acknowledged["runs"].add(answer["id"])

    def release(self, answer):
        if answer and "id" in answer:
            self.acknowledged["releases"].add(answer["id"])

    def runs(self, state):
        try:
            return self.ratchet.get(f"/api/v1/runs?state={state}&limit=50")["items"]
        except (OSError, HttpError, ValueError):
            return None

    def act(self):
        name = self.chance.choice(list(PIPELINES))
        what = self.chance.random()
        active = (self.runs("queued") or []) + (self.runs("running") or [])
        if len(active) < 6 and (not active or what > 0.6):
            self.start_run(name)
        elif what < 0.15:
            self.push()
        elif what < 0.25 and active:
            self.ask("POST", f"/api/v1/runs/{self.chance.choice(active)['id']}/cancel", {})
        elif what < 0.4:
            ended = (self.runs("failed") or []) + (self.runs("cancelled") or [])
            if ended:
                self.ask("POST", f"/api/v1/runs/{self.chance.choice(ended)['id']}/retry", {})
        elif what < 0.5:
            self.release(self.ask("POST", f"/api/v1/models/{name}/rollback", {"reason": "torture"}))
        elif what < 0.6:
            version = self.chance.randint(1, 4)
            self.release(self.ask("POST", f"/api/v1/models/{name}/promote",
                                  {"version": version, "reason": "torture", "force": self.chance.random() < 0.5}))

    # ---- the killing

    def victim(self, kind):
        daemon = self.ratchet.process.pid
        if kind == "ratchetd":
            return daemon
        if kind == "ratchet-serve":
            return self.ratchet.serve_pid()
        if kind == "fork server":
            found = [pid for pid in children_of(daemon) if stat_of(pid)[0].startswith("ratchet-worker")]
        else:
            found = supervisors(self.ratchet.data)
            if kind == "step":
                found = [pid for pid in step_processes(self.ratchet.data) if pid not in found]
        return self.killer_chance.choice(sorted(found)) if found else 0

    def kill_one(self):
        kind = self.killer_chance.choice(VICTIMS)
        pid = self.victim(kind)
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[kind] = self.kills.get(kind, 0) + 1
        if kind == "ratchetd":
            self.ratchet.process.wait()
            time.sleep(self.killer_chance.choice([0, 0, 0.5]))
            self.ratchet.start()

    def kill_all(self):
        try:
            while sum(self.kills.values()) < self.wanted:
                time.sleep(self.killer_chance.uniform(0, 0.6))
                self.kill_one()
        except BaseException as error:  # told by the torture
            self.failure = error

    def run(self):
        self.ratchet.start()
        wait_until(lambda: self.apply("plain") and self.apply("graph") and self.apply("sweep"), "the pipelines are applied")
        self.rows = 600
        first = self.ratchet.push_csv("customers", churn_csv(600))
        self.acknowledged["versions"].add(("customers", first["version"]))
        killer = threading.Thread(target=self.kill_all, daemon=True)
        killer.start()
        while killer.is_alive():
            self.act()
            killer.join(self.chance.uniform(0, 0.5))
        if self.failure:
            raise self.failure
        self.come_to_rest()

    def come_to_rest(self):
        def ended():
            if self.ratchet.process.poll() is not None:
                raise Violation("ratchetd ended by itself:\n" + self.ratchet.read_log()[-2000:])
            return self.runs("queued") == [] and self.runs("running") == []
        try:
            wait_until(ended, "every run ends", END_S)
        except AssertionError:
            raise Violation(f"not every run ended within {END_S} s: " + json.dumps(
                [(run["id"], run["pipeline"], run["state"], [(step["name"], step["state"], len(step["attempts"]))
                  for step in run["steps"]]) for run in (self.runs("running") or []) + (self.runs("queued") or [])])) from None
        # A release by hand may be loading still.
        wait_until(lambda: all(self.ratchet.get(f"/api/v1/models/{model['name']}/route")["loading"] is None
                               for model in self.ratchet.get("/api/v1/models")["items"]), "every release ends", 200)
        left = step_processes(self.ratchet.data)
        if left:
            raise Violation(f"nobody owns these processes of steps: {[(pid, stat_of(pid)[0]) for pid in left]}")
        self.ratchet.kill(signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(prog="kill_torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the data directory of a failed torture in place")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="ratchet-torture-")
    torture = Torture(folder, options.kills, options.seed)
    begin = time.monotonic()
    failure = None
    try:
        torture.run()
        counts = check_all(torture.ratchet.data, torture.acknowledged)
        print(f"kills: {torture.kills}; {counts}; {sum(map(len, torture.acknowledged.values()))} writes acknowledged,"
              f" {torture.refused} refused or cut off; {time.monotonic() - begin:.0f} s")
    except (Violation, AssertionError) as error:
        failure = error
    finally:
        torture.ratchet.stop()
        if not (failure and options.keep):
            shutil.rmtree(folder, ignore_errors=True)
    again = f"kill_torture --kills {options.kills} --seed {options.seed}"
    if failure:
        print(f"kill_torture: FAILED after {sum(torture.kills.values())} kills: {failure}; repeat with: {again}"
              + (f"; data: {torture.ratchet.data}" if options.keep else ""))
        return 1
    print(f"kill_torture: {sum(torture.kills.values())} kills, seed {options.seed}: every invariant held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
