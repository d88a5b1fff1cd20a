"""kill -9 of each of the four programs at random moments of the demonstration: nothing is lost, and the loop ends as it
should. It is the demonstration of examples/ with fewer photos: a first version, a retrain by itself on new photos, a ruined
candidate, a prediction, a rollback and back. Where the photos are not installed the same is done with a small table.
RATCHET_KILLS sets how often each program is killed (10)."""

import dataclasses
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "../../examples")
sys.path.insert(0, os.path.join(HERE, "../e2e"))
from ratchet_process import BIN, HttpError, Ratchet, alive, name_of, wait_until  # noqa: E402
from small_data import CHURN_SPEC, churn_csv  # noqa: E402

KILLS = int(os.environ.get("RATCHET_KILLS", "10"))
SEED = int(os.environ.get("RATCHET_SEED", "1"))
# A step that was killed may be tried three times by default. Of ten kills three can hit one step, which would end the run
# as it should, but not the demonstration: here a step may be killed as often as there are kills.
ATTEMPTS = f"attempts: {max(20, KILLS + 1)}"


@dataclasses.dataclass
class Input:
    """What the demonstration is done with, in files."""

    model: str  # and the pipeline of that name
    dataset: str
    spec: str
    deliveries: list
    weak: list  # settings of the first run, which leave the second one something to be better at
    ruined: list
    question: str  # a file to predict from
    inputs: list  # the same for the Open Inference Protocol


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def changed(text, **changes):
    """The text with each piece, which has to be in it, replaced."""
    for before, after in changes.values():
        assert before in text, before
        text = text.replace(before, after)
    return text


