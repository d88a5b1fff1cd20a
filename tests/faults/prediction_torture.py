"""prediction_torture --predictions N [--seconds T] --seed S: predictions, and outcomes of some of them, under random kill -9 of
ratchet-serve and ratchetd. Then each answer that a client has had is in events.db exactly once, or the gap is counted and
shown; and each outcome has become a row of a dataset exactly once. RATCHET_BUILD names the build. The last line is the
verdict; the exit code is 0 only when every invariant held."""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from ratchet_process import HttpError, Ratchet, wait_until  # noqa: E402
from small_data import CHURN_SPEC, churn_csv  # noqa: E402

CLIENTS = 4
EVERY = 200  # rows of feedback that make a version
SPEC = CHURN_SPEC + f"feedback: {{dataset: answers, every: {EVERY}}}\n"
BODY = json.dumps({"inputs": [{"name": "months", "datatype": "FP64", "shape": [1], "data": [12]},
                              {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
                              {"name": "spend", "datatype": "FP64", "shape": [1], "data": [40.5]}]}).encode()
REQUEST = (b"POST /v2/models/churn/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
           b"Content-Length: %d\r\n\r\n" % len(BODY)) + BODY
PATIENCE_S = 120


class Violation(Exception):
    pass


class Client:
    """One connection to the data plane, wherever it listens just now."""

    def __init__(self, address_path):
        self.address_path = address_path
        self.socket = None
        self.held = b""

    def connect(self):
        with open(self.address_path) as file:
            host, port = file.read().strip().rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def more(self):
        got = self.socket.recv(65536)
        if not got:
            raise OSError("the connection ended")
        self.held += got

    def ask(self):
        """The id of an answered prediction; "" where the whole answer did not come, or was no success."""
        try:
            if not self.socket:
                self.connect()
            self.socket.sendall(REQUEST)
            while (end := self.held.find(b"\r\n\r\n")) < 0:
                self.more()
            head = self.held[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            while len(self.held) < end + 4 + length:
                self.more()
            body, self.held = self.held[end + 4:end + 4 + length], self.held[end + 4 + length:]
            if not head.startswith(b"http/1.1 200"):
                time.sleep(0.02)
                return ""
            return json.loads(body)["id"]
        except (OSError, ValueError, IndexError):
            if self.socket:
                self.socket.close()
            self.socket = None
            time.sleep(0.02)
            return ""


def ask_until(address_path, wanted, end, path):
    """A client process: writes the id of each answer that it has had, a line each, until it has enough or time is up."""
    client = Client(address_path)
    with open(path, "w", buffering=1 << 16) as file:
        while wanted > 0 and time.monotonic() < end:
            if answered := client.ask():
                file.write(answered + "\n")
                wanted -= 1
                if wanted % 200 == 0:
                    file.flush()


class Torture:
    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.ratchet = Ratchet(folder)
        self.chance = random.Random(options.seed)
        self.kills = {"ratchetd": 0, "ratchet-serve": 0}
        self.sent = set()  # ids whose outcome was taken
        self.done = threading.Event()
        self.failure = None

    def first_version(self):
        self.ratchet.start()
        self.ratchet.apply("churn", SPEC)
        self.ratchet.push_csv("customers", churn_csv(1500))
        run = self.ratchet.run("churn", **{"train.params.epochs": 1})
        if run["outcome"] != "promoted":
            raise Violation(f"there is no first version: {run}")
        self.address = os.path.join(self.ratchet.data, "serve/address")
        client = Client(self.address)
        wait_until(client.ask, "version 1 answers")

    def kill_one(self):
        if self.chance.random() < 0.5:
            pid = self.ratchet.serve_pid()
            if not pid:
                return
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.kills["ratchet-serve"] += 1
        else:
            self.ratchet.kill()
            self.kills["ratchetd"] += 1
            time.sleep(self.chance.choice([0, 0, 0.3]))
            self.ratchet.start()

    def kill_all(self):
        try:
            while not self.done.wait(self.chance.uniform(0.2, self.options.pause)):
                self.kill_one()
        except BaseException as error:  # told at the end
            self.failure = error

    def tell_outcomes(self):
        """Outcomes of one in twenty answers, while the killing goes on; one that is refused or cut off is sent again."""
        at = [0] * CLIENTS
        while not self.done.wait(0.2):
            for number in range(CLIENTS):
                ids, at[number] = self.new_ids(number, at[number])
                chosen = [one for one in ids if int(one[:4], 16) % 20 == 0]
                while chosen and not self.send(chosen):
                    if self.done.wait(0.1):
                        return
                self.sent.update(chosen)

    def new_ids(self, number, offset):
        try:
            with open(self.ids_path(number), "rb") as file:
                file.seek(offset)
                text = file.read()
        except FileNotFoundError:
            return [], 0
        whole = text[:text.rfind(b"\n") + 1]
        return whole.decode().split(), offset + len(whole)

    def send(self, ids):
        lines = "\n".join(json.dumps({"prediction": one, "outcome": "yes"}) for one in ids)
        try:
            self.ratchet.send("POST", "/api/v1/models/churn/feedback", lines.encode(), "application/x-ndjson")
            return True
        except (OSError, HttpError, ValueError):
            return False

    def ids_path(self, number):
        return os.path.join(self.folder, f"ids-{number}")

    def run(self):
        self.first_version()
        each = self.options.predictions // CLIENTS
        end = time.monotonic() + self.options.seconds
        clients = [multiprocessing.Process(target=ask_until, args=(self.address, each, end, self.ids_path(number)))
                   for number in range(CLIENTS)]
        threads = [threading.Thread(target=self.kill_all), threading.Thread(target=self.tell_outcomes)]
        for one in clients + threads:
            one.start()
        try:
            for client in clients:
                while client.is_alive() and not self.failure:
                    client.join(1)
        finally:
            self.done.set()
            for client in clients:
                client.kill() if self.failure else client.join()
            for thread in threads:
                thread.join()
        if self.failure:
            raise self.failure
        self.come_to_rest()

    def come_to_rest(self):
        """A last prediction, and all before it is with the control plane."""
        client = Client(self.address)
        last = wait_until(client.ask, "it answers after the last kill", PATIENCE_S)

        def arrived():
            with sqlite3.connect(f"file:{self.ratchet.data}/events.db?mode=ro", uri=True) as database:
                return database.execute("SELECT count(*) FROM predictions WHERE id = ?", (last,)).fetchone()[0] == 1
        wait_until(arrived, "the spool is empty", PATIENCE_S)
        # An outcome whose answer was cut off by a kill may have been taken or not; a repeated one changes nothing.
        if self.sent:
            wait_until(lambda: self.send(sorted(self.sent)), "the outcomes are known", PATIENCE_S)
        wait_until(lambda: self.shown()["rows"]["waiting"] < EVERY, "joined rows are pushed", PATIENCE_S)

    def shown(self):
        try:
            return self.ratchet.get("/api/v1/models/churn/live-metric")
        except (OSError, HttpError):
            return {"rows": {"waiting": EVERY}}

    # ---- what has to hold

    def check(self):
        shown = self.shown()
        self.ratchet.kill(signal.SIGTERM)
        acknowledged = [one for number in range(CLIENTS) for one in self.new_ids(number, 0)[0]]
        database = sqlite3.connect(f"file:{self.ratchet.data}/events.db?mode=ro", uri=True)
        kept = {row[0] for row in database.execute("SELECT id FROM predictions")}
        counted = database.execute("SELECT sum(predictions) FROM totals").fetchone()[0]
        missing = set(acknowledged) - kept
        if len(set(acknowledged)) != len(acknowledged):
            raise Violation("two answers had the same id")
        if counted != len(kept):
            raise Violation(f"{len(kept)} predictions are kept, {counted} were counted")
        if len(missing) > shown["dropped"]:
            raise Violation(f"{len(missing)} answers are missing, {shown['dropped']} are shown as not kept")
        most = len(missing) + (self.kills["ratchet-serve"] + 1) * CLIENTS
        if shown["dropped"] > most:
            raise Violation(f"{shown['dropped']} are shown as not kept, but no more than {most} can be")
        rows = self.check_rows(database, shown["rows"])
        return (f"{len(acknowledged)} answers, {len(kept)} kept, {len(missing)} missing and {shown['dropped']} shown as not kept; "
                f"{rows} rows of feedback in {shown['rows']['version'] or 0} versions")

    def check_rows(self, database, shown):
        """Each joined row is in the dataset once, or waits."""
        joined = {row[0] for row in database.execute("SELECT p.id FROM joined j JOIN predictions p ON p.number = j.prediction")}
        registry = sqlite3.connect(f"file:{self.ratchet.data}/registry.db?mode=ro", uri=True)
        newest = registry.execute("SELECT manifest FROM dataset_versions WHERE dataset = 'answers' ORDER BY version DESC LIMIT 1").fetchone()
        ids = []
        if newest:
            with open(self.blob(newest[0])) as file:
                for segment in json.load(file)["segments"]:
                    pack = sqlite3.connect(f"file:{self.blob(segment['sha256'])}?mode=ro&immutable=1", uri=True)
                    ids += [row[0] for row in pack.execute("SELECT id FROM rows")]
        if len(ids) != len(set(ids)):
            raise Violation(f"{len(ids) - len(set(ids))} rows of feedback were pushed twice")
        if not set(ids) <= joined:
            raise Violation("a row was pushed that has no outcome")
        if len(joined) - len(ids) != shown["waiting"] or shown["waiting"] >= EVERY:
            raise Violation(f"{len(joined)} rows are joined and {len(ids)} pushed, but {shown['waiting']} are shown to wait")
        return len(ids)

    def blob(self, sha256):
        return f"{self.ratchet.data}/blobs/sha256/{sha256[:2]}/{sha256}"


def main():
    parser = argparse.ArgumentParser(prog="prediction_torture", description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=86_400, help="ask no longer than this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=2.0, help="longest pause between two kills, in seconds")
    parser.add_argument("--keep", action="store_true", help="leave the data directory of a failed torture in place")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="ratchet-predictions-")
    torture = Torture(folder, options)
    begin = time.monotonic()
    failure = None
    try:
        torture.run()
        print(f"kills: {torture.kills}; {torture.check()}; {time.monotonic() - begin:.0f} s")
    except (Violation, AssertionError) as error:
        failure = error
    finally:
        torture.ratchet.stop()
        if not (failure and options.keep):
            shutil.rmtree(folder, ignore_errors=True)
    if failure:
        print(f"prediction_torture: FAILED after {sum(torture.kills.values())} kills: {failure}; repeat with: prediction_torture "
              f"--predictions {options.predictions} --seed {options.seed}" + (f"; data: {torture.ratchet.data}" if options.keep else ""))
        return 1
    print(f"prediction_torture: {sum(torture.kills.values())} kills, seed {options.seed}: every invariant held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