def photos(folder):
    """The demonstration's own photos and spec: 1,500 photos in place of 10,000, then 5,000 in place of 50,000."""
    with open(os.path.join(EXAMPLES, "parcel-sorter.yaml")) as file:
        spec = changed(file.read(), epochs=("epochs: 6", "epochs: 3"), attempts=("attempts: 3", ATTEMPTS),
                       rows=("new_rows: 40000", "new_rows: 4000"))

    def cut(name, *options):
        path = os.path.join(folder, name)
        subprocess.run([sys.executable, os.path.join(EXAMPLES, "fashion_mnist.py"), *options, "--out", path], check=True)
        return path
    sys.path.insert(0, EXAMPLES)
    import fashion_mnist
    pixels, _ = fashion_mnist.load(fashion_mnist.package_folder(), True)
    first = list(fashion_mnist.photo(pixels, 0))
    return Input("parcel-sorter", "parcels", write(folder, "spec.yaml", spec),
                 [cut("1.pack", "--rows", "0:1500"), cut("2.pack", "--rows", "1500:6500")],
                 ["--set", "train.params.epochs=1"],
                 ["--set", "train.params.epochs=1", "--set", "train.params.learning_rate=10"],
                 cut("photo.png", "--test", "--png", "0"),
                 [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": first}])


def table(folder):
    limits = "limits: {time: 5m, memory: 4GiB"
    spec = changed(CHURN_SPEC, attempts=(limits, limits + ", " + ATTEMPTS)) + "retrain: {new_rows: 1500}\n"
    weak = ["--set", "train.params.epochs=1"]
    return Input("churn", "customers", write(folder, "spec.yaml", spec),
                 [write(folder, "1.csv", churn_csv(1400)), write(folder, "2.csv", churn_csv(3200, start=1400))],
                 weak, [*weak, "--set", "train.params.learning_rate=1e-5"],
                 write(folder, "question.json", json.dumps([{"months": 3, "plan": "a", "spend": 20.5}])),
                 [{"name": "months", "datatype": "FP64", "shape": [1], "data": [3]},
                  {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
                  {"name": "spend", "datatype": "FP64", "shape": [1], "data": [20.5]}])


def photos_are_here():
    try:
        return subprocess.run(["dpkg", "-L", "dataset-fashion-mnist"], capture_output=True).returncode == 0
    except OSError:
        return False


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


class Killer(threading.Thread):
    """Kills one program again and again at random moments, and starts ratchetd again as systemd would."""

    def __init__(self, ratchet, program, seed):
        super().__init__(daemon=True)
        self.ratchet, self.program = ratchet, program
        self.chance = random.Random(seed)
        self.kills = 0
        self.enough = threading.Event()
        self.command = None  # the newest ratchet command
        self.started = threading.Event()  # set when there is one
        self.failure = None

    def victim(self):
        if self.program == "ratchetd":
            return self.ratchet.process.pid
        if self.program == "ratchet-serve":
            return self.ratchet.serve_pid()
        if self.program == "ratchet-worker":
            # The fork server, or one of its steps: both are this program.
            servers = [child for child in children(self.ratchet.process.pid) if name_of(child).startswith("ratchet-worker")]
            steps = [step for server in servers for step in children(server)]
            return self.chance.choice(servers + steps) if servers else 0
        command = self.command
        return command.pid if command and command.poll() is None else 0

    def rest(self):
        """Waits for the next random moment; a command lives for milliseconds, so its moments are counted from its start."""
        if self.program == "ratchet":
            self.started.wait(1)
            self.started.clear()
            return self.enough.wait(self.chance.uniform(0, 0.03))
        return self.enough.wait(self.chance.uniform(0.02, 1.2))

    def run(self):
        try:
            while self.kills < KILLS:
                if self.rest():
                    return
                pid = self.victim()
                if not pid:
                    continue
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.kills += 1
                if self.program == "ratchetd":
                    self.ratchet.process.wait()
                    self.ratchet.start()
        except BaseException as failure:  # shown by the test
            self.failure = failure


class User:
    """Does what a person does whose command broke: looks, and says it again."""

    def __init__(self, ratchet, killer, model):
        self.ratchet, self.killer, self.model = ratchet, killer, model

    def cli(self, *arguments, stdin=None):
        """Exit code and output of one command, killed or not."""
        command = subprocess.Popen([os.path.join(BIN, "ratchet"), "--server", self.ratchet.url, "-o", "json", *arguments],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.killer.command = command
        self.killer.started.set()
        out, err = command.communicate(stdin, timeout=120)
        return command.returncode, out, err

    def until(self, what, *arguments, done=lambda: False, stdin=None):
        """Repeats the command until it succeeds, or until what it is for has come about."""
        def attempt():
            if done():
                return True
            code, out, err = self.cli(*arguments, stdin=stdin)
            return code == 0 or done()
        wait_until(attempt, what, 240)

    def get(self, path):
        """The answer, or None while the daemon is away or knows no such thing."""
        try:
            return self.ratchet.get(path)
        except (OSError, HttpError, json.JSONDecodeError):
            return None

    def runs(self):
        page = self.get(f"/api/v1/runs?pipeline={self.model}")
        return page["items"] if page else []

    def run_ended(self, count):
        """The newest run, once there are so many and it has ended."""
        runs = self.runs()
        return runs[0] if len(runs) >= count and runs[0]["ended_at"] else None

    def live(self):
        model = self.get(f"/api/v1/models/{self.model}")
        return model["live"] if model else None


def demonstration(user, given):
    model, dataset = given.model, given.dataset
    version = lambda: (user.get(f"/api/v1/datasets/{dataset}") or {}).get("latest_version", 0)
    first, second = given.deliveries

    user.until("the pipeline is applied", "pipeline", "apply", given.spec,
               done=lambda: user.get(f"/api/v1/pipelines/{model}"))
    user.until("the first rows are pushed", "dataset", "push", dataset, first, done=lambda: version() >= 1)
    user.until("the first run is started", "run", "start", model, *given.weak, done=lambda: len(user.runs()) >= 1)
    run = wait_until(lambda: user.run_ended(1), "the first run ends", 240)
    assert run["outcome"] == "promoted", run

    user.until("more rows are pushed", "dataset", "push", dataset, second, done=lambda: version() >= 2)
    run = wait_until(lambda: user.run_ended(2), "the retrain starts by itself and ends", 240)
    assert (run["reason"]["kind"], run["outcome"]) == ("new_rows", "promoted"), run
    improved = run["candidate"]

    user.until("a ruined run is started", "run", "start", model, *given.ruined, done=lambda: len(user.runs()) >= 3)
    run = wait_until(lambda: user.run_ended(3), "the ruined run ends", 240)
    assert run["outcome"] == "rejected", run
    assert wait_until(user.live, "the daemon says what is live") == improved
    user.until("a prediction", "predict", model, given.question)

    # Back and forward again, as often as it takes for all kills to have come.
    while True:
        user.until("version 1 is back", "rollback", model, "--to", "1", done=lambda: user.live() == 1)
        user.until("and forward again", "rollback", model, "--to", str(improved), done=lambda: user.live() == improved)
        if not user.killer.is_alive():
            return improved


def check_invariants(ratchet, given, improved):
    """What holds whatever was killed."""
    def served():
        try:
            return ratchet.infer(given.model, given.inputs)["model_version"] == str(improved)
        except (OSError, HttpError):
            return False
    wait_until(served, f"version {improved} is served", 60)
    ratchet.kill(signal.SIGTERM)
    registry = sqlite3.connect(f"file:{ratchet.data}/registry.db?mode=ro", uri=True)
    one = lambda sql: registry.execute(sql).fetchone()[0]
    assert one("PRAGMA integrity_check") == "ok"
    assert registry.execute("PRAGMA foreign_key_check").fetchall() == []
    assert one(f"SELECT live FROM models WHERE name = '{given.model}'") == improved
    # Exactly one live version: the last release that was done says the same.
    assert one("SELECT to_version FROM releases WHERE state = 'done' ORDER BY id DESC LIMIT 1") == improved
    assert one("SELECT count(*) FROM releases WHERE state IN ('pending', 'loading')") == 0
    assert one("SELECT count(*) FROM attempts WHERE state = 'running'") == 0
    # Every run made one version at most, and none that ended well was trained twice to the end.
    assert one("SELECT max(n) FROM (SELECT count(*) AS n FROM versions GROUP BY run)") == 1
    assert one("SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM attempts WHERE state = 'succeeded'"
               " GROUP BY run, step)") == 1
    for (sha256,) in registry.execute("SELECT manifest FROM dataset_versions UNION SELECT bundle FROM versions"):
        manifest = json.loads(read_blob(ratchet, sha256))
        parts = manifest.get("segments", []) or list(manifest["files"].values())
        assert parts
        for part in parts:
            assert len(read_blob(ratchet, part["sha256"])) == part["bytes"]
    registry.close()


def read_blob(ratchet, sha256):
    """The bytes of a blob, once they are seen to be those of its name."""
    with open(f"{ratchet.data}/blobs/sha256/{sha256[:2]}/{sha256}", "rb") as file:
        content = file.read()
    assert hashlib.sha256(content).hexdigest() == sha256
    return content


@pytest.mark.parametrize("program", ["ratchetd", "ratchet-worker", "ratchet-serve", "ratchet"])
def test_killed_at_random_moments_the_loop_still_ends_as_it_should(tmp_path, program):
    given = photos(str(tmp_path)) if photos_are_here() else table(str(tmp_path))
    ratchet = Ratchet(tmp_path).start()
    killer = Killer(ratchet, program, SEED)
    try:
        killer.start()
        improved = demonstration(User(ratchet, killer, given.model), given)
        killer.enough.set()
        killer.join()
        if killer.failure:
            raise killer.failure
        assert killer.kills == KILLS
        print(f"{program}: {killer.kills} kills, seed {SEED}, {given.model}")
        wait_until(ratchet.answers, "ratchetd answers")
        check_invariants(ratchet, given, improved)
    finally:
        killer.enough.set()
        killer.join(timeout=150)
        ratchet.stop()
